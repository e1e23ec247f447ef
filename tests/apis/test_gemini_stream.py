"""Streams for Gemini clients, in both forms."""

import json

import pytest
from msgspec import Raw

from tests.apis.test_gemini_answer import ID, OPAQUE, TOLD, USAGE, call, pieces, plain, run
from weebill.apis.gemini.api import GEMINI
from weebill.wire.conversation import Audio, Citation, Image, Reasoning, Text
from weebill.wire.errors import ApiError
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    Logprobs,
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


def parts_of(streamed: list[dict], index: int = 0) -> list[dict]:
    """The parts before the last piece, which says only how it ended."""
    return [
        part
        for piece in streamed[:-1]
        for candidate in piece["candidates"]
        if candidate["index"] == index
        for part in candidate["content"]["parts"]
    ]


def test_the_bytes_of_a_stream() -> None:
    encoder = GEMINI.stream(call("streamGenerateContent?alt=sse"))
    assert encoder.feed([Started(ID, "upstream")]) == b""
    assert encoder.feed([TextDelta('Say "hi"\n')]) == (
        b'data: {"candidates":[{"content":{"parts":[{"text":"Say \\"hi\\"\\n"}],"role":"model"},"index":0}],'
        b'"modelVersion":"upstream","responseId":"KnTqaKqFJ9qRvdIP4dW7oQ8"}\r\n\r\n'
    )
    assert encoder.feed([UsageReported(Usage(1, 0, 9)), Finished("length"), UsageReported(USAGE)]) == b""
    assert encoder.finish() == (
        b'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS",'
        b'"index":0}],'
        b'"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":3,"totalTokenCount":21,'
        b'"cachedContentTokenCount":5,"thoughtsTokenCount":7},"modelVersion":"upstream","responseId":"KnTqaKqFJ9qRvdIP4dW7oQ8"}\r\n\r\n'
    )


STREAMED: list[tuple[list[Event], list[dict]]] = [
    ([TextDelta("a"), TextDelta("b")], [{"text": "a"}, {"text": "b"}]),
    ([RefusalDelta("No")], [{"text": "No"}]),
    (
        [
            TextDelta("a"), ToolStarted("x", "f", 1), ToolArguments('{"b"', 1), ToolArguments(":1}", 1),
            ToolStarted("y", "g", 2, 0, "QUJD", "gemini"), TextDelta("c", 3),
        ],
        [
            {"text": "a"}, {"functionCall": {"id": "x", "name": "f", "args": {"b": 1}}},
            {"functionCall": {"id": "y", "name": "g", "args": {}}, "thoughtSignature": "QUJD"}, {"text": "c"},
        ],
    ),
    (
        [
            ReasoningDelta("t", origin="gemini"), ReasoningDelta("u", "QUJD", origin="gemini"), TextDelta("a", 1),
            ReasoningDelta("", "REVG", origin="gemini", block=2),
        ],
        [
            {"text": "t", "thought": True}, {"text": "u", "thought": True},
            {"text": "", "thought": True, "thoughtSignature": "QUJD"}, {"text": "a"},
            {"text": "", "thoughtSignature": "REVG"},
        ],
    ),
    (
        [WholePart(Image(data="aGk=", media_type="image/png")), WholePart(Audio("AAAA", "pcm16"), 1)],
        [
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
            {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"}},
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("events", "expected"), STREAMED)
@pytest.mark.parametrize("array", [False, True])
def test_what_is_streamed(events: list[Event], expected: list[dict], array: bool) -> None:
    streamed = run([Started(ID, "m"), *events, Finished("stop")], array)
    assert parts_of(streamed) == expected
    assert streamed[-1]["candidates"][0]["content"]["parts"] == [{"text": ""}]


@pytest.mark.parametrize(("part", "expected"), OPAQUE)
def test_what_is_opaque_is_streamed_at_the_thoughts_end(part: Reasoning, expected: str) -> None:
    """Wherever in the part it comes."""
    told = {"id": part.id, "signature": part.signature, "encrypted": part.encrypted, "origin": part.origin}
    words = [ReasoningDelta(letter, origin=part.origin) for letter in part.text]
    for events in ([ReasoningDelta(**told), *words], [*words, ReasoningDelta(**told)]):  # type: ignore[arg-type]
        written = parts_of(run([*events, TextDelta("a", 1)]))
        assert [piece["text"] for piece in written] == [*part.text, "", "a"]
        assert plain(written[-2]["thoughtSignature"]) == expected
        contents = [{"role": "model", "parts": [piece]} for piece in written]
        back = GEMINI.decode(json.dumps({"contents": contents}).encode(), {}, "m:generateContent")
        assert GEMINI.conversation(back).turns[0].parts == (part, Text("a"))


def test_the_headers_say_the_form() -> None:
    assert b"content-type: application/json\r\n" in GEMINI.stream_headers(call("streamGenerateContent"))
    assert b"content-type: text/event-stream" in GEMINI.stream_headers(call("streamGenerateContent?alt=sse"))


def test_several_choices() -> None:
    streamed = run([
        TextDelta("a"), ToolStarted("x", "f", 0, 1), TextDelta("b"), ToolArguments("{}", 0, 1), Finished("length"),
        Finished("tool_calls", None, 1),
    ])  # fmt: skip
    assert parts_of(streamed) == [{"text": "a"}, {"text": "b"}]
    assert parts_of(streamed, 1) == [{"functionCall": {"id": "x", "name": "f", "args": {}}}]
    assert [(end["index"], end["finishReason"]) for end in streamed[-1]["candidates"]] == [
        (0, "MAX_TOKENS"), (1, "STOP"),
    ]  # fmt: skip


def test_logprobs_and_citations_of_a_stream() -> None:
    entry = Raw(b'{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}')
    citation = Citation("https://e.com", "E", None, 0, 1)
    streamed = run([
        TextDelta("é"), Logprobs((entry,)), ToolStarted("x", "f", 1), TextDelta("ü", 2),
        CitationAdded(citation, 2), Finished("stop"),
    ])  # fmt: skip
    assert streamed[1]["candidates"][0]["logprobsResult"] == {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}]
    }
    [support] = streamed[-1]["candidates"][0]["groundingMetadata"]["groundingSupports"]
    # A client's text is that of all pieces together.
    assert support["segment"] == {"startIndex": 2, "endIndex": 4, "text": "ü"}


@pytest.mark.parametrize("array", [False, True])
def test_a_stream_in_which_nothing_is_said(array: bool) -> None:
    [only] = run([Started(ID, "m"), Finished("content_filter"), UsageReported(USAGE)], array)
    assert only["candidates"][0]["finishReason"] == "SAFETY"
    assert only["usageMetadata"] == TOLD


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("events", [[], [TextDelta("a")]])
def test_a_stream_that_fails(events: list[Event], array: bool) -> None:
    encoder = GEMINI.stream(call("streamGenerateContent" if array else "streamGenerateContent?alt=sse"))
    out = encoder.feed(events) + encoder.fail(ApiError(503, "Busy."))
    assert pieces(out, array)[-1] == {"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}


# Google's own answers, read and written again, for clients that come to them by way of another dialect.
