"""A worker's usage journal: append-only segment files, one JSON record or rating a line.

A segment's space is reserved before its first record and mapped into memory, so a record costs a copy rather than a
system call, and cannot fail on a full disk. Zero bytes follow the last record until the segment is closed.
A record is in the page cache before its response ends, so it survives the death of any process. The writer holds
an exclusive `flock` on its segment: a process that can take the lock knows that the segment will not grow any more.
Names of segments are never reused, so a mark cannot be mistaken for another segment's.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from weebill.config.schema import MeteringSettings
from weebill.telemetry.disk import folder_bytes
from weebill.usage.drafts import locked_draft
from weebill.usage.intents import INTENTS_SUFFIX, Intents
from weebill.usage.records import Intent, Rating, UsageRecord

SEGMENT_SUFFIX = ".jsonl"

_PROBE_INTERVAL_S = 0.25
_SMALLEST_SEGMENT = 4096  # several times the longest record
_NEWLINE = 10

log = logging.getLogger(__name__)


class JournalError(Exception):
    """A record could not be written, so its request must not be answered as complete."""


class JournalFull(JournalError):  # noqa: N818 - a state rather than an error
    """The segments that are not ingested yet have reached `journal_max_bytes`."""


class JournalWriter:
    """Appends the usage records of one worker process; `workers` is the number of workers that share the folder.

    A segment has at most `segment_bytes`; less if `journal_max_bytes` allows each worker fewer than four such segments,
    or if the disk is nearly full.
    """

    def __init__(self, folder: Path, worker_index: int, settings: MeteringSettings, workers: int = 1) -> None:
        self._folder = folder
        self.name: Final = f"{time.time_ns() // 1_000_000:013d}-w{worker_index}-{secrets.token_hex(8)}"
        self._sequence = 0
        self._max_bytes = settings.journal_max_bytes
        self._segment_bytes = max(_SMALLEST_SEGMENT, min(settings.segment_bytes, self._max_bytes // (4 * workers)))
        self.intents = Intents(folder / f"{self.name}{INTENTS_SUFFIX}")
        self.epoch = time.time() - time.monotonic()
        """The difference of Unix time and `time.monotonic()`, in seconds."""
        self._encode = msgspec.json.Encoder().encode
        self._descriptor = -1
        self._segment: mmap.mmap | None = None
        self._room = 0
        self._size = 0
        self._synced = 0
        self._fault: JournalError | None = None
        self._notes = True  # True if intents can be written
        self._probe_at = 0.0
        self._closed = False
        self.writable()

    def intend(self, intent: Intent, slot: int = -1) -> int:
        """Notes a request before its upstream is called, in place of the note in `slot`; returns the new slot.

        Raises JournalError.
        """
        self._require_open()
        try:
            return self.intents.open(intent) if slot < 0 else self.intents.reopen(slot, intent)
        except OSError as error:
            self._notes = False
            raise self._failed(error) from error

    def append(self, record: UsageRecord | Rating, slot: int = -1) -> None:
        """Writes a rating, or the record of the request that was noted in `slot`.

        Raises JournalError, JournalFull; then nothing of the record is written, and the note stays.
        """
        line = self._encode(record)
        end = self._size + len(line)
        if end >= self._room:
            self._rotate()
            end = len(line)
        segment = self._segment
        if segment is None or end >= self._room:
            raise JournalError(f"a usage record of {len(line)} bytes does not fit into a segment")
        segment[self._size : end] = line
        # Last: a line without it is not read, if the writer dies in between.
        segment[end] = _NEWLINE
        self._size = end + 1
        if slot >= 0:
            self.intents.close(slot)

    def writable(self) -> bool:
        """True if `intend` and `append` are expected to work; to be checked before a request is accepted.

        After a failure it tries to make room again, at most four times a second.
        """
        if self._segment is not None and self._notes:
            return True
        now = time.monotonic()
        if now < self._probe_at:
            return False
        self._probe_at = now + _PROBE_INTERVAL_S
        try:
            if self._segment is None:
                self._rotate()
            if not self._notes:
                self.intents.make_room()
        except (JournalError, OSError):
            return False
        self._notes = True
        self._recovered()
        return True

    @property
    def fault(self) -> JournalError | None:
        """The reason why nothing can be written at present; None if it can."""
        return self._fault

    def unsynced(self) -> list[int]:
        """Returns duplicated descriptors of changed files; `sync` writes them to the disk and closes them."""
        if self._segment is None or (self._size == self._synced and not self.intents.taken):
            return []
        self._synced = self._size
        return [os.dup(descriptor) for descriptor in (self._descriptor, self.intents.descriptor) if descriptor >= 0]

    def close(self) -> None:
        """Closes the files; their records stay for the ingester.

        The last one stays in any case, as what this worker has borrowed is given back before its last file goes
        (`weebill.usage.ingest`): so the table goes before the segment is let go, and stays if there is no segment.

        What is noted then and ends later gets no record any more: it has one as `worker_died`.
        """
        self._closed = True
        self.intents.leave(stays=self._segment is None)
        self._let_go()

    def _let_go(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._room = 0
            # Readers accept the zeros at the end, too.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            os.close(self._descriptor)

    def _rotate(self) -> None:
        """Continues in a new segment.

        The old one is closed first: it may be the one that fills the journal, and is deleted only once closed.
        """
        self._require_open()
        self._let_go()
        try:
            if folder_bytes(self._folder) >= self._max_bytes:
                raise self._report(
                    JournalFull(
                        f"the journal holds {self._max_bytes} bytes that are not ingested; is the ledger process up? "
                        "(metering.journal_max_bytes)"
                    )
                )
            self._open_segment()
        except OSError as error:
            raise self._failed(error) from error
        self._size = self._synced = 0
        self._recovered()

    def _require_open(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed, as its worker ends")

    def _open_segment(self) -> None:
        """Creates, locks and only then publishes a segment."""
        path = self._folder / f"{self.name}-{self._sequence:06d}{SEGMENT_SUFFIX}"
        self._sequence += 1
        try:
            with locked_draft(path) as descriptor:
                room = _reserve(descriptor, self._segment_bytes)
                self._segment = mmap.mmap(descriptor, room)
        except BaseException:
            self._segment = None
            raise
        self._room = room
        self._descriptor = descriptor

    def _failed(self, error: OSError) -> JournalError:
        advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the folder"
        return self._report(JournalError(f"cannot write usage to {self._folder}: {error.strerror}; {advice}"))

    def _recovered(self) -> None:
        if self._fault is not None and self._notes:
            log.info("usage is written again")
            self._fault = None

    def _report(self, fault: JournalError) -> JournalError:
        if self._fault is None:
            log.error("%s", fault)
        self._fault = fault
        return fault


def sync(descriptors: list[int]) -> None:
    """Writes files to the disk, so that a power cut loses only later records. Raises OSError.

    The page cache alone would wait half a minute. Unlike `msync`, this releases the interpreter's lock meanwhile.
    """
    try:
        for descriptor in descriptors:
            if sys.platform == "linux":
                os.fdatasync(descriptor)
            else:
                os.fsync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _reserve(descriptor: int, wanted: int) -> int:
    """Reserves disk space for an empty file: `wanted` bytes, or less if the disk is nearly full. Returns its size.

    Raises OSError if there is not even enough for the smallest segment.
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
