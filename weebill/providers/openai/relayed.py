"""The parts of answers in OpenAI's dialect that a relay reads."""

from __future__ import annotations

import msgspec

from weebill.providers.openai.relayed_shapes import (
    CallsOfChunk,
    Chunk,
    Completion,
    FirstChunk,
    Plain,
)
from weebill.wire.errors import UNREADABLE
from weebill.wire.lenient import leniently

_decode_plain = msgspec.json.Decoder(Plain).decode
_decode_completion = msgspec.json.Decoder(Completion).decode
_decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_first_chunk = msgspec.json.Decoder(FirstChunk).decode
decode_calls = msgspec.json.Decoder(CallsOfChunk).decode


def decode_plain(body: bytes) -> Plain | None:
    """What a relay reads of a whole answer in which nothing is to be mended; None if something may have to be."""
    try:
        return _decode_plain(body)
    except UNREADABLE:
        return None


def decode_completion(body: bytes) -> Completion:
    """What a relay reads of a whole answer. Raises what is in `UNREADABLE`."""
    try:
        return _decode_completion(body)
    except UNREADABLE:
        return leniently(body, Completion)


def decode_chunk(data: bytes) -> Chunk:
    """What a relay reads of a chunk. Raises what is in `UNREADABLE`."""
    try:
        return _decode_chunk(data)
    except UNREADABLE:
        return leniently(data, Chunk)
