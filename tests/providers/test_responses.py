"""Responses as an outbound dialect: requests, whole answers, and streams however they are cut."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests import vectors
from weebill.gateway.failures import client_error
from weebill.providers.responses.dialect import RESPONSES_DIALECT
from weebill.providers.responses.stream import ResponsesStream
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import (
    Citation,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolUse,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import (
    Choice,
    Event,
    Failed,
    Finished,
    FinishReason,
    Reply,
    Started,
    TextDelta,
    Usage,
    UsageReported,
)

VECTORS = vectors.load("responses")
ID, CREATED = "resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41", 1741476777
C1, C2 = "call_unLAR8MvFNptuiZK6K6HCy5k", "call_8sMzPc4RfNnYtW2oKd6vGxQe"
RS = "rs_6820f383d7c08191846711c5df8233bc0ac5ba57aafcbac7"
ENCRYPTED = "gAAAAABoISQ24OyVRYbkYfukdJoqdzWT-3uiErKInHDC"
HELLO = Text("Hello there.")
LOOK = Text("Let me look.")
PARIS = ToolUse(C1, "get_weather", '{"city":"Paris"}')
LONDON = ToolUse(C2, "get_weather", '{"city":"London"}')
THOUGHT = "The user greets me."
used = Usage.reported
GREETED = used(11, 11, reasoning=7)

# scenario -> parts, why it ended, usage
ANSWERS: dict[str, tuple[tuple[Part, ...], FinishReason, Usage]] = {
    "text": ((HELLO,), "stop", used(11, 4)),
    "tool-one": ((PARIS,), "tool_calls", used(60, 20)),
    "tool-parallel": ((LOOK, PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-interleaved": ((PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-empty": ((ToolUse(C1, "now", "{}"),), "tool_calls", used(60, 10)),
    "vision": ((Text("A red bird."),), "stop", used(300, 5)),
    "json-schema": ((Text('{"name":"Ada","age":36}'),), "stop", used(40, 9)),
    "reasoning": ((Reasoning(THOUGHT, None, ENCRYPTED, RS, "openai"), HELLO), "stop", GREETED),
    "reasoning-two-summaries": (
        (Reasoning("First.\n\nSecond.", None, ENCRYPTED, RS, "openai"), HELLO), "stop", GREETED
    ),
    "reasoning-open": ((Reasoning(THOUGHT, None, None, RS, "openai"), HELLO), "stop", GREETED),
    "reasoning-hidden": ((Reasoning("", None, "gAAAAABoISQ2", RS, "openai"), HELLO), "stop", GREETED),
    "cached": ((HELLO,), "stop", used(1000, 4, cached=800, cache_write=100)),
    "refusal": ((Refusal("I cannot help with that."),), "refusal", used(11, 6)),
    "content-filter": ((Text("Hello"),), "content_filter", used(11, 1)),
    "length": ((HELLO,), "length", used(11, 4)),
    "length-thinking": ((Reasoning(THOUGHT, None, ENCRYPTED, RS, "openai"),), "length", used(11, 11, reasoning=11)),
    "two-texts": ((Text("Hello "), Text("there.")), "stop", used(11, 4)),
    "image": ((Image(data="iVBORw0KGgo=", media_type="image/png"), HELLO), "stop", used(11, 4)),
    "hosted-tool": ((HELLO,), "stop", used(11, 4)),
    "terse": ((HELLO, ToolUse(C1, "now", "{}")), "tool_calls", used(11, 4)),
}  # fmt: skip
DROPPED = {"hosted-tool": ("web_search_call",)}
EXPECTED = {
    name: Reply(ID, name, (Choice(parts, finish),), usage, CREATED, DROPPED.get(name, ()))
    for name, (parts, finish, usage) in ANSWERS.items()
}


def stream_bytes(name: str) -> bytes:
    return "".join(VECTORS.answers[name].stream).encode()


def events_of(pieces: Iterable[bytes], offered: frozenset[str] | None = None) -> list[Event]:
    decoder = ResponsesStream(offered)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return [*events, *decoder.finish()]


def streamed(pieces: Iterable[bytes], offered: frozenset[str] | None = None) -> Reply:
    """What the events of a stream come to; that they keep their order is checked on the way."""
    builder, last = ReplyBuilder(), -1
    events = events_of(pieces, offered)
    assert isinstance(events[0], Started)
    for event in events:
        block = getattr(event, "block", None)
        if block is not None:
            assert block in (last, last + 1)
            last = block
        builder.add(event)
    return builder.reply()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_whole_answer(name: str) -> None:
    assert RESPONSES_DIALECT.decode(bytes(VECTORS.answers[name].body)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stream_cut_at_every_byte(name: str) -> None:
    """At each of them at once; and in two pieces, at a hundred places."""
    # The echo of the request, which every stream begins with, would be most of the bytes.
    data = stream_bytes(name)
    start = data.index(b"response.output_item.added") - 10 if name != "terse" else 0
    for cut in [0, *range(start, len(data) + 1, max(1, (len(data) - start) // 100))]:
        assert streamed([data[:cut], data[cut:]]) == EXPECTED[name]
    assert streamed(data[at : at + 1] for at in range(len(data))) == EXPECTED[name]


@given(st.sampled_from(sorted(EXPECTED)), st.lists(st.integers(min_value=0), max_size=12), st.booleans())
def test_a_stream_cut_anywhere(name: str, cuts: list[int], crlf: bool) -> None:
    data = stream_bytes(name)
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert streamed(data[start:end] for start, end in pairwise(edges)) == EXPECTED[name]


def test_a_text_comes_in_pieces() -> None:
    pieces = [event.text for event in events_of([stream_bytes("text")]) if isinstance(event, TextDelta)]
    assert len(pieces) == 2


def test_citations_keep_their_original() -> None:
    raw = Raw(
        b'{"type":"url_citation","start_index":0,"end_index":5,"url":"https://example.com/hello","title":"Hello"}'
    )
    cited = Citation("https://example.com/hello", "Hello", None, 0, 5, "openai", raw)
    parts = streamed([stream_bytes("citations")]).choices[0].parts
    assert parts == (Text("Hello there.", citations=(cited,)),)
    [whole] = RESPONSES_DIALECT.decode(bytes(VECTORS.answers["citations"].body)).choices[0].parts
    assert isinstance(whole, Text)
    assert [each.url for each in whole.citations] == ["https://example.com/hello"]


def test_logprobs() -> None:
    whole = RESPONSES_DIALECT.decode(bytes(VECTORS.answers["logprobs"].body)).choices[0]
    in_pieces = streamed([stream_bytes("logprobs")]).choices[0]
    for choice in (whole, in_pieces):
        assert choice.parts == (HELLO,)
        entries = [msgspec.json.decode(entry) for entry in choice.logprobs or ()]
        assert [(entry["token"], entry["logprob"]) for entry in entries] == [("Hello", -0.5), (" there.", -0.25)]


# scenario -> status, code, param
ERRORS = {
    "error-400": (400, "decimal_above_max_value", "temperature"),
    "error-context": (400, "context_length_exceeded", "input"),
    "error-401": (502, "upstream_credential_refused", None),
    "error-404": (404, "model_not_found", None),
    "error-429": (429, "rate_limit_exceeded", None),
    "error-500": (500, "server_error", None),
    "error-overloaded": (503, "server_is_overloaded", None),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_keeps_the_providers_words(name: str) -> None:
    vector = VECTORS.answers[name]
    error = client_error(RESPONSES_DIALECT.error(vector.status, bytes(vector.body), "acme"))
    assert (error.status, error.detail.code, error.detail.param) == ERRORS[name]
    assert msgspec.json.decode(vector.body)["error"]["message"] in error.detail.message


@pytest.mark.parametrize("name", ["error-in-200", "error-first-event"])
def test_an_error_in_a_200(name: str) -> None:
    with pytest.raises(UpstreamFailure, match="failed to generate") as caught:
        RESPONSES_DIALECT.decode(bytes(VECTORS.answers[name].body))
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (502, "server_error")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"error":{"message":"x","code":"rate_limit_exceeded"}}', 429, "rate_limit_exceeded"),
        (b'{"error":{"message":"x","code":"invalid_prompt"}}', 400, "invalid_prompt"),
        (b'{"error":{"message":"x","code":"server_is_overloaded"}}', 503, "server_is_overloaded"),
        (b'{"error":{"message":"x","code":429}}', 429, "rate_limit_exceeded"),
        (b'{"error":{"message":"x","type":"server_error"}}', 502, "upstream_error"),
        (b'{"error":{"message":"x"}}', 502, "upstream_error"),
        (b'{"status":"failed","output":[]}', 502, "upstream_error"),
        (b'{"status":"in_progress","output":[]}', 502, "upstream_invalid_answer"),
        (b'{"status":"queued"}', 502, "upstream_invalid_answer"),
        (b'{"output":[7]', 502, "upstream_invalid_answer"),
        (b"{}", 502, "upstream_invalid_answer"),
        (b"<html>", 502, "upstream_invalid_answer"),
        (b"\xff", 502, "upstream_invalid_answer"),
    ],
)
def test_what_is_no_answer(body: bytes, status: int, code: str) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        RESPONSES_DIALECT.decode(body)
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (status, code)


@pytest.mark.parametrize(
    ("name", "before", "status", "said"),
    [
        ("error-first-event", "", 429, "Rate limit reached"),
        ("error-in-200", "", 502, "failed to generate"),
        ("error-mid-stream", "Hello", 502, "server had an error"),
    ],
)
def test_an_error_as_an_event_ends_the_stream(name: str, before: str, status: int, said: str) -> None:
    decoder = RESPONSES_DIALECT.stream()
    events = decoder.feed(stream_bytes(name) + stream_bytes("text"))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert client_error(failed.error).status == status
    assert said in failed.error.message
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == before
    assert not any(isinstance(event, Finished | UsageReported) for event in events)


@pytest.mark.parametrize(
    "block", [b'data: {"error":{"message":"No","code":"server_error"}}', b'{"error":{"code":502}}']
)
def test_an_error_without_a_type_is_one(block: bytes) -> None:
    decoder = RESPONSES_DIALECT.stream()
    [failed] = [*decoder.feed(block + b"\n\n"), *decoder.finish()]
    assert isinstance(failed, Failed)
    assert client_error(failed.error).status == 502


@pytest.mark.parametrize("data", [stream_bytes("cut"), b"", b"data: [DONE]\n\n", stream_bytes("text")[:3000]])
def test_a_cut_never_ends_cleanly(data: bytes) -> None:
    decoder = RESPONSES_DIALECT.stream()
    assert not any(isinstance(event, Finished) for event in decoder.feed(data))
    with pytest.raises(UpstreamFailure) as caught:
        decoder.finish()
    assert caught.value.code == "upstream_cut"


def test_the_last_blank_line_may_be_missing() -> None:
    assert streamed([stream_bytes("text").rstrip()]) == EXPECTED["text"]


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b'data: {"type":"response.output_item.done","item":{"type":"message","content":[7]}}\n\n',
    ],
)
def test_an_event_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        RESPONSES_DIALECT.stream().feed(data)
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


def test_an_event_that_is_not_known_may_look_as_it_likes() -> None:
    assert RESPONSES_DIALECT.stream().feed(b'data: {"type":"response.audio.delta","delta":[1]}\n\n') == []
