"""Streams through the accumulator of Anthropic's own SDK, and what it put together sent back as the next turn."""

from __future__ import annotations

import httpx2
import msgspec
import pytest
from anthropic import Anthropic

from tests.apis.test_anthropic import HI, call
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.wire.conversation import Citation, Part, Reasoning, Text, ToolUse
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)

CITED = Citation("https://a.example", "Birds", "Small.")


def through_the_sdk(events: list[Event]) -> dict[str, object]:
    """The message that the SDK makes of a stream, as JSON."""
    encoder = ANTHROPIC.stream(call())
    data = b"".join(encoder.feed([event]) for event in events) + encoder.finish()
    assert data.startswith(b"event: message_start\n")

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=data, headers={"content-type": "text/event-stream"})

    with (
        Anthropic(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi."}]) as stream,
    ):
        return msgspec.json.decode(stream.get_final_message().to_json(), type=dict[str, object])


def echoed(message: dict[str, object]) -> tuple[Part, ...]:
    """The parts of the message as the next request has them."""
    messages = [HI, {"role": "assistant", "content": message["content"]}]
    asked = ANTHROPIC.conversation(call(messages=messages))
    assert not asked.extra
    return tuple(part for turn in asked.turns[1:] for part in turn.parts)


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        ([TextDelta("Hi."), Finished("stop")], (Text("Hi."),)),
        ([UsageReported(Usage(5)), TextDelta("Hi."), Finished("stop")], (Text("Hi."),)),
        (
            [Started("chatcmpl-1", "n"), Started("again", "n"), TextDelta("Hi."), Finished("stop")],
            (Text("Hi."),),
        ),
        (
            [ReasoningDelta("Hm.", origin="anthropic"), ReasoningDelta(signature="s", origin="anthropic"),
             ToolStarted("a", "f", 1), ToolArguments('{"x"', 1), ToolArguments(":1}", 1), ToolStarted("b", "g", 2),
             ToolArguments("{}", 2), Finished("tool_calls")],
            (Reasoning("Hm.", "s", origin="anthropic"), ToolUse("a", "f", '{"x":1}'), ToolUse("b", "g", "{}")),
        ),
        (
            [ReasoningDelta("Hm.", origin="openai"), ReasoningDelta(encrypted="e", origin="openai", id="rs_1"),
             TextDelta("Hi.", 1), Finished("stop")],
            (Reasoning("Hm.", encrypted="e", id="rs_1", origin="openai"), Text("Hi.")),
        ),
        ([ToolStarted("a", "f"), Finished("tool_calls")], (ToolUse("a", "f", "{}"),)),
        ([ToolStarted("a", "f"), ToolArguments("nu"), ToolArguments("ll"), Finished("tool_calls")],
         (ToolUse("a", "f", "{}"),)),
        ([ToolStarted("a", "f"), ToolArguments(" ["), ToolArguments("1]"), Finished("tool_calls")],
         (ToolUse("a", "f", "[1]"),)),
        ([ToolStarted("a", "f"), ToolArguments("\n "), ToolArguments(' {"x":1}'), Finished("tool_calls")],
         (ToolUse("a", "f", '{"x":1}'),)),
    ],
)  # fmt: skip
def test_what_the_sdk_puts_together_comes_back(events: list[Event], parts: tuple[Part, ...]) -> None:
    message = through_the_sdk(events)
    assert str(message["id"]).startswith("msg_")
    assert echoed(message) == parts


def test_citations_accumulate() -> None:
    cited = [CitationAdded(CITED), CitationAdded(CITED)]
    (part,) = echoed(through_the_sdk([TextDelta("Birds"), *cited, TextDelta("."), Finished("stop")]))
    assert isinstance(part, Text)
    assert part.text == "Birds."
    assert [(each.url, each.title, each.quote) for each in part.citations] == [
        (CITED.url, CITED.title, CITED.quote)
    ] * 2


def test_a_stop_sequence_is_named() -> None:
    message = through_the_sdk([TextDelta("One"), Finished("stop", "two")])
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "two")
