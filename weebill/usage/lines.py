"""The lines of a journal: usage records, which are JSON arrays, and the few ratings, which are objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import msgspec

from weebill.usage.records import Rating, UsageRecord

_PIECE_BYTES: Final = 1 << 14  # decoded between two yields of the processor: a fifth of a millisecond
_RATING: Final = b"{"
_AFTER_ANOTHER: Final = b"\n" + _RATING

_records: Final = msgspec.json.Decoder(UsageRecord)
_ratings: Final = msgspec.json.Decoder(Rating)


def read_lines(lines: bytes, ratings: list[Rating]) -> Iterator[list[UsageRecord]]:
    """Yields the records in `lines`, in pieces of about `_PIECE_BYTES`, and adds the ratings to `ratings`.

    Raises MsgspecError or UnicodeError for a line that is neither.
    """
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", start + _PIECE_BYTES) + 1 or len(lines)
        piece = lines[start:end]
        if piece.startswith(_RATING) or _AFTER_ANOTHER in piece:
            piece = _without_ratings(piece, ratings)
        yield _records.decode_lines(piece)
        start = end
        # A request that came meanwhile must not wait for the end of this thread's time slice.
        os.sched_yield()


def is_line(line: bytes) -> bool:
    """True if a line is whole, and a record or a rating."""
    try:
        (_ratings if line.startswith(_RATING) else _records).decode(line)
    except (msgspec.MsgspecError, UnicodeError):
        return False
    return line.endswith(b"\n")


def _without_ratings(piece: bytes, ratings: list[Rating]) -> bytes:
    """Takes ratings out of a piece of lines."""
    others: list[bytes] = []
    for line in piece.split(b"\n"):
        if line.startswith(_RATING):
            ratings.append(_ratings.decode(line))
        else:
            others.append(line)
    return b"\n".join(others)
