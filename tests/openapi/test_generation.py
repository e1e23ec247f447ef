"""Answers and streams of OpenAI's generation endpoints fit OpenAI's description, whichever dialect they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.openapi.rendered import DIALECTS, Rendered, answers, rendered
from tests.openapi.schemas import COMPLETION_CHUNK, event_schemas, problems

# Fields beyond the description, each with the reason.
_MESSAGE: Final = {
    "reasoning_content": "reasoning as text, as DeepSeek and most engines name it",
    "reasoning_details": "what is opaque about reasoning, for the way back; OpenRouter's",
    "images": "images in an answer; OpenRouter's",
    "citations": "what a citation quotes, beside OpenAI's `annotations`",
    "tool_calls.extra_content": "a call's signature; Google's own in its OpenAI-compatible API",
}
_DELTA: Final = _MESSAGE | {
    "annotations": "OpenAI streams them, the description has them for whole messages only",
    "audio": "OpenAI streams it, the description has it for whole messages only",
}
_RESPONSE: Final = {
    "store": "in every example of the description",
    "output.output_format": "OpenAI says it of the images that it makes",
    "presence_penalty": "Open Responses demands it",
    "frequency_penalty": "Open Responses demands it",
}
EXTENSIONS: Final[dict[str, frozenset[str]]] = {
    # What an upstream says of an error besides: OpenRouter's `metadata` has the words of who serves the model.
    "ErrorResponse": frozenset({"error.metadata"}),
    "CreateChatCompletionResponse": frozenset(f"choices.message.{field}" for field in _MESSAGE),
    "CreateChatCompletionStreamResponse": frozenset(f"choices.delta.{field}" for field in _DELTA),
    "Response": frozenset(_RESPONSE),
    **{
        f"Response{event}Event": frozenset(f"response.{field}" for field in _RESPONSE)
        for event in ("Created", "InProgress", "Completed", "Incomplete", "Failed")
    },
    "ResponseOutputItemDoneEvent": frozenset({"item.output_format"}),
    # The flat event is documented, the nested one is sent: the SDKs raise only for that.
    "ResponseErrorEvent": frozenset({"error"}),
    # Whole texts have the bytes of their tokens, in the description too.
    "ResponseTextDeltaEvent": frozenset({"logprobs.bytes", "logprobs.top_logprobs.bytes"}),
    "ResponseTextDoneEvent": frozenset({"logprobs.bytes", "logprobs.top_logprobs.bytes"}),
}
WHOLE: Final = {
    "chat": "CreateChatCompletionResponse", "completions": "CreateCompletionResponse", "responses": "Response"
}  # fmt: skip


def schema_of(api: str, event: dict[str, Any]) -> str:
    """The schema that an event of a stream is of."""
    if api == "responses":
        return event_schemas("ResponseStreamEvent")[event["type"]]
    if "error" in event:
        return "ErrorResponse"
    return "CreateChatCompletionStreamResponse" if api == "chat" else COMPLETION_CHUNK


def faults(api: str, answer: Rendered) -> Iterator[str]:
    """Whatever does not fit in an answer, whole and streamed."""
    named = [(WHOLE[api], answer.whole), ("ErrorResponse", answer.error)]
    named += [(schema_of(api, event), event) for event in answer.stream]
    for name, value in named:
        if value is not None:
            yield from problems(value, name, EXTENSIONS.get(name, frozenset()))


@pytest.mark.parametrize("api", WHOLE)
@pytest.mark.parametrize("vectors", DIALECTS)
def test_answers_fit(api: str, vectors: str) -> None:
    found = {
        f"{scenario}: {fault}"
        for scenario in answers(vectors)
        for answer in rendered(api, vectors, scenario)
        for fault in faults(api, answer)
    }
    assert sorted(found) == []


@pytest.mark.parametrize("vectors", DIALECTS)
def test_what_may_be_null_for_a_while_is_there_at_the_end(vectors: str) -> None:
    for scenario in answers(vectors):
        for answer in rendered("responses", vectors, scenario):
            if answer.ended and answer.stream:
                assert answer.stream[-1]["response"]["usage"] is not None
            if answer.whole is not None:
                assert answer.whole["usage"] is not None
        _, asked = rendered("completions", vectors, scenario)
        if asked.ended and asked.stream:
            assert asked.stream[-1]["usage"]["total_tokens"] >= 0
            reasons = {choice["finish_reason"] for chunk in asked.stream for choice in chunk["choices"]}
            assert reasons - {None}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ErrorResponse", {"error": {"message": "m", "type": "t", "param": None}}, "'code' is a required property"),
        ("ErrorResponse", {"error": {"message": "m", "type": "t", "param": None, "code": 1}}, "$.error.code"),
        ("Model", {"id": "m", "object": "model", "created": 1, "owned_by": "o", "ownd": 1}, "ownd is not in"),
    ],
)
def test_what_does_not_fit_is_found(name: str, value: object, problem: str) -> None:
    (found,) = problems(value, name)
    assert problem in found
