"""Calls that a model is held to by a form, however it writes them: in Ollama's text, streamed and whole."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.providers.json_end import JsonEnd
from weebill.providers.ollama.dialect import OLLAMA_DIALECT
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import Conversation, Text, Tool, ToolChoice, ToolUse
from weebill.wire.reply import Choice, Reply, TextDelta, ToolArguments

FORCED = Conversation(turns=(), tools=(Tool("f"), Tool("g")), tool_choice=ToolChoice("required"))
GIVEN = '{"a": "}\\"{", "b": [1, {"c": 2}]}'
PLAIN = f'{{"name": "f", "arguments": {GIVEN}}}'
CALLS = {
    "as asked": PLAIN,
    "blanks around": f"\n  {PLAIN}\n\n",
    "another order": f'{{"arguments": {GIVEN}, "name": "f"}}',
    "more members": f'{{"type": "function", "name": "f", "arguments": {GIVEN}, "id": 1}}',
    "parameters": f'{{"name": "f", "parameters": {GIVEN}}}',
    "in a fence": f"```json\n{PLAIN}\n```",
    "in a fence without a language": f"```\n{PLAIN}\n```\n",
    "another order, in a fence": f'```json\n{{\n  "arguments": {GIVEN},\n  "name": "f"\n}}\n```',
    "with words after it": f"{PLAIN} That is the call.",
}
OTHERS = {
    "words": "I will not.",
    "a tool that is not offered": '{"name": "h", "arguments": {}}',
    "a tool that is not offered, in another order": '{"arguments": {}, "name": "h"}',
    "another object": '{"answer": 42}',
    "no JSON": '{"arguments": {}, "name": }',
    "code": "```python\nprint(1)\n```",
    "code in words": "`f` it is.",
    "cut": '{"arguments": {"a": 1',
    "cut in its fence": "```json\n",
    "nothing but marks": "``",
}


def line(**fields: object) -> bytes:
    return json.dumps({"model": "m", **fields}).encode() + b"\n"


def streamed(pieces: list[str], reason: str = "stop") -> Reply:
    decoder, builder = OLLAMA_DIALECT.stream_for(FORCED), ReplyBuilder()
    lines = [line(message={"role": "assistant", "content": piece}, done=False) for piece in pieces]
    lines.append(line(message={"content": ""}, done=True, done_reason=reason, eval_count=3, prompt_eval_count=3))
    for data in lines:
        for event in decoder.feed(data):
            builder.add(event)
    for event in decoder.finish():
        builder.add(event)
    return builder.reply()


def whole(text: str) -> Reply:
    body = line(message={"role": "assistant", "content": text}, done=True, done_reason="stop", eval_count=3)
    return OLLAMA_DIALECT.decode_for(FORCED, body)


def check_call(choice: Choice) -> None:
    [call] = choice.parts
    assert isinstance(call, ToolUse)
    assert (call.name, call.arguments, choice.finish) == ("f", GIVEN, "tool_calls")


@pytest.mark.parametrize("name", CALLS)
def test_a_call_however_it_is_written(name: str) -> None:
    text = CALLS[name]
    for reply in (whole(text), streamed([text]), streamed(list(text))):
        check_call(reply.choices[0])


@given(st.sampled_from(sorted(CALLS)), st.lists(st.integers(0, 200), max_size=8))
def test_a_call_however_it_is_cut(name: str, cuts: list[int]) -> None:
    text = CALLS[name]
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    check_call(streamed([text[start:end] for start, end in pairwise(edges)]).choices[0])


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_call_stays_text(name: str) -> None:
    text = OTHERS[name]
    for reply in (whole(text), streamed([text]), streamed(list(text))):
        assert (reply.choices[0].parts, reply.choices[0].finish) == ((Text(text),), "stop")


def test_arguments_are_told_as_they_come() -> None:
    decoder = OLLAMA_DIALECT.stream_for(FORCED)
    for piece, told in (('{"name": "f", "arguments": {"a":', '{"a":'), (" 1", " 1"), ("}}", "}")):
        events = decoder.feed(line(message={"content": piece}, done=False))
        assert [event.json for event in events if isinstance(event, ToolArguments)] == [told]


def test_what_is_no_call_is_not_held_for_ever() -> None:
    decoder = OLLAMA_DIALECT.stream_for(FORCED)
    piece = "x" * 1000
    told = list(decoder.feed(line(message={"content": '{"answer": "'}, done=False)))
    for _ in range(400):
        told += decoder.feed(line(message={"content": piece}, done=False))
    said = "".join([event.text for event in told if isinstance(event, TextDelta)])
    assert said == '{"answer": "' + piece * 400


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", "{}"), (' [1, "]"] x', '[1, "]"]'), ('{"a": "\\"}"}}', '{"a": "\\"}"}'), ("5}", "5"),
        ('{"a": {', '{"a": {'),
        ("", ""), ("{}{}", "{}"),
    ],
)  # fmt: skip
def test_where_a_value_ends(text: str, value: str) -> None:
    end, piecewise = JsonEnd(), JsonEnd()
    assert end.take(text) == value
    assert "".join([piecewise.take(sign) for sign in text]) == value
    assert end.over == piecewise.over == (text not in ("", '{"a": {'))
