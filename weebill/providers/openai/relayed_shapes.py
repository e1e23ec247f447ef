"""Types of what a relay reads of answers in OpenAI's dialect."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Raw

from weebill.providers.openai.errors import NO_ERROR
from weebill.wire.openai_chat import GroqExtra, UsageReport


class Completion(msgspec.Struct, frozen=True, gc=False):
    choices: list[Raw] | None = None
    usage: UsageReport | None = None
    error: Raw = NO_ERROR


Some = Annotated[str, msgspec.Meta(min_length=1)]

# Longer than `null` and `{}`, which are looked at.
Arguments = Annotated[str, msgspec.Meta(min_length=5)]

Nothing = Annotated[list[Raw], msgspec.Meta(max_length=0)]


class PlainFunction(msgspec.Struct, frozen=True, gc=False):
    name: Some
    arguments: Arguments


class PlainCall(msgspec.Struct, frozen=True, gc=False):
    id: Some
    type: Literal["function"]
    function: PlainFunction
    custom: None = None
    extra_content: None = None


class PlainMessage(msgspec.Struct, frozen=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[PlainCall] | None = None
    function_call: None = None
    audio: None = None
    annotations: Nothing | None = None
    reasoning_details: Nothing | None = None
    thinking_blocks: Nothing | None = None
    extra_content: None = None


class PlainChoice(msgspec.Struct, frozen=True, gc=False):
    finish_reason: Some
    message: PlainMessage
    delta: None = None
    logprobs: None = None


class PlainTextChoice(msgspec.Struct, frozen=True, gc=False):
    finish_reason: Some
    text: str | None = None
    message: PlainMessage | None = None
    delta: None = None
    logprobs: None = None


class Plain(msgspec.Struct, frozen=True, gc=False):
    """A whole answer that is just as OpenAI writes it: its text is text, its calls have all that makes a call.

    All that a model says is decoded, so that halves of UTF-16's pairs are found; the rest is left out.
    """

    choices: list[PlainChoice]
    model: str = ""
    usage: UsageReport | None = None
    error: None = None


class PlainText(msgspec.Struct, frozen=True, gc=False):
    """The same of one that goes on with a text."""

    choices: list[PlainTextChoice]
    model: str = ""
    usage: UsageReport | None = None
    error: None = None


class PlainDelta(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: None = None


class PlainDeltaChoice(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    index: int
    delta: PlainDelta
    finish_reason: Some | None = None
    logprobs: None = None


class PlainChunk(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A chunk that is just as OpenAI writes it, and holds nothing but text.

    Like `Plain`, its text is decoded; unlike that, it has no member that is not known.
    """

    object: Literal["chat.completion.chunk"]
    choices: list[PlainDeltaChoice]
    model: str = ""
    id: str = ""
    created: int = 0
    usage: UsageReport | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    obfuscation: str | None = None


class RelayedChoice(msgspec.Struct, frozen=True):
    finish_reason: str | None = None


class FirstChoice(msgspec.Struct, frozen=True):
    """One that may hold the beginning of the answer."""

    delta: dict[str, Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None


class FirstChunk(msgspec.Struct, frozen=True):
    choices: list[FirstChoice] | None = None


class Chunk(msgspec.Struct, frozen=True):
    """The part of a chunk that the gateway reads."""

    choices: list[RelayedChoice] | None = None
    usage: UsageReport | None = None
    x_groq: GroqExtra | None = None
    error: Raw = NO_ERROR


class CallsOfMessage(msgspec.Struct, frozen=True):
    """The calls in a message or a delta; from some servers, one that is in no list."""

    tool_calls: list[Raw] | dict[str, Raw] | None = None

    def is_single(self) -> bool:
        """Tells whether there is one that is in no list."""
        return isinstance(self.tool_calls, dict)

    def calls(self) -> list[Raw]:
        """All of them."""
        if isinstance(self.tool_calls, dict):
            return [Raw(msgspec.json.encode(self.tool_calls))]
        return self.tool_calls or []


class CallsOfChoice(msgspec.Struct, frozen=True):
    """A choice, as far as its calls go."""

    index: int | None = None
    delta: CallsOfMessage | None = None
    message: CallsOfMessage | None = None
    finish_reason: str | None = None


class CallsOfChunk(msgspec.Struct, frozen=True):
    id: str | None = None
    choices: list[CallsOfChoice] | None = None
