"""A streamed answer, put together by OpenAI's own SDK and sent back as the next turn, means what was said."""

from __future__ import annotations

import json

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from tests.apis.chat import CHAT, HI, PICTURE, call
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import Citation, Text, ToolUse
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

CUSTOM = [{"type": "custom", "custom": {"name": "sh"}}, {"type": "function", "function": {"name": "f"}}]


def cited(url: str) -> CitationAdded:
    return CitationAdded(Citation(url, "t", None, 0, 1), 1)


SAID: list[list[Event]] = [
    [TextDelta("a"), TextDelta("b")],
    [RefusalDelta("N"), RefusalDelta("o.")],
    [
        ReasoningDelta("words", None, None, "rs_1", "openai"),
        ReasoningDelta("", None, "enc", "rs_1", "openai"),
        ReasoningDelta("more", None, "enc2", "rs_2", "openai", 1),
        TextDelta("a", 2),
    ],
    [
        ReasoningDelta("thinking", "sig", origin="anthropic"),
        ReasoningDelta("", None, "redacted", origin="anthropic", block=1),
        ReasoningDelta("again", "sig2", origin="anthropic", block=2),
        ToolStarted("c1", "f", 3),
        ToolArguments('{"a":', 3),
        ToolArguments("1}", 3),
        ToolStarted("c2", "f", 4, signature="s", origin="gemini"),
        ToolArguments("{}", 4),
    ],
    [ReasoningDelta("", None, "e", "rs_1", "openai"), TextDelta("a", 1), cited("u"), cited("v"), cited("w")],
    [TextDelta("a"), ToolStarted("c1", "sh", 1), ToolArguments('{"input":"l', 1), ToolArguments('s"}', 1),
     ToolStarted("c2", "f", 2), ToolArguments("{}", 2)],
    [WholePart(PICTURE), WholePart(PICTURE, 1)],
    # As Gemini has it: the words of a thought, and what is opaque apart from them.
    [
        ReasoningDelta("It ", origin="gemini"),
        ReasoningDelta("is.", origin="gemini"),
        ReasoningDelta("", "sig", origin="gemini", block=1),
        TextDelta("Yes", 2),
    ],
    [
        ReasoningDelta("open", origin="vertex"),
        ReasoningDelta("sealed", "sig", origin="vertex", block=1),
        ReasoningDelta("", "sig2", origin="vertex", block=2),
        TextDelta("Yes", 3),
    ],
]  # fmt: skip


def streamed(events: list[Event]) -> tuple[list[dict[str, object]], dict[object, object]]:
    """The chunks of a stream, and the message that the SDK makes of them."""
    encoder = CHAT.stream(call(messages=HI, tools=CUSTOM))
    written = b"".join([encoder.feed([event]) for event in events]) + encoder.finish()
    chunks = [json.loads(block[6:]) for block in written.split(b"\n\n") if block.startswith(b"data: {")]
    message: dict[object, object] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            message = accumulate_delta(message, choice["delta"])
    return chunks, message


@pytest.mark.parametrize("said", SAID)
def test_a_streamed_answer_as_the_next_turn(said: list[Event]) -> None:
    builder = ReplyBuilder()
    for event in said:
        builder.add(event)
    (choice,) = builder.reply().choices
    _, message = streamed([Started("id1", "m1"), *said, Finished("stop")])
    answer = json.loads(CHAT.answer(call(messages=HI, tools=CUSTOM), builder.reply()))["choices"][0]["message"]
    for each in (message, answer):
        asked = CHAT.conversation(call(messages=[each], tools=CUSTOM))
        (turn,) = asked.turns
        assert tuple(part for part in turn.parts if part != Text("")) == choice.parts
        assert asked.extra == {}


def test_custom_calls_are_answered_as_such() -> None:
    _, message = streamed([Started("id1", "m1"), *SAID[5], Finished("tool_calls")])
    calls = [{"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]
    assert message["tool_calls"][:1] == calls  # type: ignore[index]


def test_custom_input_comes_as_it_is_said() -> None:
    pieces = [ToolArguments(piece) for piece in ('{"input":"l', 's \\"a', '\\"', '"}')]
    chunks, message = streamed([Started("i", "m"), ToolStarted("c1", "sh"), *pieces, Finished("tool_calls")])
    calls = [chunk["choices"][0]["delta"].get("tool_calls") for chunk in chunks if chunk["choices"]]  # type: ignore[index]
    # The SDK puts together what follows in the first.
    assert [call[0]["custom"]["input"] for call in calls if call][1:] == ["l", 's "a', '"']
    assert message["tool_calls"][0]["custom"] == {"name": "sh", "input": 'ls "a"'}  # type: ignore[index]


def test_a_stream_that_nobody_has_begun_has_its_head() -> None:
    chunks, message = streamed([TextDelta("a"), Finished("stop"), UsageReported(Usage.reported(1, 1))])
    assert message == {"role": "assistant", "content": "a"}
    assert {chunk["model"] for chunk in chunks} == {"m"}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_second_beginning_changes_nothing() -> None:
    chunks, _ = streamed(
        [Started("chatcmpl-1", "m1"), TextDelta("a"), Started("chatcmpl-2", "m2"), TextDelta("b", 0, 1)]
    )
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-1"}


def test_a_call_is_what_it_was_before() -> None:
    use = ToolUse("c1", "sh", "not JSON")
    _, message = streamed(
        [Started("i", "m"), ToolStarted("c1", "sh"), ToolArguments(use.arguments), Finished("tool_calls")]
    )
    assert message["tool_calls"][0]["custom"] == {"name": "sh", "input": "not JSON"}  # type: ignore[index]
