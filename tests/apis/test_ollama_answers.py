"""Answers and streams as Ollama's clients read them."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from msgspec import Raw

from tests.apis.test_ollama_request import HI, decoded
from weebill.apis.ollama.api import OLLAMA_CHAT, OLLAMA_GENERATE, OllamaApi
from weebill.apis.ollama.embed import OllamaEmbed
from weebill.wire.conversation import Audio, Citation, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import (
    Choice,
    CitationAdded,
    Event,
    Finished,
    FinishReason,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

USAGE: Final = Usage.reported(11, 4)
ENTRY: Final = Raw(b'{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Ho","logprob":-1.5}]}')
SHOWN: Final = {
    "token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Ho", "logprob": -1.5}],
}  # fmt: skip
CALLS: Final = (ToolUse("a", "f", '{"x":1}'), ToolUse("b", "g", ""))
SHOWN_CALLS: Final = [
    {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
    {"id": "b", "function": {"index": 1, "name": "g", "arguments": {}}},
]
FIELDS: Final[dict[str, Any]] = {"ollama.chat": HI, "ollama.generate": {"prompt": "Hi"}}
BOTH: Final = pytest.mark.parametrize("api", [OLLAMA_CHAT, OLLAMA_GENERATE], ids=["chat", "generate"])


def rendered(api: OllamaApi, parts: tuple[Part, ...], finish: FinishReason = "stop", **more: Any) -> dict[str, Any]:
    reply = Reply("id", "m", (Choice(parts, finish, **more),), USAGE, created=1_700_000_000)
    body: dict[str, Any] = json.loads(api.answer(decoded(api, **FIELDS[api.name]), reply))
    return body


def said(api: OllamaApi, piece: dict[str, Any]) -> tuple[str, str, list[Any]]:
    """The text, the thinking and the calls."""
    if api is OLLAMA_CHAT:
        message = piece["message"]
        assert message.pop("role") == "assistant"
        return message.pop("content"), message.pop("thinking", ""), message.pop("tool_calls", [])
    return piece.pop("response"), piece.pop("thinking", ""), piece.pop("tool_calls", [])


def streamed(api: OllamaApi, *events: Event) -> list[dict[str, Any]]:
    encoder = api.stream(decoded(api, **FIELDS[api.name]))
    data = encoder.feed(list(events)) + encoder.finish()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


@BOTH
def test_a_whole_answer(api: OllamaApi) -> None:
    body = rendered(api, (Reasoning("Hm."), Text("Hel"), Text("lo"), *CALLS), "tool_calls", logprobs=(ENTRY,))
    assert said(api, body) == ("Hello", "Hm.", SHOWN_CALLS)
    assert body.pop("total_duration") == body.pop("eval_duration") > 0
    assert body.pop("message", {}) == {}
    assert body == {
        "model": "m", "created_at": "2023-11-14T22:13:20Z", "logprobs": [SHOWN], "done": True, "done_reason": "stop",
        "prompt_eval_count": 11, "eval_count": 4,
    }  # fmt: skip


@BOTH
def test_a_stream(api: OllamaApi) -> None:
    pieces = streamed(
        api,
        Started("id", "served"),
        ReasoningDelta("Hm."),
        ReasoningDelta("", signature="opaque"),
        TextDelta("Hi", 1),
        Logprobs((ENTRY,)),
        TextDelta(" there", 1),
        ToolStarted("a", "f", 2),
        ToolArguments('{"x"', 2),
        ToolArguments(":1}", 2),
        ToolStarted("b", "g", 3),
        Finished("tool_calls"),
        UsageReported(USAGE),
    )
    assert {piece["model"] for piece in pieces} == {"served"}
    assert [piece["done"] for piece in pieces] == [False] * 5 + [True]
    assert [said(api, piece) for piece in pieces] == [
        ("", "Hm.", []),
        ("Hi", "", []),
        (" there", "", []),
        ("", "", SHOWN_CALLS[:1]),
        ("", "", SHOWN_CALLS[1:]),
        ("", "", []),
    ]
    assert [piece.get("logprobs") for piece in pieces] == [None, [SHOWN], None, None, None, None]
    last = pieces[-1]
    assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("stop", 11, 4)
    assert last["total_duration"] == last["prompt_eval_duration"] + last["eval_duration"]


def test_the_bytes_of_a_line() -> None:
    [line, _] = streamed(OLLAMA_CHAT, TextDelta('"\n'))
    assert line.keys() == {"model", "created_at", "message", "done"}
    assert line["message"] == {"role": "assistant", "content": '"\n'}
    assert line["created_at"].endswith("Z")


def test_a_line_is_one_to_every_client() -> None:
    """Python's `splitlines` knows more ends of a line than JSON escapes."""
    text = "a\u2028b\u2029c\u0085d\x0b\x1c\x00é"
    data = OLLAMA_CHAT.stream(decoded(OLLAMA_CHAT, **HI)).feed([TextDelta(text)]).decode()
    [line] = data.splitlines()
    assert json.loads(line)["message"]["content"] == text


def test_probabilities_without_a_text_before_have_a_line_of_their_own() -> None:
    pieces = streamed(OLLAMA_CHAT, Logprobs((ENTRY,)), Finished("stop"))
    assert [piece.get("logprobs") for piece in pieces] == [[SHOWN], None]


@BOTH
def test_only_the_first_choice_is_shown(api: OllamaApi) -> None:
    pieces = streamed(
        api, TextDelta("a"), TextDelta("b", 0, 1), Logprobs((ENTRY,), 1), Finished("length"), Finished("stop", None, 1)
    )
    assert "".join(said(api, piece)[0] for piece in pieces) == "a"
    assert pieces[-1]["done_reason"] == "length"
    assert not any("logprobs" in piece for piece in pieces)


@BOTH
def test_what_has_no_place_is_left_out(api: OllamaApi) -> None:
    events = (CitationAdded(Citation(url="u")), WholePart(Audio("AAAA", "wav")), Finished("stop"))
    assert [said(api, piece) for piece in streamed(api, *events)] == [("", "", [])]
    assert set(api.unsaid.values()) == {"audio", "images", "citations"}


REASONS: Final = [
    ("refusal", "content_filter"),
    ("length", "length"),
    ("content_filter", "content_filter"),
    ("pause", "length"),
]


@pytest.mark.parametrize(("finish", "reason"), REASONS)
def test_refusals_and_other_ends(finish: FinishReason, reason: str) -> None:
    body = rendered(OLLAMA_CHAT, (Refusal("No."),), finish)
    assert (said(OLLAMA_CHAT, body)[0], body["done_reason"]) == ("No.", reason)
    pieces = streamed(OLLAMA_CHAT, RefusalDelta("No."), Finished(finish))
    assert (said(OLLAMA_CHAT, pieces[0])[0], pieces[-1]["done_reason"]) == ("No.", reason)


def test_arguments_that_are_no_object_are_wrapped() -> None:
    body = rendered(OLLAMA_CHAT, (ToolUse("a", "f", '{"cut'),), "length")
    [called] = said(OLLAMA_CHAT, body)[2]
    assert called["function"]["arguments"] == {"weebill_arguments": '{"cut'}


@pytest.mark.parametrize("created", [0, 10**30, -(10**30)])
def test_a_time_that_no_calendar_has(created: int) -> None:
    body = json.loads(OLLAMA_CHAT.answer(decoded(OLLAMA_CHAT, **HI), Reply("", "", (), USAGE, created)))
    assert body["created_at"] > "2025"


def test_an_answer_without_choices() -> None:
    body = json.loads(OLLAMA_CHAT.answer(decoded(OLLAMA_CHAT, **HI), Reply("", "", (), USAGE)))
    assert (body["model"], said(OLLAMA_CHAT, body), body["done"]) == ("m", ("", "", []), True)


def test_errors() -> None:
    error = ApiError(429, "Too many.", code="rate_limit", param="model", retry_after=3)
    assert json.loads(OLLAMA_CHAT.error_body(error)) == {"error": "Too many."}
    for data in (OLLAMA_CHAT.error_event(error), OLLAMA_CHAT.stream(decoded(OLLAMA_CHAT, **HI)).fail(error)):
        assert data.endswith(b"\n")
        assert json.loads(data) == {"error": "Too many.", "status": 429}
    assert "OLLAMA_API_KEY" in json.loads(OLLAMA_CHAT.error_body(ApiError(401, "No key.")))["error"]


def embedding(*, older: bool, **fields: Any) -> dict[str, Any]:
    call = OllamaEmbed(older=older).decode_request(json.dumps({"model": "m", **fields}).encode(), b"")
    return {name: json.loads(bytes(value)) for name, value in call.fields.items()}


def test_embeddings() -> None:
    assert embedding(older=False, input=["a", "b"], dimensions=8, truncate=True, encoding_format="base64") == {
        "model": "m", "input": ["a", "b"], "dimensions": 8, "truncate": True,
    }  # fmt: skip
    assert embedding(older=True, prompt="a", keep_alive=0) == {"model": "m", "input": "a", "keep_alive": 0}
    body = json.dumps({
        "model": "m", "usage": {"prompt_tokens": 3},
        "data": [{"index": 1, "embedding": [0.25]}, {"index": 0, "embedding": [0.5]}],
    }).encode()  # fmt: skip
    newer = json.loads(OllamaEmbed(older=False).rendered(body))
    assert newer.pop("total_duration") > 0
    assert newer == {"model": "m", "embeddings": [[0.5], [0.25]], "prompt_eval_count": 3}
    assert json.loads(OllamaEmbed(older=True).rendered(body)) == {"embedding": [0.5]}
    with pytest.raises(UpstreamFailure):
        OllamaEmbed(older=False).rendered(b"[]")


@pytest.mark.parametrize(
    ("older", "fields", "param"),
    [
        (False, {}, "input"),
        (False, {"input": []}, "input"),
        (False, {"input": ["a", ""]}, "input[1]"),
        (True, {"prompt": ""}, "prompt"),
        (False, {"input": 1}, "input"),
    ],
)
def test_what_cannot_be_embedded_is_named(older: bool, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        embedding(older=older, **fields)
    assert (caught.value.status, caught.value.detail.param) == (400, param)
