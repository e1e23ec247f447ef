"""Answers held to one tool call at a time, for clients of every API and a provider without a setting for it."""

import json

import pytest

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.responses.api import RESPONSES
from weebill.catalog.traits import traits_of
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.one_call import FURTHER_CALL
from weebill.gateway.translation import translator
from weebill.providers.base import Target, UpstreamRequest
from weebill.wire.call import Call

MODEL = "gemini-2.5-flash"
TARGET = Target(model=MODEL, traits=traits_of(MODEL))
SCHEMA = {"type": "object", "properties": {"n": {"type": "string"}}}
MESSAGES = [{"role": "user", "content": "Hi"}]

CLIENTS: dict[str, tuple[Api, dict]] = {
    "chat": (
        CHAT,
        {
            "messages": MESSAGES,
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
            "parallel_tool_calls": False,
        },
    ),
    "responses": (
        RESPONSES,
        {
            "input": "Hi",
            "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
            "parallel_tool_calls": False,
        },
    ),
    "anthropic": (
        ANTHROPIC,
        {
            "messages": MESSAGES,
            "max_tokens": 10,
            "tools": [{"name": "f", "input_schema": SCHEMA}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        },
    ),
}


def answer(count: int) -> bytes:
    parts = [{"functionCall": {"id": f"c{n}", "name": "f", "args": {"n": f"number-{n}"}}} for n in range(count)]
    candidate = {"content": {"parts": [{"text": "Let me see."}, *parts], "role": "model"}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 9}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()


def asked(name: str, *, stream: bool = False, **more: object) -> tuple[Call, UpstreamRequest]:
    api, body = CLIENTS[name]
    whole = {"model": "m", "stream": stream, **body, **more}
    call = api.decode(json.dumps(whole).encode(), {}, "")
    return call, translator(api, "gemini", frozenset()).encode(call, TARGET)


@pytest.mark.parametrize("name", CLIENTS)
def test_what_is_called_besides_the_first_is_passed_over_and_said(name: str) -> None:
    call, sent = asked(name)
    assert sent.dropped == (CLIENTS[name][0].fields().get("parallel_tool_calls", "parallel_tool_calls"),)
    assert b"arallel" not in sent.body
    found = translator(CLIENTS[name][0], "gemini", frozenset()).decode(call, sent, answer(3))
    assert (b"number-0" in found.body, b"number-1" in found.body, b"number-2" in found.body) == (True, False, False)
    assert found.dropped == (FURTHER_CALL,)
    found = translator(CLIENTS[name][0], "gemini", frozenset()).decode(call, sent, answer(1))
    assert b"number-0" in found.body
    assert found.dropped == ()


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_of_a_stream_too(name: str, size: int) -> None:
    call, sent = asked(name, stream=True)
    stream = translator(CLIENTS[name][0], "gemini", frozenset()).stream(call, sent)
    data = b"data: " + answer(3) + b"\r\n\r\n"
    out = b"".join([stream.feed(data[at : at + size]) for at in range(0, len(data), size)]) + stream.finish()
    assert isinstance(stream, BridgeStream)
    assert list(stream.dropped) == [FURTHER_CALL]
    assert (b"number-0" in out, b"number-1" in out, b"number-2" in out) == (True, False, False)


def test_who_does_not_ask_for_it_gets_all_calls() -> None:
    call, sent = asked("chat", parallel_tool_calls=True)
    found = translator(CHAT, "gemini", frozenset()).decode(call, sent, answer(3))
    assert all(number in found.body for number in (b"number-0", b"number-1", b"number-2"))
    assert found.dropped == ()
