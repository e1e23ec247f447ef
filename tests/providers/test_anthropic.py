"""The Anthropic dialect: answers, streams however they are cut, and errors, after `vectors/anthropic.json`."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from weebill.gateway.failures import client_error
from weebill.providers.anthropic.dialect import ANTHROPIC_DIALECT
from weebill.wire.conversation import (
    Citation,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolUse,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import (
    Choice,
    CitationAdded,
    Event,
    Failed,
    Finished,
    PassedOver,
    ReasoningDelta,
    RefusalDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)
from weebill.wire.sse import MAX_EVENT_BYTES


class AnswerVector(msgspec.Struct):
    status: int
    body: Raw
    stream: list[str] = []
    headers: dict[str, str] = {}

    def bytes(self) -> bytes:
        return "".join(self.stream).encode()


class RequestVector(msgspec.Struct):
    conversation: Raw
    path: str
    body: Raw
    stream: bool = False
    target: dict[str, Raw] = {}
    headers: str = "content-type: application/json\r\nanthropic-version: 2023-06-01\r\n"


class Vectors(msgspec.Struct):
    source: list[str]
    answers: dict[str, AnswerVector]
    requests: dict[str, RequestVector]


VECTORS = msgspec.json.decode((Path(__file__).parent.parent / "vectors" / "anthropic.json").read_bytes(), type=Vectors)
HELLO = Text("Hello there.")
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds5RVYGxn"
FIRST, SECOND = "toolu_01A09q90qw90lq917835lq1", "toolu_01A09q90qw90lq917835lq2"
reported = Usage.reported
PARIS = ToolUse(FIRST, "get_weather", '{"city":"Paris"}')
COLOURS = Citation(None, "Colours", "The grass is green.", origin="anthropic")
GRASS = Citation("https://example.com/grass", "Grass", "Grass is green.", origin="anthropic")

# What each scenario's answer is, whole or streamed.
REPLIES: dict[str, tuple[tuple[Part, ...], str, str | None, Usage]] = {
    "text": ((HELLO,), "stop", None, reported(11, 4)),
    "tool-one": ((PARIS,), "tool_calls", None, reported(60, 20)),
    "tool-parallel": (
        (Text("Let me look."), PARIS, ToolUse(SECOND, "get_weather", '{"city":"London"}')),
        "tool_calls", None, reported(60, 40),
    ),
    "tool-empty": ((ToolUse(FIRST, "now", "{}"),), "tool_calls", None, reported(60, 12)),
    "vision": ((Text("A red bird."),), "stop", None, reported(1500, 5)),
    "json-schema": ((Text('{"name":"Ada","age":36}'),), "stop", None, reported(30, 12)),
    "json-tool": ((Text('{"name":"Ada","age":36}'),), "stop", None, reported(30, 12)),
    "reasoning": (
        (Reasoning("The user greets me.", signature=SIGNATURE, origin="anthropic"), HELLO),
        "stop", None, reported(20, 11, reasoning=7),
    ),
    "reasoning-redacted": (
        (Reasoning(encrypted="EmwKAhgBEgy3va3pzix", origin="anthropic"), HELLO),
        "stop", None, reported(20, 11, reasoning=7),
    ),
    "reasoning-omitted": (
        (Reasoning(signature=SIGNATURE, origin="anthropic"), HELLO), "stop", None, reported(20, 11, reasoning=7)
    ),
    "cached": ((HELLO,), "stop", None, reported(1000, 4, cached=800, cache_write=100)),
    "citations": (
        (Text("The grass is "), Text("green", citations=(COLOURS,)), Text(".")), "stop", None, reported(80, 9)
    ),
    "server-tool": ((Text("Grass is green.", citations=(GRASS,)),), "stop", None, reported(200, 30)),
    "refusal": ((Text("I cannot help"), Refusal("That would be harmful.")), "refusal", None, reported(11, 4)),
    "content-filter": (
        (Refusal("A safety classifier stopped this answer."),), "content_filter", None, reported(11, 0)
    ),
    "length": ((Text("Once upon a"),), "length", None, reported(11, 3)),
    "length-window": ((Text("Once upon a"),), "length", None, reported(11, 3)),
    "stop-sequence": ((Text("One, two, "),), "stop", "three", reported(11, 5)),
    "pause": ((Text("Searching on."),), "pause", None, reported(11, 5)),
}  # fmt: skip
# The status, code and parameter of each scenario's error.
ERRORS = {
    "error-400": (400, None, "max_tokens"),
    "error-context": (400, "context_length_exceeded", None),
    "error-content-filter": (400, "content_filter", None),
    "error-credit": (429, "insufficient_quota", None),
    "error-401": (502, "upstream_credential_refused", None),
    "error-403": (403, "upstream_forbidden", None),
    "error-404": (404, "model_not_found", None),
    "error-413": (413, None, None),
    "error-429": (429, "rate_limit_exceeded", None),
    "error-500": (500, "upstream_error", None),
    "error-overloaded": (503, "upstream_overloaded", None),
}
FAILURES = ("error-in-200", "error-first-event", "error-mid-stream")


DROPPED = {"server-tool": ("server_tool_use", "web_search_tool_result")}


def expected(name: str) -> Reply:
    parts, finish, sequence, usage = REPLIES[name]
    choices = (Choice(parts, finish, sequence),)  # type: ignore[arg-type]
    return Reply("msg_01XFDUDYJgAACzvnptvVoYEL", name, choices, usage, dropped=DROPPED.get(name, ()))


def without_raw(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Parts without the originals of their citations, which are asserted on their own."""
    replace = msgspec.structs.replace
    return tuple(
        replace(part, citations=tuple(replace(cited, raw=None) for cited in part.citations))
        if isinstance(part, Text)
        else part
        for part in parts
    )


def accumulated(events: list[Event]) -> Reply:
    """The reply that a stream's events amount to. Blocks must be numbered one after the other, from 0."""
    started = events[0]
    assert isinstance(started, Started)
    parts: list[Part] = []
    finish, usage = None, Usage()
    passed: dict[str, None] = {}
    replace = msgspec.structs.replace

    def part(block: int, make: partial[Part]) -> None:
        assert len(parts) - 1 <= block <= len(parts)
        if block == len(parts):
            parts.append(make())

    for event in events[1:]:
        match event:
            case TextDelta(text, block):
                part(block, partial(Text, ""))
                parts[block] = replace(parts[block], text=parts[block].text + text)
            case RefusalDelta(text, block):
                part(block, partial(Refusal, ""))
                parts[block] = replace(parts[block], text=parts[block].text + text)
            case CitationAdded(citation, block):
                part(block, partial(Text, ""))
                parts[block] = replace(parts[block], citations=(*parts[block].citations, citation))
            case ReasoningDelta():
                part(event.block, partial(Reasoning, origin=event.origin))
                told = parts[event.block]
                parts[event.block] = replace(
                    told,
                    text=told.text + event.text,
                    signature=event.signature or told.signature,
                    encrypted=event.encrypted or told.encrypted,
                )
            case ToolStarted(id, name, block):
                part(block, partial(ToolUse, id, name, ""))
            case ToolArguments(json, block):
                parts[block] = replace(parts[block], arguments=parts[block].arguments + json)
            case Finished(reason, sequence):
                finish = (reason, sequence)
            case PassedOver(what):
                passed[what] = None
            case UsageReported(usage):
                pass
    assert finish is not None
    return Reply(started.id, started.model, (Choice(tuple(parts), *finish),), usage, dropped=tuple(passed))


def streamed(pieces: list[bytes]) -> list[Event]:
    decoder = ANTHROPIC_DIALECT.stream()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    if events and isinstance(events[-1], Failed):
        return events
    return [*events, *decoder.finish()]


def comparable(reply: Reply) -> Reply:
    choices = tuple(msgspec.structs.replace(choice, parts=without_raw(choice.parts)) for choice in reply.choices)
    return msgspec.structs.replace(reply, choices=choices)


def test_every_scenario_has_an_expectation() -> None:
    assert set(VECTORS.answers) == {*REPLIES, *ERRORS, *FAILURES, "cut"}


@pytest.mark.parametrize("name", REPLIES)
def test_a_whole_answer(name: str) -> None:
    assert comparable(ANTHROPIC_DIALECT.decode(bytes(VECTORS.answers[name].body))) == expected(name)


@pytest.mark.parametrize("name", REPLIES)
def test_a_stream_split_at_every_byte(name: str) -> None:
    data = VECTORS.answers[name].bytes()
    whole = streamed([data])
    assert comparable(accumulated(whole)) == expected(name)
    assert streamed([data[at : at + 1] for at in range(len(data))]) == whole
    for at in range(1, len(data), 7):
        assert streamed([data[:at], data[at:]]) == whole


@settings(deadline=None)
@given(st.sampled_from(sorted(REPLIES)), st.lists(st.integers(0, 4000), max_size=8), st.booleans())
def test_a_stream_split_anywhere(name: str, cuts: list[int], crlf: bool) -> None:
    data = VECTORS.answers[name].bytes()
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    edges = [0, *sorted(cuts), len(data)]
    events = streamed([data[start:end] for start, end in pairwise(edges)])
    assert comparable(accumulated(events)) == expected(name)


def test_a_citation_keeps_its_original() -> None:
    whole = ANTHROPIC_DIALECT.decode(bytes(VECTORS.answers["citations"].body)).choices[0].parts[1]
    pieces = accumulated(streamed([VECTORS.answers["citations"].bytes()])).choices[0].parts[1]
    for part in (whole, pieces):
        assert isinstance(part, Text)
        raw = part.citations[0].raw
        assert raw is not None
        assert msgspec.json.decode(raw)["start_char_index"] == 0
        assert msgspec.json.decode(raw)["type"] == "char_location"


def test_the_first_usage_is_not_taken_for_the_last() -> None:
    usages = [event.usage for event in streamed([VECTORS.answers["text"].bytes()]) if isinstance(event, UsageReported)]
    assert [usage.measured for usage in usages] == [False, True]
    assert usages[0].prompt_tokens == 11


@pytest.mark.parametrize("name", FAILURES)
def test_an_error_inside_a_200(name: str) -> None:
    vector = VECTORS.answers[name]
    with pytest.raises(UpstreamFailure, match="Overloaded") as raised:
        ANTHROPIC_DIALECT.decode(bytes(vector.body))
    assert (client_error(raised.value).status, client_error(raised.value).detail.code) == (503, "upstream_overloaded")
    failed = streamed([vector.bytes()])[-1]
    assert isinstance(failed, Failed)
    assert (client_error(failed.error).status, failed.error.message) == (503, "Overloaded")


def test_nothing_follows_an_error() -> None:
    decoder = ANTHROPIC_DIALECT.stream()
    events = decoder.feed(VECTORS.answers["error-mid-stream"].bytes() + VECTORS.answers["text"].bytes())
    assert [type(event) for event in events].count(Started) == 1
    assert isinstance(events[-1], Failed)


def test_a_stream_that_just_ends_is_an_error() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        streamed([VECTORS.answers["cut"].bytes()])
    assert raised.value.code == "upstream_cut"


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(name: str) -> None:
    vector = VECTORS.answers[name]
    error = client_error(ANTHROPIC_DIALECT.error(vector.status, bytes(vector.body), "claude"))
    assert (error.status, error.detail.code, error.detail.param) == ERRORS[name]
    assert msgspec.json.decode(vector.body)["error"]["message"] in error.detail.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b'{"error":"no"}', "no"),
        (b'{"message":"no"}', "no"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"", "The upstream 'claude' answered with status 502."),
    ],
)
def test_an_error_of_another_shape(body: bytes, message: str) -> None:
    assert client_error(ANTHROPIC_DIALECT.error(502, body, "claude")).detail.message == message


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"content":null}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ANTHROPIC_DIALECT.decode(body)
    assert (client_error(raised.value).status, client_error(raised.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


def test_what_is_no_event() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ANTHROPIC_DIALECT.stream().feed(b'data: {"type":\n\n')
    assert raised.value.failure.kind == "invalid_answer"


def test_an_event_that_is_too_large() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ANTHROPIC_DIALECT.stream().feed(b"data: " + b"x" * MAX_EVENT_BYTES)
    assert raised.value.failure.kind == "invalid_answer"


def test_unknown_events_and_deltas_are_passed_over() -> None:
    data = VECTORS.answers["text"].bytes()
    odd = (
        b'event: future\ndata: {"type":"future"}\n\n: comment\n\n'
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"future_delta","future":1}}\n\n'
    )
    at = data.index(b"event: content_block_stop")
    found = accumulated(streamed([data[:at] + odd + data[at:]]))
    assert msgspec.structs.replace(found, dropped=()) == expected("text")


def test_an_input_that_comes_at_once() -> None:
    block = b'{"type":"tool_use","id":"a","name":"f","input":{"x": 1}}'
    events = ANTHROPIC_DIALECT.stream().feed(
        b'data: {"type":"content_block_start","index":0,"content_block":' + block + b"}\n\n"
        b'data: {"type":"content_block_stop","index":0}\n\n'
    )
    assert list(events) == [Started("", ""), ToolStarted("a", "f"), ToolArguments('{"x":1}')]


def test_a_stream_may_end_without_its_last_blank_line() -> None:
    data = VECTORS.answers["text"].bytes()
    assert accumulated(streamed([data.rstrip()])) == expected("text")
    assert accumulated(streamed([data[: data.index(b"event: message_stop")]])) == expected("text")
