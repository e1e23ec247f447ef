"""Prompts by templates, which come from anybody."""

import pytest

from weebill.engine.errors import EngineError
from weebill.engine.openvino.prompt import Prompts
from weebill.engine.openvino.request import CHAT, wanted
from weebill.engine.openvino.vocabulary import Vocabulary
from weebill.engine.serving.jobs import RefusedError
from weebill.models.curated import read_template

VOCABULARY = Vocabulary((b"a",), ("<s>",), None, "<s>", "</s>", 0, frozenset({0}))


def text(template: str, body: bytes) -> str:
    return Prompts(template, VOCABULARY, 256).text(wanted(CHAT, body))


def test_a_conversation_with_tools_is_written():
    body = (
        b'{"messages": [{"role": "system", "content": [{"type": "text", "text": "Be"},'
        b'{"type": "text", "text": "brief."}]},'
        b'{"role": "assistant", "content": null,'
        b'"tool_calls": [{"function": {"name": "f", "arguments": "{\\"x\\": 1}"}}]},'
        b'{"role": "tool", "content": "2"}], "tools": [{"type": "function", "function": {"name": "f"}}]}'
    )
    assert text(read_template("chatml_tools.jinja"), body) == (
        "<|im_start|>system\nBe\nbrief.\n\nYou can call these functions:\n<tools>\n"
        '{"type": "function", "function": {"name": "f"}}\n</tools>\n\nTo call one, answer with:\n<tool_call>\n'
        '{"name": "function name", "arguments": {"parameter": "value"}}\n</tool_call><|im_end|>\n'
        '<|im_start|>assistant\n<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\n2\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_gets_what_the_request_has_for_it():
    body = b'{"messages": [{"role": "user", "content": "Hi"}], "chat_template_kwargs": {"enable_thinking": false}}'
    template = "{{ bos_token }}{{ enable_thinking }}{{ messages[0].content }}{{ add_generation_prompt }}{{ tools }}"
    assert text(template, body) == "<s>FalseHiTrueNone"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('roles must take turns') }}",
        "{{ messages[0].content.missing.more }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
    ],
)
def test_a_template_reaches_nothing_and_its_faults_are_told(template):
    with pytest.raises(RefusedError):
        text(template, b'{"messages": [{"role": "user", "content": "Hi"}]}')


def test_what_is_no_text_is_refused_by_its_place():
    with pytest.raises(RefusedError, match="message 0"):
        text(
            "", b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}'
        )


def test_what_is_no_template_is_an_error_of_the_model():
    with pytest.raises(EngineError):
        Prompts("{% for %}", VOCABULARY, 256)
