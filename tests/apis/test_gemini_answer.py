"""What Gemini clients get: whole answers, streams in both forms, errors."""

import json
from base64 import b64decode
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from weebill.apis.gemini.api import GEMINI
from weebill.providers.gemini.dialect import GEMINI_DIALECT
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation, Image, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import ApiError
from weebill.wire.reply import (
    Choice,
    CitationAdded,
    Event,
    Finished,
    Logprobs,
    ReasoningDelta,
    Reply,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

ANSWERS = json.loads((Path(__file__).parents[1] / "vectors" / "gemini.json").read_text())["answers"]
ID = "KnTqaKqFJ9qRvdIP4dW7oQ8"
USAGE = Usage(11, 5, 10, True, 3, 7)
TOLD = {
    "promptTokenCount": 11,
    "candidatesTokenCount": 3,
    "totalTokenCount": 21,
    "cachedContentTokenCount": 5,
    "thoughtsTokenCount": 7,
}


def call(method: str = "generateContent") -> Call:
    return GEMINI.decode(b'{"contents":[{"parts":[{"text":"Hi"}]}]}', {}, f"mine:{method}")


def answered(*parts: Part, finish: str = "stop", **more: object) -> dict:
    choice = Choice(parts, finish, **more)  # type: ignore[arg-type]
    return json.loads(GEMINI.answer(call(), Reply(ID, "upstream", (choice,), USAGE)))


def plain(signature: str) -> str:
    """What a sealed signature says."""
    return b64decode(signature, validate=True).decode()


def test_a_whole_answer() -> None:
    assert answered(Text("Hello")) == {
        "candidates": [
            {"content": {"parts": [{"text": "Hello"}], "role": "model"}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": TOLD,
        "modelVersion": "upstream",
        "responseId": ID,
    }


def test_what_the_upstream_did_not_say_is_made_up() -> None:
    body = json.loads(GEMINI.answer(call(), Reply("", "", (Choice((Text("x"),), "stop"),), Usage(1, 0, 2))))
    assert body["modelVersion"] == "mine"
    assert body["responseId"]
    assert body["usageMetadata"] == {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}


FINISHES = {
    "stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "refusal": "SAFETY",
    "pause": "OTHER",
}  # fmt: skip


@pytest.mark.parametrize("finish", FINISHES)
def test_why_an_answer_ended(finish: str) -> None:
    whole = answered(Text("x"), finish=finish)["candidates"][0]
    streamed = run([TextDelta("x"), Finished(finish)])[-1]["candidates"][0]  # type: ignore[arg-type]
    assert whole["finishReason"] == streamed["finishReason"] == FINISHES[finish]
    assert ("finishMessage" in whole) == ("finishMessage" in streamed) == (finish in ("refusal", "pause"))


def test_no_parts() -> None:
    assert answered(finish="content_filter")["candidates"] == [
        {"content": {"role": "model"}, "finishReason": "SAFETY", "index": 0}
    ]


PARTS: list[tuple[Part, dict]] = [
    (Refusal("No."), {"text": "No."}),
    (
        ToolUse("a", "f", '{"b":1.0}', "QUJD", "gemini"),
        {"functionCall": {"id": "a", "name": "f", "args": {"b": 1.0}}, "thoughtSignature": "QUJD"},
    ),
    (ToolUse("a", "f", ""), {"functionCall": {"id": "a", "name": "f", "args": {}}}),
    (ToolUse("a", "f", '{"b'), {"functionCall": {"id": "a", "name": "f", "args": {"weebill_arguments": '{"b'}}}),
    (Image(data="aGk=", media_type="image/png"), {"inlineData": {"mimeType": "image/png", "data": "aGk="}}),
    (Image(url="https://e.com/x"), {"fileData": {"fileUri": "https://e.com/x"}}),
    (
        Audio("AAAA", "wav", transcript="Hi"),
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}, "audioTranscription": {"text": "Hi"}},
    ),
    (
        Reasoning("t", "QUJD", origin="gemini"),
        {"text": "t", "thought": True, "thoughtSignature": "QUJD"},
    ),
    (Reasoning("", "QUJD", origin="gemini"), {"text": "", "thoughtSignature": "QUJD"}),
    (Reasoning("t"), {"text": "t", "thought": True}),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_parts(part: Part, expected: dict) -> None:
    assert answered(part)["candidates"][0]["content"]["parts"] == [expected]


OPAQUE = [
    (Reasoning("t", "s:ig", origin="anthropic"), "weebill:anthropic:s:ig"),
    (Reasoning("", None, "data", None, "anthropic"), "weebill:anthropic.encrypted:data"),
    (Reasoning("t", None, "data", "rs_1", "openai"), "weebill:openai.encrypted#rs_1:data"),
    (Reasoning("t", None, None, "rs_1", "openai"), "weebill:openai#rs_1:"),
    (Reasoning("t", origin="deepseek"), "weebill:deepseek:"),
]


@pytest.mark.parametrize(("part", "expected"), OPAQUE)
def test_what_is_opaque_of_others_is_sealed_and_comes_back(part: Reasoning, expected: str) -> None:
    [written] = answered(part)["candidates"][0]["content"]["parts"]
    assert (written["text"], written["thought"]) == (part.text, True)
    assert plain(written["thoughtSignature"]) == expected
    content = {"role": "model", "parts": [written]}
    back = GEMINI.decode(json.dumps({"contents": [content]}).encode(), {}, "m:generateContent")
    assert GEMINI.conversation(back).turns[0].parts == (part,)


def test_a_calls_signature_of_others() -> None:
    [written] = answered(ToolUse("a", "f", "{}", "s", "other"))["candidates"][0]["content"]["parts"]
    assert plain(written["thoughtSignature"]) == "weebill:other:s"


@pytest.mark.parametrize(
    ("entry", "token", "logprob"),
    [
        (b'{"token":"a"}', "a", 0.0),
        (b'{"token":null,"logprob":-1,"top_logprobs":null}', "", -1.0),
        (b'{"token":"a","logprob":"-0.5","top_logprobs":[{"token":null}]}', "a", -0.5),
        (b'{"token":"a","logprob":-0.5,"top_logprobs":{}}', "a", -0.5),
        (b'"a"', "", 0.0),
        (b"null", "", 0.0),
    ],
)
def test_odd_logprobs_take_no_answer_away(entry: bytes, token: str, logprob: float) -> None:
    [candidate] = answered(Text("a"), logprobs=(Raw(entry),))["candidates"]
    assert candidate["content"]["parts"] == [{"text": "a"}]
    [chosen] = candidate["logprobsResult"]["chosenCandidates"]
    assert (chosen.get("token", ""), chosen.get("logProbability", 0.0)) == (token, logprob)


def test_logprobs_and_citations() -> None:
    entry = Raw(b'{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1,"bytes":[98]}]}')
    cited = Text("é, so", citations=(Citation("https://e.com", "E", None, 3, 5), Citation(None, "D", "quoted")))
    [candidate] = answered(Reasoning("t"), Text("é"), cited, logprobs=(entry,))["candidates"]
    assert candidate["logprobsResult"] == {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.0}]}],
    }
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [
            {"web": {"uri": "https://e.com", "title": "E"}},
            {"retrievedContext": {"title": "D", "text": "quoted"}},
        ],
        "groundingSupports": [
            {
                "segment": {"startIndex": 4, "endIndex": 6, "partIndex": 2, "text": "so"},
                "groundingChunkIndices": [0],
            }
        ],
    }


# Streams.


def run(events: list[Event], array: bool = False) -> list[dict]:
    """The pieces that a client parses, whose framing is checked."""
    encoder = GEMINI.stream(call("streamGenerateContent" if array else "streamGenerateContent?alt=sse"))
    out = b"".join([encoder.feed([event]) for event in events]) + encoder.finish()
    return pieces(out, array)


def pieces(out: bytes, array: bool = False) -> list[dict]:
    if array:
        return json.loads(out)
    blocks = out.decode().split("\r\n\r\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)
    return [json.loads(block[6:]) for block in blocks]


NATIVE = [
    name
    for name, answer in ANSWERS.items()
    if answer["status"] == 200
    and not name.startswith(("error", "finish", "cut", "code-execution", "content-filter", "prompt", "tool-no"))
]


@pytest.mark.parametrize("name", NATIVE)
def test_googles_answers_come_out_as_they_went_in(name: str) -> None:
    original = ANSWERS[name]["body"]
    written = json.loads(GEMINI.answer(call(), GEMINI_DIALECT.decode(msgspec.json.encode(original))))
    for before, after in zip(original["candidates"], written["candidates"], strict=True):
        assert after["content"] == before["content"]
        assert after["finishReason"] == before["finishReason"]
    assert written["usageMetadata"]["totalTokenCount"] == original["usageMetadata"]["totalTokenCount"]


@settings(deadline=None, max_examples=80)
@given(st.sampled_from(NATIVE), st.integers(min_value=1, max_value=5), st.booleans())
def test_googles_streams_say_the_same_when_written_again(name: str, at_once: int, array: bool) -> None:
    decoder = GEMINI_DIALECT.stream()
    events = [*decoder.feed("".join(ANSWERS[name]["stream"]).encode()), *decoder.finish()]
    encoder = GEMINI.stream(call("streamGenerateContent" if array else "streamGenerateContent?alt=sse"))
    out = b"".join([encoder.feed(events[at : at + at_once]) for at in range(0, len(events), at_once)])
    streamed = pieces(out + encoder.finish(), array)
    again = GEMINI_DIALECT.stream()
    reread = [*again.feed(b"".join([b"data: %b\n\n" % json.dumps(piece).encode() for piece in streamed]))]
    reread += again.finish()
    assert said(reread) == said(events)


def said(events: list[Event]) -> list[object]:
    """What the events say, however it is cut up."""
    whole: dict[tuple[int, int], list[object]] = {}
    rest: list[object] = []
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            before = whole.setdefault((event.choice, event.block), [type(event), "", None])
            before[1] = f"{before[1]}{event.text}"
            before[2] = getattr(event, "signature", None) or before[2]
        elif isinstance(event, ToolStarted | ToolArguments | WholePart | Finished):
            rest.append(event)
        elif isinstance(event, Logprobs):
            rest.append([bytes(entry) for entry in event.entries])
        elif isinstance(event, CitationAdded):
            rest.append(event.citation)
    usage = [event.usage for event in events if isinstance(event, UsageReported)][-1]
    return [whole, sorted(map(repr, rest)), usage]


# Errors.


def test_an_error_says_all_that_there_is() -> None:
    error = ApiError(429, "Slow down.", code="rate_limit_exceeded", param="contents", retry_after=7)
    expected = {
        "error": {
            "code": 429,
            "message": "Slow down.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "weebill",
                },
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": "contents", "description": "Slow down."}],
                },
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"},
            ],
        }
    }
    assert json.loads(GEMINI.error_body(error)) == expected
    assert pieces(GEMINI.error_event(error)) == [expected]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (418, "FAILED_PRECONDITION"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (507, "INTERNAL"),
    ],
)
def test_the_names_of_errors(status: int, name: str) -> None:
    assert json.loads(GEMINI.error_body(ApiError(status, "x")))["error"]["status"] == name
