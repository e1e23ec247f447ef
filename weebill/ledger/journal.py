"""A worker's usage journal: append-only segment files, one JSON record a line.

A record is in the page cache before its response ends, so it survives the death of any process. The writer holds
an exclusive `flock` on its segment: whoever can take the lock knows that the segment will not grow any more.
Segment names are never used again, so a mark kept for one can never be taken for another's.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import time
from pathlib import Path

import msgspec

from weebill.config.schema import MeteringSettings
from weebill.ledger.records import UsageRecord
from weebill.telemetry.disk import folder_bytes

SEGMENT_SUFFIX = ".jsonl"
DRAFT_SUFFIX = ".draft"

_PROBE_INTERVAL_S = 0.25
_PROBE = b" " * 4096  # a block: less could fit in what the file already owns

log = logging.getLogger(__name__)


class JournalError(Exception):
    """A record could not be written, so the request it belongs to must not be answered as if it had been."""


class JournalFull(JournalError):  # noqa: N818 - a state rather than an error
    """The segments that wait for the control process have reached `journal_max_bytes`."""


class JournalWriter:
    """Appends the usage records of one worker process; `workers` is how many share the folder.

    A segment holds at most `segment_bytes`, less where `journal_max_bytes` leaves each worker less than four.
    """

    def __init__(self, folder: Path, worker_index: int, settings: MeteringSettings, workers: int = 1) -> None:
        self._folder = folder
        self._name = f"{time.time_ns() // 1_000_000:013d}-w{worker_index}-{secrets.token_hex(8)}"
        self._sequence = 0
        self._max_bytes = settings.journal_max_bytes
        self._segment_bytes = max(4096, min(settings.segment_bytes, self._max_bytes // (4 * workers)))
        self._encode = msgspec.json.Encoder().encode
        self._descriptor = -1
        self._size = 0
        self._fault: JournalError | None = None
        self._probe_at = 0.0
        self.writable()

    def append(self, record: UsageRecord) -> None:
        """Write one record. Raises JournalError, JournalFull; then no trace of the record is left."""
        line = self._encode(record) + b"\n"
        if self._descriptor < 0 or self._size + len(line) > self._segment_bytes:
            self._rotate()
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                _write_rest(self._descriptor, line[written:])
        except OSError as error:
            self._undo()
            raise self._failed(error) from error
        self._size += len(line)
        if self._fault is not None:
            self._recovered()

    def writable(self) -> bool:
        """Whether `append` can be expected to work: ask before taking a request.

        After a failure this tries again, at most four times a second.
        """
        if self._fault is None and self._descriptor >= 0:
            return True
        now = time.monotonic()
        if now < self._probe_at:
            return False
        self._probe_at = now + _PROBE_INTERVAL_S
        try:
            self._try()
        except JournalError:
            return False
        self._recovered()
        return True

    @property
    def fault(self) -> JournalError | None:
        """Why nothing can be written at present."""
        return self._fault

    def close(self) -> None:
        """Let go of the segment; what is in it stays for the control process."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self) -> None:
        """Write a block and take it back."""
        if self._descriptor < 0:
            self._rotate()
        try:
            _write_rest(self._descriptor, _PROBE)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._undo()

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
            self._descriptor = self._open_segment()
        except OSError as error:
            raise self._failed(error) from error
        self._size = 0

    def _open_segment(self) -> int:
        """Create, lock and only then publish a segment: unlocked, it would look like a dead worker's."""
        path = self._folder / f"{self._name}-{self._sequence:06d}{SEGMENT_SUFFIX}"
        self._sequence += 1
        draft = path.with_suffix(DRAFT_SUFFIX)
        descriptor = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _undo(self) -> None:
        """Cut off what a failed write left; if that fails too, the segment ends here and its tail is dropped."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self.close()

    def _failed(self, error: OSError) -> JournalError:
        advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the folder"
        return self._report(JournalError(f"cannot write usage to {self._folder}: {error.strerror}; {advice}"))

    def _report(self, fault: JournalError) -> JournalError:
        if self._fault is None:
            log.error("%s", fault)
        self._fault = fault
        return fault

    def _recovered(self) -> None:
        if self._fault is not None:
            log.info("usage is written again")
        self._fault = None


def _write_rest(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
