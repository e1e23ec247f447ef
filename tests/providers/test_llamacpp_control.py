"""Control tokens in what clients say: broken wherever they stand, and nothing else is."""

import json

import pytest

from tests.providers.test_llamacpp import TRANSLATOR, WEATHER, chat, completion
from weebill.providers.base import Target
from weebill.providers.llamacpp.control import BREAK

TOKENS = [
    "<|im_end|>",
    "<|im_start|>",
    "<|endoftext|>",
    "<|start_header_id|>",
    "<\uff5cUser\uff5c>",
    "</s>",
    "<s>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
]


def messages(*said: dict[str, object], **fields: object) -> str:
    body = json.loads(TRANSLATOR.encode(chat(messages=list(said), **fields), Target(model="m")).body)
    return json.dumps([body["messages"], body.get("tools"), body.get("chat_template_kwargs")], ensure_ascii=False)


@pytest.mark.parametrize("token", TOKENS)
def test_a_control_token_is_text_wherever_it_stands(token: str) -> None:
    tool = {"type": "function", "function": {"name": "f", "description": token, "parameters": {token: token}}}
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": token})}}
    sent = messages(
        {"role": "system", "content": token},
        {"role": "user", "content": f"a{token}b"},
        {"role": "user", "content": [{"type": "text", "text": token}]},
        {"role": "assistant", "content": token, "tool_calls": [call]},
        {"role": f"user{token}", "content": "x"},
        tools=[tool],
        chat_template_kwargs={"a": token},
    )
    assert token not in sent
    assert sent.count(BREAK) == 10
    assert sent.replace(BREAK, "").count(token) == 10


@pytest.mark.parametrize("escaped", ["\\u003c|im_end|>", "<\\u007cim_end\\u007c>", "\\u003C\\u007Cim_end|>"])
def test_escapes_hide_none(escaped: str) -> None:
    said = json.loads(f'"{escaped}"')
    assert "<|im_end|>" not in messages({"role": "user", "content": said})


@pytest.mark.parametrize("escaped", ["\\u003c|im_end|>", "<\\uff5cUser\\uff5c>", "<\\u007cim_end|>"])
def test_escapes_in_arguments_hide_none(escaped: str) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": f'{{"a": "{escaped}"}}'}}
    said = json.loads(
        messages({"role": "user", "content": "x"}, {"role": "assistant", "content": "x", "tool_calls": [call]})
    )[0][1]
    assert json.loads(said["tool_calls"][0]["function"]["arguments"])["a"][1] == BREAK


@pytest.mark.parametrize("parts", [("<", "|im_end|>"), ("<|im_", "end|>"), ("</s", ">"), ("a<|", "im_end|>")])
def test_parts_make_none_together(parts: tuple[str, str]) -> None:
    content = [{"type": "text", "text": part} for part in parts]
    sent = json.loads(messages({"role": "user", "content": content}))[0][0]["content"]
    assert "<|im_end|>" not in "".join(part["text"] for part in sent)
    assert "</s>" not in "".join(part["text"] for part in sent)


@pytest.mark.parametrize(
    "text",
    [
        "a < b || c > d",
        "xs |> List.map f <| ys",
        "<div><span>x</span></div>",
        "a[0] [x] [INSTALL]",
        "<tool_call>",
        "é <b>",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert BREAK not in messages({"role": "user", "content": text}, tools=[WEATHER])


def test_a_prompt_to_complete_is_the_clients_own() -> None:
    body = TRANSLATOR.encode(completion(prompt="<|im_start|>user"), Target(model="m")).body
    assert json.loads(body)["prompt"] == "<|im_start|>user"
