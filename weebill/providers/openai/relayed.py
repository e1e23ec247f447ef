"""The parts of answers in OpenAI's dialect that a relay reads."""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers.openai.relayed_shapes import (
    CallsOfChunk,
    Chunk,
    Completion,
    FirstChunk,
    Plain,
    PlainChunk,
    PlainText,
)
from weebill.wire.errors import UNREADABLE
from weebill.wire.lenient import leniently

_decode_plain: Final = msgspec.json.Decoder(Plain).decode
_decode_plain_chunk: Final = msgspec.json.Decoder(PlainChunk).decode
_decode_plain_text: Final = msgspec.json.Decoder(PlainText).decode
_decode_completion: Final = msgspec.json.Decoder(Completion).decode
_decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
decode_first_chunk: Final = msgspec.json.Decoder(FirstChunk).decode
decode_calls: Final = msgspec.json.Decoder(CallsOfChunk).decode


def decode_plain(body: bytes) -> Plain | None:
    """The parts that a relay reads of a chat's whole answer that needs no mending; None if it may."""
    try:
        return _decode_plain(body)
    except UNREADABLE:
        return None


def decode_plain_text(body: bytes) -> PlainText | None:
    """The same of an answer that goes on with a text."""
    try:
        return _decode_plain_text(body)
    except UNREADABLE:
        return None


def decode_plain_chunk(data: bytes) -> PlainChunk | None:
    """The same of a chunk."""
    try:
        return _decode_plain_chunk(data)
    except UNREADABLE:
        return None


def decode_completion(body: bytes) -> Completion:
    """The part of a whole answer that a relay reads. Raises what is in `UNREADABLE`."""
    try:
        return _decode_completion(body)
    except UNREADABLE:
        return leniently(body, Completion)


def decode_chunk(data: bytes) -> Chunk:
    """The part of a chunk that a relay reads. Raises what is in `UNREADABLE`."""
    try:
        return _decode_chunk(data)
    except UNREADABLE:
        return leniently(data, Chunk)
