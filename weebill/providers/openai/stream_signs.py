"""Signs of what an event of a stream in OpenAI's dialect says, found by its literal bytes."""

from __future__ import annotations

from typing import Final

from weebill.providers.openai.relayed import decode_chunk, decode_first_chunk
from weebill.providers.openai.relayed_shapes import Chunk
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.literals import EMPTY
from weebill.wire.sse import event_data

_NOTHING: Final = 0
_END_ALONE: Final = 1
_CONTENT: Final = 2
NO_USAGE: Final = b'"usage":null'
_USAGE: Final = b'"usage":'
_END: Final = b"\n\n"
_CRLF_END: Final = b"\n\r\n"
_CR_END: Final = b"\r\r"
_ASIDE: Final = (b"event:", b"id:", b"retry:", b":")
# What says nothing yet: the role, and fields that are there for form's sake.
_ROLE: Final = "role"


def has_no_data(block: bytes) -> bool:
    """Tells whether an event has nothing but a name, an id or a time, on which OpenAI's SDKs fail; a comment passes."""
    lines = block.split(b"\n")
    return all(line.startswith(_ASIDE) for line in lines) and not all(line.startswith(b":") for line in lines)


def says_usage(data: bytes) -> bool:
    """Tells whether any chunk has a usage that is not null."""
    return data.find(_USAGE) >= 0 and data.count(_USAGE) != data.count(NO_USAGE)


def ends(data: bytes, reason: bytes) -> int:
    """Counts the choices that have said why they ended; some servers say "" until they have."""
    return data.count(reason) - data.count(reason + b'"')


def has_end(data: bytearray, start: int) -> bool:
    """Tells whether an event ends in `data` after `start`, by any line end."""
    return data.find(_END, start) >= 0 or data.find(_CRLF_END, start) >= 0 or data.find(_CR_END, start) >= 0


def with_line_feeds(data: bytes) -> bytes:
    """Events with LF as line end. Where CR is one by itself, two come together, as they never do in CR LF."""
    data = data.replace(b"\r\n", b"\n")
    return data.replace(b"\r", b"\n") if data.find(_CR_END) >= 0 else data


def beginning(data: bytes) -> tuple[bool, bool]:
    """Tells whether any of the answer, its end included, is in whole events; and whether any that was said is."""
    begun = False
    for block in data[:-2].split(_END):
        said = _says(block)
        if said == _CONTENT:
            return True, True
        begun = begun or said > _NOTHING
    return begun, False


def _says(block: bytes) -> int:
    """Tells whether any of the answer itself is in an event, or at least its end."""
    try:
        chunk = decode_first_chunk(event_data(block))
    except UNREADABLE:
        return _NOTHING
    says = _NOTHING
    for choice in chunk.choices or ():
        if choice.text or any(
            name != _ROLE and bytes(value) not in EMPTY for name, value in (choice.delta or {}).items()
        ):
            return _CONTENT
        if choice.finish_reason is not None:
            says = _END_ALONE
    return says


def unreadable(error: Exception) -> UpstreamFailure:
    """The error for an event that cannot be put right."""
    message = f"The upstream sent an event that cannot be read: {error}."
    return invalid_answer(message)


def chunk_of(data: bytes) -> Chunk | None:
    """The chunk in an event's data; None if it is none (a comment, or not of this shape)."""
    try:
        return decode_chunk(data)
    except UNREADABLE:
        return None
