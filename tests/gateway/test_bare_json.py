"""JSON in a fence: what is taken out, in answers and in streams of any pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.gateway.bare_json import BareJson, bare_json, with_bare_json
from weebill.providers.base import StreamDecoder
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import Citation, Reasoning, Text
from weebill.wire.failure import invalid_answer
from weebill.wire.reply import (
    Choice,
    Event,
    Failed,
    Finished,
    Reply,
    Started,
    TextDelta,
    ToolStarted,
    Usage,
    UsageReported,
)

BARE = '{"n": [1, 2]}'
FENCED = (
    f"```json\n{BARE}\n```",
    f"```\n{BARE}\n```\n",
    f"```JSON\r\n  {BARE}  \r\n```",
    f"```json {BARE}```",
    f"Here is the JSON that you asked for:\n\n```json\n{BARE}\n```\nTell me if it will do.",
    f"```json\n{BARE}",
)
AS_THEY_ARE = (
    BARE,
    f"  {BARE}\n```json\n{{}}\n```",
    "",
    "It is sunny.",
    "Use `n`, or ```n```.",
    "```json\n{n: 1}\n```",
    f"```json\n{BARE}\n```\nor\n```json\n{BARE}\n```",
    f"```python\nprint({BARE})\n```",
    "A long story. " * 40 + f"```json\n{BARE}\n```",
    f"```json\n{BARE}\n```" + "\nA long story." * 40,
    '{"code": "```json\\n{}\\n```"}',
)


class _Events:
    """A decoder whose events are given, one for each byte that it is fed."""

    def __init__(self, *events: Event) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> Sequence[Event]:
        told, self._events = self._events[: len(data)], self._events[len(data) :]
        return told

    def finish(self) -> Sequence[Event]:
        return self._events


def told(*events: Event) -> list[Event]:
    decoder: StreamDecoder = _Events(*events)
    stream = BareJson(decoder)
    found = [event for _ in events for event in stream.feed(b".")]
    return [*found, *stream.finish()]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("text", FENCED)
def test_json_in_a_fence(text: str) -> None:
    assert bare_json(text) == BARE


@pytest.mark.parametrize("text", AS_THEY_ARE)
def test_what_stays_as_it_is(text: str) -> None:
    assert bare_json(text) == text


def test_a_fence_within_the_json() -> None:
    inner = '{"code": "```\\nx\\n```"}'
    assert bare_json(f"```json\n{inner}\n```") == inner


def test_other_parts_and_cited_texts_stay() -> None:
    def answer(*parts: Text | Reasoning) -> Reply:
        return Reply("r", "m", (Choice(parts, "stop"),), Usage())

    thinking = Reasoning(FENCED[0])
    assert with_bare_json(answer(thinking, Text(FENCED[0]))) == answer(thinking, Text(BARE))
    for parts in ((Text(FENCED[0], citations=(Citation(start=0, end=3),)),), (Text(FENCED[0]), Text(FENCED[0]))):
        assert with_bare_json(answer(*parts)) == answer(*parts)


@given(st.sampled_from(FENCED + AS_THEY_ARE), st.lists(st.integers(0, 700), max_size=6), st.booleans())
def test_streams_say_the_same_whatever_their_pieces(text: str, cuts: list[int], ends: bool) -> None:
    places = [0, *sorted(cuts), len(text)]
    pieces = [TextDelta(text[at:to]) for at, to in pairwise(places)]
    end: list[Event] = [Finished("stop")] if ends else []
    events = told(Started("r", "m"), *pieces, *end, UsageReported(Usage()))
    # A story of 560 characters goes on as it comes, whatever follows.
    assert text_of(events) == bare_json(text)
    assert (Finished("stop") in events) is ends


def test_what_is_no_fence_goes_on_at_once() -> None:
    stream = BareJson(_Events(TextDelta("It is"), TextDelta(" x" * 300), TextDelta(" y"), Finished("stop")))
    assert stream.feed(b".") == []
    assert stream.left_out == 1
    assert text_of(stream.feed(b".")) == "It is" + " x" * 300
    assert text_of(stream.feed(b".")) == " y"
    assert stream.left_out == 0
    bare = BareJson(_Events(TextDelta(" \n"), TextDelta('{"n":'), TextDelta("1}")))
    assert [text_of(bare.feed(b".")) for _ in range(3)] == ["", ' \n{"n":', "1}"]


def test_the_pieces_left_out_are_counted() -> None:
    stream = BareJson(_Events(*map(TextDelta, ("```", "json\n", '{"n"', ":1}", "\n```")), Finished("stop")))
    assert text_of(stream.feed(b"......")) == '{"n":1}'
    assert stream.left_out == 3


@pytest.mark.parametrize("after", [ToolStarted("c", "f", block=1), TextDelta("More.", block=1)])
def test_text_that_something_else_follows_stays(after: Event) -> None:
    events = told(TextDelta(FENCED[0]), after, Finished("tool_calls"))
    assert events[0] == TextDelta(FENCED[0])
    assert events[1] == after


def test_choices_are_apart() -> None:
    first, second = [TextDelta("```json\n", choice=n) for n in (0, 1)]
    rest = TextDelta("{}\n```", choice=0), TextDelta("{]\n```", choice=1)
    builder = ReplyBuilder()
    for event in told(first, second, *rest, Finished("stop"), Finished("stop", choice=1)):
        builder.add(event)
    assert [choice.parts for choice in builder.reply().choices] == [(Text("{}"),), (Text("```json\n{]\n```"),)]


def test_a_stream_that_fails_says_what_has_come() -> None:
    failed = Failed(invalid_answer("broken"))
    assert told(TextDelta(FENCED[0]), failed) == [TextDelta(FENCED[0]), failed]


def test_no_more_pieces_are_held_than_a_loop_passes_on_at_once() -> None:
    stream = BareJson(_Events())
    assert stream.read([TextDelta("```json\n")]) == []
    pieces = [TextDelta("1")] * 100_000
    passed = [len(stream.read([piece])) for piece in pieces]
    assert max(passed) < 30_000
    assert sum(passed) == 1 + len(pieces)
