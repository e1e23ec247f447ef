"""Reads segments of the journal, while their writers may still be adding to them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNUSED = b"\0"
"""Fills the space of a segment that has no record yet."""
_READ_BYTES = 1 << 16  # in one read, of a segment whose unused space may be next
_SCAN_BYTES = 1 << 20  # in one read, of zeros


def middle(lines: bytes) -> int:
    """Returns the offset of the line that begins nearest to the middle, 0 if there is one line only."""
    half = len(lines) // 2
    after = lines.find(b"\n", half) + 1
    return after if 0 < after < len(lines) else lines.rfind(b"\n", 0, half) + 1


@contextmanager
def without_writer(path: Path) -> Iterator[int | None]:
    """Opens a segment; gives None while its writer lives. Raises FileNotFoundError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor if try_lock(descriptor) else None
    finally:
        os.close(descriptor)


def is_left(path: Path) -> bool:
    """True if a file exists and its writer is gone."""
    try:
        with without_writer(path) as descriptor:
            return descriptor is not None
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """True if a file exists and its writer lives."""
    try:
        with without_writer(path) as descriptor:
            return descriptor is None
    except FileNotFoundError:
        return False


def try_lock(descriptor: int) -> bool:
    """Returns True if a segment's writer is gone, as long as the descriptor is open."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_written(descriptor: int, offset: int, limit: int) -> bytes:
    """Returns the bytes between `offset` and the first zero, at most `limit`.

    The start of a line may be visible before its end, as its writer is another processor; the next run has it all.
    """
    parts: list[bytes] = []
    while limit:
        part, zero, _ = os.pread(descriptor, min(limit, _READ_BYTES), offset).partition(UNUSED)
        parts.append(part)
        offset += len(part)
        limit -= len(part)
        if zero or not part:
            break
    return b"".join(parts)


def data_after(descriptor: int, offset: int) -> int:
    """Returns the offset of the first byte that is no zero, from `offset` on; 0 if only zeros follow."""
    while part := os.pread(descriptor, _SCAN_BYTES, offset):
        data = part.lstrip(UNUSED)
        if data:
            return offset + len(part) - len(data)
        offset += len(part)
    return 0


def whole_lines(content: bytes) -> bytes:
    """Returns the content without an unfinished last line."""
    return content[: content.rfind(b"\n") + 1]


def sync_folder(folder: Path) -> None:
    """Writes a folder's entries to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
