"""The parts of answers in OpenAI's dialect that a relay reads.

Interpreted even where the rest is compiled: msgspec needs the annotations as they are written.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from weebill.providers.openai.errors import ErrorDetail
from weebill.wire.openai_chat import UsageReport


class _Completion(msgspec.Struct, frozen=True, gc=False):
    choices: list[Raw] | None = None
    usage: UsageReport | None = None
    error: ErrorDetail | str | None = None


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
    error: ErrorDetail | str | None = None


decode_completion = msgspec.json.Decoder(_Completion).decode
decode_first_chunk = msgspec.json.Decoder(_FirstChunk).decode
decode_chunk = msgspec.json.Decoder(Chunk).decode
