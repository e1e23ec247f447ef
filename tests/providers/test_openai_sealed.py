"""What only its maker can read, in relayed Chat Completions: it goes back to that provider alone, and as it came."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.lib.streaming._deltas import accumulate_delta

from tests.providers.test_openai_odd import chunk, events
from weebill.apis.chat.answer import tool_call
from weebill.apis.chat.api import CHAT
from weebill.gateway.origins import MakerNames
from weebill.gateway.translation import translator
from weebill.providers.base import NOTHING_SENT, Quirks, Target, UpstreamRequest
from weebill.providers.openai.relay import OPENAI_RELAY
from weebill.providers.openai.sealed import Seals
from weebill.wire.conversation import Conversation, Reasoning, ToolUse, Turn
from weebill.wire.marks import is_marked, mark_of
from weebill.wire.reply import Choice, ReasoningDelta, Reply, Usage

Message = dict[str, Any]
ACME, OTHER = Target(model="m", provider="acme"), Target(model="m", provider="other")
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
SAID: Message = {"role": "assistant", "content": "Hi"}
# A message as it comes and goes back to its maker, and what another gets of it.
SEALED: dict[str, tuple[Message, Message]] = {
    "signed thought": (
        {**SAID, "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "signature": "c2ln", "index": 0}]},
        SAID,
    ),
    "encrypted thought, with its summary": (
        {
            **SAID,
            "reasoning": "Hm",
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "Hm", "index": 0, "format": "openai-responses-v1"},
                {"type": "reasoning.encrypted", "data": "ZW5j", "id": "rs_1", "index": 1, "format": "unknown"},
            ],
        },
        {
            **SAID,
            "reasoning": "Hm",
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "Hm", "index": 0, "format": "openai-responses-v1"}
            ],
        },
    ),
    "open thought": (
        {**SAID, "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]},
        {**SAID, "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]},
    ),
    "signed call": (
        {**SAID, "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "c2ln"}}}]},
        {**SAID, "tool_calls": [CALL]},
    ),
    "two calls, one signed": (
        {
            **SAID,
            "tool_calls": [
                {**CALL, "extra_content": {"google": {"thought_signature": "c2ln", "more": 1}, "x": {}}},
                {**CALL, "id": "c2"},
            ],
        },
        {**SAID, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
    ),
    "blocks of thinking": (
        {
            **SAID,
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "c2ln"}],
            "provider_specific_fields": {
                "thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "c2ln"}], "x": {"y": 1}
            },
        },
        {**SAID, "provider_specific_fields": {"x": {"y": 1}}},
    ),
    "a redacted block": ({**SAID, "thinking_blocks": [{"type": "redacted_thinking", "data": "ZW5j"}]}, SAID),
    "signed text": ({**SAID, "extra_content": {"google": {"thought_signature": "c2ln"}}}, SAID),
    "a thought marked as one": ({**SAID, "extra_content": {"google": {"thought": True}}},) * 2,
    "audio, whose data are for all": ({**SAID, "audio": {"id": "a", "data": "QUJD"}},) * 2,
}  # fmt: skip


def whole(message: Message, provider: str = "acme") -> Message:
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    sent = NOTHING_SENT if not provider else UpstreamRequest(b"", b"", maker=provider)
    answer = OPENAI_RELAY.decode(asked(), sent, json.dumps({**body, "choices": [choice], "usage": {}}).encode())
    given: Message = json.loads(answer.body)["choices"][0]["message"]
    return given


def streamed(message: Message, size: int) -> Message:
    calls = [{"index": at, **each} for at, each in enumerate(message.get("tool_calls", []))]
    details = message.get("reasoning_details", [])
    rest = {name: value for name, value in message.items() if name not in ("tool_calls", "reasoning_details")}
    deltas = [{"role": "assistant"}, *({"reasoning_details": [each]} for each in details), rest]
    deltas += [{"tool_calls": [each]} for each in calls]
    data = events(*[chunk(delta) for delta in deltas], chunk({}, "stop"))
    stream = OPENAI_RELAY.stream(asked(), UpstreamRequest(b"", b"", maker="acme"))
    told = b"".join([stream.feed(data[at : at + size]) for at in range(0, len(data), size)]) + stream.finish()
    found: dict[object, object] = {}
    for line in told.decode().split("\n\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line.removeprefix("data: "))["choices"]:
                found = accumulate_delta(found, choice["delta"])
    echo: Message = json.loads(json.dumps({**found, "role": "assistant"}))
    further = echo.get("provider_specific_fields", {})
    for each in [*echo.get("tool_calls", []), *echo.get("thinking_blocks", []), *further.get("thinking_blocks", [])]:
        del each["index"]
    return echo


def asked(*messages: Message) -> Any:
    said = [{"role": "user", "content": "Hi"}, *messages]
    return CHAT.decode(json.dumps({"model": "m", "messages": said}).encode(), {}, "")


def sent(message: Message, target: Target) -> Message:
    body = json.loads(OPENAI_RELAY.encode(asked(message), target).body)
    given: Message = body["messages"][1]
    return given


@pytest.mark.parametrize("how", ["whole", "1", "7", "100000"])
@pytest.mark.parametrize("name", SEALED)
def test_it_goes_back_to_its_maker_alone(name: str, how: str) -> None:
    came, for_others = SEALED[name]
    echo = whole(came) if how == "whole" else streamed(came, int(how))
    assert (echo != came) == (came != for_others)
    assert sent(echo, ACME) == came
    assert sent(echo, OTHER) == for_others


@pytest.mark.parametrize("name", SEALED)
def test_what_bears_no_mark_is_for_its_reader_to_judge(name: str) -> None:
    came, _ = SEALED[name]
    assert sent(came, OTHER) == came


@pytest.mark.parametrize("quirks", [Quirks(refuse=("reasoning_details",)), Quirks(accept=("max_tokens",))])
def test_a_strict_provider_gets_not_even_its_own(quirks: Quirks) -> None:
    came, for_others = SEALED["signed call"]
    assert sent(whole(came), Target(model="m", provider="acme", quirks=quirks)) == for_others


def test_a_provider_without_a_name_marks_nothing() -> None:
    came, _ = SEALED["signed thought"]
    assert whole(came, "") == came


def test_a_seal_in_pieces_bears_one_mark() -> None:
    detail = {"type": "reasoning.encrypted", "index": 0}
    deltas = [{"reasoning_details": [{**detail, "data": piece}]} for piece in ("QUJD", "REVG")]
    other = {"reasoning_details": [{**detail, "index": 1, "data": "R0hJ"}]}
    stream = OPENAI_RELAY.stream(asked(), UpstreamRequest(b"", b"", maker="acme"))
    told = stream.feed(events(*[chunk(delta) for delta in (*deltas, other)], chunk({}, "stop")))
    assert told.count(mark_of("acme").encode()) == 2
    assert b'"REVG"' in told


@pytest.mark.parametrize(
    "odd",
    [b'"x"', b"[]", b"{}", b'[{"signature":7,"data":null,"index":0}]', b'[{"data":"","index":0}]', b"[1]"],
)
def test_what_cannot_be_read_passes(odd: bytes) -> None:
    data = b'{"choices":[{"index":0,"delta":{"content":"Hi","reasoning_details":%b}}]}' % odd
    assert Seals("acme").marked(data) == data


@pytest.mark.parametrize("part", [
    Reasoning("Hm", "c2ln", origin="anthropic-claude-v1"), Reasoning("Hm", None, "ZW5j", "rs_1", "unknown"),
])  # fmt: skip
def test_other_apis_clients_give_it_back_to_its_maker_alone(part: Reasoning) -> None:
    """What is in the format of another, as it is told to clients of other APIs and comes back from them."""
    acme, other = MakerNames("openai", "acme"), MakerNames("openai", "other")
    [told] = acme.reply(Reply("", "", (Choice((part,), "stop"),), Usage())).choices[0].parts
    assert isinstance(told, Reasoning)
    assert is_marked(told.signature or told.encrypted or "")
    delta = ReasoningDelta(part.text, part.signature, part.encrypted, part.id, part.origin)
    [event] = acme.events([delta])
    assert isinstance(event, ReasoningDelta)
    assert (event.signature, event.encrypted) == (told.signature, told.encrypted)
    back = Conversation(turns=(Turn("assistant", (told,)),))
    assert acme.conversation(back).turns[0].parts == (part,)
    [foreign] = other.conversation(back).turns[0].parts
    assert isinstance(foreign, Reasoning)
    assert foreign.origin == "another"


def test_a_relays_signed_call_goes_to_no_other_api() -> None:
    echo = whole(SEALED["signed call"][0])
    for dialect in ("gemini", "vertex", "anthropic", "bedrock", "openai-responses"):
        options = {"region": "r", "project": "p", "location": "l"}
        to = Target(model="m", provider=dialect, options=options)
        body = translator(CHAT, dialect, frozenset()).encode(asked(echo), to).body
        assert b"c2ln" not in body


def test_a_marked_call_of_the_providers_own_is_its_familys() -> None:
    call = ToolUse("c", "f", "{}", mark_of("acme") + "c2ln", "gemini")
    back = Conversation(turns=(Turn("assistant", (call,)),))
    assert MakerNames("openai", "acme").conversation(back).turns[0].parts == (
        ToolUse("c", "f", "{}", "c2ln", "openai"),
    )


@pytest.mark.parametrize("origin", ["gemini", "vertex", "anthropic", "acme"])
def test_a_translated_answers_signed_call_goes_to_no_relay(origin: str) -> None:
    call = tool_call(ToolUse("c1", "f", '{"a":1}', "c2ln", origin))
    echo = {**SAID, "tool_calls": [msgspec.to_builtins(call)]}
    assert sent(echo, OTHER) == {**SAID, "tool_calls": [CALL]}
    assert CHAT.conversation(asked(echo)).turns[1].parts[-1] == ToolUse("c1", "f", '{"a":1}', "c2ln", origin)
