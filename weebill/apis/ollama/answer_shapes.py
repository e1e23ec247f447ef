"""Answers of Ollama's API as types.

Durations are in nanoseconds, times RFC 3339.

Source: https://github.com/ollama/ollama/blob/main/api/types.go
"""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType


class CalledFunction(Struct, frozen=True, gc=False):
    """The function of a call; `index` counts an answer's calls."""

    index: int
    name: str
    arguments: Raw


class ToolCall(Struct, frozen=True, gc=False):
    """A call."""

    id: str
    function: CalledFunction


class TokenLogprob(Struct, frozen=True, omit_defaults=True):
    """A token of the answer, and the likeliest in its place."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TokenLogprob] = []


class Message(Struct, frozen=True):
    """The message of a chat."""

    role: str
    content: str
    thinking: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET


class End(Struct, frozen=True):
    """The members of the last piece. Times that are not known are left out."""

    done: bool
    done_reason: str
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class Answer(Struct, frozen=True):
    """A whole answer: `message` of a chat; else `response`, with what else it says beside it. `End` follows."""

    model: str
    created_at: str
    message: Message | UnsetType = UNSET
    response: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    logprobs: list[TokenLogprob] | UnsetType = UNSET


class Error(Struct, frozen=True, omit_defaults=True):
    """An error; in a stream with its status, as the head is gone."""

    error: str
    status: int | None = None
