"""A worker's usage journal: append-only segment files, one JSON record a line.

A segment's space is reserved before its first record and mapped into memory, so that a record costs a copy rather
than a system call, and cannot fail for want of space. Zero bytes follow the last record until the segment is closed.
A record is in the page cache before its response ends, so it survives the death of any process. The writer holds
an exclusive `flock` on its segment: whoever can take the lock knows that the segment will not grow any more.
Segment names are never used again, so a mark kept for one can never be taken for another's.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from weebill.config.schema import MeteringSettings
from weebill.ledger.records import UsageRecord
from weebill.telemetry.disk import folder_bytes

SEGMENT_SUFFIX = ".jsonl"
DRAFT_SUFFIX = ".draft"

_PROBE_INTERVAL_S = 0.25
_SMALLEST_SEGMENT = 4096  # several times the longest record
_NEWLINE = 10

log = logging.getLogger(__name__)


class JournalError(Exception):
    """A record could not be written, so the request it belongs to must not be answered as if it had been."""


class JournalFull(JournalError):  # noqa: N818 - a state rather than an error
    """The segments that wait for the control process have reached `journal_max_bytes`."""


class JournalWriter:
    """Appends the usage records of one worker process; `workers` is how many share the folder.

    A segment holds at most `segment_bytes`, less where `journal_max_bytes` leaves each worker less than four, or where
    the disk is nearly full.
    """

    def __init__(self, folder: Path, worker_index: int, settings: MeteringSettings, workers: int = 1) -> None:
        self._folder = folder
        self._name = f"{time.time_ns() // 1_000_000:013d}-w{worker_index}-{secrets.token_hex(8)}"
        self._sequence = 0
        self._max_bytes = settings.journal_max_bytes
        self._segment_bytes = max(_SMALLEST_SEGMENT, min(settings.segment_bytes, self._max_bytes // (4 * workers)))
        self._encode = msgspec.json.Encoder().encode
        self._descriptor = -1
        self._segment: mmap.mmap | None = None
        self._room = 0
        self._size = 0
        self._synced = 0
        self._fault: JournalError | None = None
        self._probe_at = 0.0
        self.writable()

    def append(self, record: UsageRecord) -> None:
        """Write one record. Raises JournalError, JournalFull; then no trace of the record is left."""
        line = self._encode(record)
        end = self._size + len(line)
        if end >= self._room:
            self._rotate()
            end = len(line)
        segment = self._segment
        if segment is None or end >= self._room:
            raise JournalError(f"a usage record of {len(line)} bytes does not fit into a segment")
        segment[self._size : end] = line
        # Last, for without it a line is not read: a writer may die in between.
        segment[end] = _NEWLINE
        self._size = end + 1

    def writable(self) -> bool:
        """Whether `append` can be expected to work: ask before taking a request.

        After a failure this tries again, at most four times a second.
        """
        if self._segment is not None:
            return True
        now = time.monotonic()
        if now < self._probe_at:
            return False
        self._probe_at = now + _PROBE_INTERVAL_S
        try:
            self._rotate()
        except JournalError:
            return False
        return True

    @property
    def fault(self) -> JournalError | None:
        """Why nothing can be written at present."""
        return self._fault

    def unsynced(self) -> int:
        """A descriptor of the segment for whoever writes it to the disk and closes it; -1 where nothing is new."""
        if self._segment is None or self._size == self._synced:
            return -1
        self._synced = self._size
        return os.dup(self._descriptor)

    def close(self) -> None:
        """Let go of the segment; what is in it stays for the control process."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._room = 0
            # Readers cope with the rest of zeros, too.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            os.close(self._descriptor)

    def _rotate(self) -> None:
        """Go on in a new segment.

        The old one is let go first: it could be all that fills the journal, and only then may it be deleted.
        """
        self.close()
        try:
            if folder_bytes(self._folder) >= self._max_bytes:
                raise self._report(
                    JournalFull(
                        f"the journal holds {self._max_bytes} bytes that are not ingested; is the control process up? "
                        "(metering.journal_max_bytes)"
                    )
                )
            self._open_segment()
        except OSError as error:
            raise self._failed(error) from error
        self._size = self._synced = 0
        if self._fault is not None:
            log.info("usage is written again")
            self._fault = None

    def _open_segment(self) -> None:
        """Create, lock and only then publish a segment: unlocked, it would look like a dead worker's."""
        path = self._folder / f"{self._name}-{self._sequence:06d}{SEGMENT_SUFFIX}"
        self._sequence += 1
        draft = path.with_suffix(DRAFT_SUFFIX)
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            room = _reserve(descriptor, self._segment_bytes)
            self._segment = mmap.mmap(descriptor, room)
            draft.rename(path)
        except BaseException:
            self._segment = None
            os.close(descriptor)
            with suppress(OSError):
                draft.unlink()
            raise
        self._room = room
        self._descriptor = descriptor

    def _failed(self, error: OSError) -> JournalError:
        advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the folder"
        return self._report(JournalError(f"cannot write usage to {self._folder}: {error.strerror}; {advice}"))

    def _report(self, fault: JournalError) -> JournalError:
        if self._fault is None:
            log.error("%s", fault)
        self._fault = fault
        return fault


def sync(descriptor: int) -> None:
    """Write a segment to the disk, so that a power cut costs no more than what has come since. Raises OSError.

    The page cache's own time is half a minute. Unlike `msync`, this leaves the interpreter to others meanwhile.
    """
    try:
        if sys.platform == "linux":
            os.fdatasync(descriptor)
        else:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, wanted: int) -> int:
    """Give an empty file space that is its own, `wanted` bytes or, on a full disk, as much as there is of it.

    Raises OSError when there is not even enough for the smallest segment.
    """
    size = wanted
    while True:
        try:
            if sys.platform == "linux":
                os.posix_fallocate(descriptor, 0, size)
            else:  # macOS has no such call
                os.pwrite(descriptor, bytes(size), 0)
        except OSError as error:
            os.ftruncate(descriptor, 0)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or size <= _SMALLEST_SEGMENT:
                raise
            size = max(_SMALLEST_SEGMENT, size // 4)
        else:
            return size
