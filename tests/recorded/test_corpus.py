"""What the recordings are: many, of many, and no two the same but for their words."""

from __future__ import annotations

from typing import Any

from tests.recorded import answers, requests
from tests.recorded.known import AS_SENT, KNOWN
from tests.recorded.test_answers import apis
from tests.recorded.test_requests import targets

# Members whose values are words of an API rather than of a model or a person.
WORDS = frozenset({"type", "role", "object", "status", "finish_reason", "stop_reason", "finishReason", "stopReason"})


def shape(value: Any, name: str = "") -> Any:
    """Members in order, types, emptiness, words of the API; equal entries beside each other once."""
    if isinstance(value, dict):
        return tuple((name, shape(member, name)) for name, member in value.items())
    if isinstance(value, list):
        entries = [shape(entry, name) for entry in value]
        return ("list", *(entry for at, entry in enumerate(entries) if at == 0 or entry != entries[at - 1]))
    if isinstance(value, str):
        return value if name in WORDS else bool(value) and "text"
    return type(value).__name__


def test_answers_are_many_and_distinct() -> None:
    recorded = [answer for answer in answers().values() if answer.provider != "reports"]
    shapes = {(answer.dialect, shape(answer.body), shape(answer.events)) for answer in recorded}
    assert len(shapes) >= 200
    assert len({answer.provider for answer in recorded}) >= 10
    assert {answer.dialect for answer in recorded} >= {
        "openai", "azure", "mistral", "openai-responses", "anthropic", "gemini", "vertex", "bedrock", "cohere",
        "ollama",
    }  # fmt: skip
    assert sum(answer.streamed for answer in recorded) >= 80


def test_requests_are_many_and_distinct() -> None:
    assert len({(request.api, shape(request.body)) for request in requests().values()}) >= 60
    assert len({request.client for request in requests().values()}) >= 10
    assert {request.api for request in requests().values()} == {
        "chat", "completions", "responses", "anthropic", "gemini",
    }  # fmt: skip


def test_what_is_known_is_there() -> None:
    for name, api in AS_SENT:
        assert api in apis(answers()[name])
    for name, where in KNOWN:
        assert where in (apis(answers()[name]) if name in answers() else targets(requests()[name]))
