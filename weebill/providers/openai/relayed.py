"""The parts of answers in OpenAI's dialect that a relay reads.

Interpreted even where the rest is compiled: msgspec needs the annotations as they are written.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from weebill.providers.openai.errors import NO_ERROR
from weebill.wire.errors import UNREADABLE
from weebill.wire.lenient import leniently
from weebill.wire.openai_chat import UsageReport


class _Completion(msgspec.Struct, frozen=True, gc=False):
    choices: list[Raw] | None = None
    usage: UsageReport | None = None
    error: Raw = NO_ERROR


_Some = Annotated[str, msgspec.Meta(min_length=1)]
# Longer than `null` and `{}`, which are looked at.
_Arguments = Annotated[str, msgspec.Meta(min_length=5)]
_Nothing = Annotated[list[Raw], msgspec.Meta(max_length=0)]


class _PlainFunction(msgspec.Struct, frozen=True, gc=False):
    name: _Some
    arguments: _Arguments


class _PlainCall(msgspec.Struct, frozen=True, gc=False):
    id: _Some
    type: Literal["function"]
    function: _PlainFunction
    custom: None = None
    extra_content: None = None


class _PlainMessage(msgspec.Struct, frozen=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_PlainCall] | None = None
    function_call: None = None
    annotations: _Nothing | None = None
    reasoning_details: _Nothing | None = None
    thinking_blocks: _Nothing | None = None
    extra_content: None = None


class _PlainChoice(msgspec.Struct, frozen=True, gc=False):
    finish_reason: _Some
    message: _PlainMessage | None = None
    delta: None = None
    text: str | None = None
    logprobs: None = None


class _Plain(msgspec.Struct, frozen=True, gc=False):
    """A whole answer that is just as OpenAI writes it: its text is text, its calls have all that makes a call.

    All that a model says is decoded, so that halves of UTF-16's pairs are found; the rest is left out.
    """

    choices: list[_PlainChoice]
    model: str = ""
    usage: UsageReport | None = None
    error: None = None


class _Choice(msgspec.Struct, frozen=True):
    finish_reason: str | None = None


class _FirstChoice(msgspec.Struct, frozen=True):
    """One that may hold the beginning of the answer."""

    delta: dict[str, Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None


class _FirstChunk(msgspec.Struct, frozen=True):
    choices: list[_FirstChoice] | None = None


class _Groq(msgspec.Struct, frozen=True):
    usage: UsageReport | None = None


class Chunk(msgspec.Struct, frozen=True):
    """The part of a chunk that the gateway reads."""

    choices: list[_Choice] | None = None
    usage: UsageReport | None = None
    x_groq: _Groq | None = None
    error: Raw = NO_ERROR


class CallsOfMessage(msgspec.Struct, frozen=True):
    """The calls in a message or a delta."""

    tool_calls: list[Raw] | None = None
    # Not `Raw | None`, which takes nothing but null.
    function_call: Raw | UnsetType = UNSET


class CallsOfChoice(msgspec.Struct, frozen=True):
    """A choice, as far as its calls go."""

    index: int | None = None
    delta: CallsOfMessage | None = None
    message: CallsOfMessage | None = None


class _Calls(msgspec.Struct, frozen=True):
    id: str | None = None
    choices: list[CallsOfChoice] | None = None


_decode_plain = msgspec.json.Decoder(_Plain).decode
_decode_completion = msgspec.json.Decoder(_Completion).decode
_decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_first_chunk = msgspec.json.Decoder(_FirstChunk).decode
decode_calls = msgspec.json.Decoder(_Calls).decode


def decode_plain(body: bytes) -> _Plain | None:
    """What a relay reads of a whole answer in which nothing is to be mended; None if something may have to be."""
    try:
        return _decode_plain(body)
    except UNREADABLE:
        return None


def decode_completion(body: bytes) -> _Completion:
    """What a relay reads of a whole answer. Raises what is in `UNREADABLE`."""
    try:
        return _decode_completion(body)
    except UNREADABLE:
        return leniently(body, _Completion)


def decode_chunk(data: bytes) -> Chunk:
    """What a relay reads of a chunk. Raises what is in `UNREADABLE`."""
    try:
        return _decode_chunk(data)
    except UNREADABLE:
        return leniently(data, Chunk)
