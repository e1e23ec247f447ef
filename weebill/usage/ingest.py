"""Moves usage records from the workers' journals into the ledger exactly once, even if processes are killed.

Each segment has a mark: the number of its bytes that are in the ledger. Rows and mark change in one transaction, and
the file is read inside it, so neither a crash nor a second ingester can count a record twice. A segment is deleted once
its writer is gone and its mark is at its end; the mark is deleted only after the deletion has reached the disk.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from weebill.config.ledger_errors import RecordRefusedError
from weebill.usage.drafts import DRAFT_SUFFIX
from weebill.usage.intents import INTENTS_SUFFIX
from weebill.usage.journal import SEGMENT_SUFFIX
from weebill.usage.records import UsageRecord
from weebill.usage.recovery import Cost, lines_left_open, no_cost, writer_of

BATCH_BYTES = 1 << 22  # of journal in one transaction: some 20,000 records
_PIECE_BYTES = 1 << 14  # decoded between two yields of the processor: a fifth of a millisecond
_READ_BYTES = 1 << 16  # in one read, of a segment whose unused space may be next
DRAFT_AGE_S = 60.0
_SCAN_BYTES = 1 << 20  # in one read, of zeros
_UNUSED = b"\0"  # fills the space of a segment that has no record yet

# The errors for a line that is no usage record, from the decoder or the ledger.
_BAD_LINE = (msgspec.MsgspecError, UnicodeError, RecordRefusedError)

_decoder = msgspec.json.Decoder(UsageRecord)

log = logging.getLogger(__name__)


class UsageLedger(Protocol):
    """The storage of usage, and of each segment's mark. Every method raises LedgerError."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commits the block's changes, or none if it raises."""

    def marks(self) -> dict[str, int]:
        """Returns the mark of every segment that has one."""

    def mark(self, segment: str) -> int:
        """Returns the present mark of a segment, 0 if it has none."""

    def set_mark(self, segment: str, offset: int) -> None:
        """Sets the mark of a segment."""

    def drop_marks(self, segments: Iterable[str]) -> None:
        """Deletes the marks of segments."""

    def insert(self, pieces: Iterable[Iterable[UsageRecord]]) -> int:
        """Inserts all the records, or none if it raises; returns their number.

        Raises RecordRefusedError if one breaks the invariants of `UsageRecord`, and the errors of `pieces`.
        """

    def quarantine(self, segment: str, offset: int, line: bytes, reason: str) -> None:
        """Keeps bytes that are no usage record, for people to look at."""


class Ingester:
    """Moves records from the journals in `folder` into the ledger. Memory is bounded by `batch_bytes`.

    Belongs to the thread that opened `ledger`. A segment is deleted only if `is_current` returns True: if the ledger's
    file was replaced meanwhile, the records are read again for the new one.
    `cost` prices the requests of dead workers.
    """

    def __init__(
        self,
        ledger: UsageLedger,
        folder: Path,
        batch_bytes: int = BATCH_BYTES,
        is_current: Callable[[], bool] = lambda: True,
        cost: Cost = no_cost,
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._batch_bytes = batch_bytes
        self._is_current = is_current
        self._cost = cost
        self._marks = ledger.marks()

    def run(self) -> int:
        """Ingests all present records, and deletes finished segments. Returns the number of records.

        Raises LedgerError or OSError; nothing is lost then, and the next call resumes.
        """
        total = 0
        # Before segments are read: a dead writer's records are complete then.
        dead = [table.name for table in self._tables() if table.name not in self._marks and _is_left(table)]
        for segment in self._segments():
            more = True
            while more:
                count, more = self._ingest_batch(segment)
                total += count
        for table in dead:
            total += self._record_open(table)
        if self._is_current():
            self._delete_finished()
        return total

    def _segments(self) -> list[str]:
        """Returns the names of all segments, oldest first."""
        return sorted(path.name for path in self._folder.glob(f"*{SEGMENT_SUFFIX}"))

    def _tables(self) -> Iterator[Path]:
        """Finds the tables in which workers have noted their open requests."""
        return self._folder.glob(f"*{INTENTS_SUFFIX}")

    def _record_open(self, table: str) -> int:
        """Inserts a record for each request that a dead worker left without one; returns their number."""
        path = self._folder / table
        segments = [name for name in self._segments() if writer_of(name) == writer_of(table)]
        try:
            lines, count = lines_left_open(path, [self._folder / name for name in segments], self._cost)
        except FileNotFoundError:  # finished by another ingester
            return 0
        recorded = 0
        with self._ledger.transaction():
            if self._ledger.mark(table):  # by another ingester
                count = 0
            else:
                recorded = self._insert(table, 0, lines) if lines else 0
                self._ledger.set_mark(table, 1)
        self._marks[table] = 1
        if count:
            log.warning(
                "a worker died with %d requests under way; they are recorded as worker_died, by estimates",
                count,
                extra={"worker": writer_of(table)},
            )
        return recorded

    def _ingest_batch(self, segment: str) -> tuple[int, bool]:
        """Ingests one batch of a segment in a transaction; returns the number of its records, and if there are more.

        Records that a busy worker adds meanwhile are left to the next run: this one would never end otherwise.
        """
        try:
            file = (self._folder / segment).open("rb", buffering=0)
        except FileNotFoundError:  # finished by another ingester
            return 0, False
        with file:
            descriptor = file.fileno()
            known = self._marks.get(segment, 0)
            first = os.pread(descriptor, 1, known)
            # Before the segment is read: a finished one does not grow any more.
            finished = _try_lock(descriptor)
            if not first or (first == _UNUSED and not (finished and _data_after(descriptor, known))):
                return 0, False
            with self._ledger.transaction():
                mark = self._ledger.mark(segment)
                lines, more = self._read_lines(descriptor, mark)
                count, end = self._insert(segment, mark, lines), mark + len(lines)
                if finished and not more:
                    end = self._pass_hole(segment, descriptor, end)
                    more = end > mark + len(lines)
                self._ledger.set_mark(segment, end)
        self._marks[segment] = end
        return count, more

    def _pass_hole(self, segment: str, descriptor: int, offset: int) -> int:
        """Returns the offset of the next whole line after a hole, left by a power cut; `offset` if there is no hole.

        The fragments of lines at both of its ends are put in quarantine.
        """
        cut = _read_written(descriptor, offset, self._batch_bytes)
        resumed = _data_after(descriptor, offset + len(cut)) if len(cut) < self._batch_bytes else 0
        if not resumed:
            return offset
        hole = resumed - offset - len(cut)
        rest = _read_written(descriptor, resumed, self._batch_bytes)
        rest = rest[: rest.find(b"\n") + 1] or rest
        whole = _is_record(rest)  # the hole ends where a line does
        reason = f"a hole of {hole} bytes, as a power cut leaves them: records are missing"
        log.error("the journal has %s", reason, extra={"segment": segment, "offset": offset})
        self._ledger.quarantine(segment, offset, cut if whole else cut + rest, reason)
        return resumed if whole else resumed + len(rest)

    def _read_lines(self, descriptor: int, offset: int) -> tuple[bytes, bool]:
        """Returns whole lines from `offset`, and if more follow; a line longer than `batch_bytes` comes in pieces."""
        content = _read_written(descriptor, offset, self._batch_bytes)
        more = len(content) == self._batch_bytes
        return content if more and b"\n" not in content else _whole_lines(content), more

    def _insert(self, segment: str, offset: int, lines: bytes) -> int:
        """Inserts the records in `lines`, which begin at `offset`; returns their number.

        Lines that are no usage records are put in quarantine. They are rare, and found by bisection.
        """
        try:
            return self._ledger.insert(_decoded(lines))
        except _BAD_LINE as error:
            reason = str(error)
        middle = _middle(lines)
        if middle:
            count = self._insert(segment, offset, lines[:middle])
            return count + self._insert(segment, offset + middle, lines[middle:])
        place = {"segment": segment, "offset": offset}
        log.error("a line of the journal is no usage record; it is kept in quarantine: %s", reason, extra=place)
        self._ledger.quarantine(segment, offset, lines, reason)
        return 0

    def _delete_finished(self) -> None:
        for segment in self._segments():
            self._delete_if_finished(segment)
        for table in self._tables():
            if table.name in self._marks:
                table.unlink(missing_ok=True)
        self._delete_stale_drafts()
        gone = [segment for segment in self._marks if not (self._folder / segment).exists()]
        if gone:
            _sync_folder(self._folder)  # else a power cut could restore a segment whose mark is gone
            with self._ledger.transaction():
                self._ledger.drop_marks(gone)
            for segment in gone:
                del self._marks[segment]

    def _delete_if_finished(self, segment: str) -> None:
        """Deletes a segment that cannot grow any more and has no new records; an unfinished last line is dropped."""
        path = self._folder / segment
        with suppress(FileNotFoundError), _without_writer(path) as descriptor:
            if descriptor is None or self._awaits_recovery(segment):
                return
            mark = self._marks.get(segment, 0)
            tail = _read_written(descriptor, mark, self._batch_bytes)
            # It grew before its writer left; the next run ingests the rest.
            if b"\n" in tail or len(tail) == self._batch_bytes or _data_after(descriptor, mark + len(tail)):
                return
            if tail:
                log.warning(
                    "a worker died while it wrote a usage record; the unfinished record of %d bytes is dropped",
                    len(tail),
                    extra={"segment": segment},
                )
            path.unlink()

    def _awaits_recovery(self, segment: str) -> bool:
        """True if its worker has died, and the segment is still needed to find the open requests without a record."""
        table = self._folder / f"{writer_of(segment)}{INTENTS_SUFFIX}"
        return table.name not in self._marks and _is_left(table)

    def _delete_stale_drafts(self) -> None:
        """Deletes the drafts that dead writers never published; they are empty."""
        for draft in self._folder.glob(f"*{DRAFT_SUFFIX}"):
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > DRAFT_AGE_S:
                    draft.unlink()


def _decoded(lines: bytes) -> Iterator[list[UsageRecord]]:
    """Decodes the records in `lines`, in pieces of about `_PIECE_BYTES`."""
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", start + _PIECE_BYTES) + 1 or len(lines)
        yield _decoder.decode_lines(lines[start:end])
        start = end
        # A request that came meanwhile must not wait for the end of this thread's time slice.
        os.sched_yield()


def _middle(lines: bytes) -> int:
    """Returns the offset of the line that begins nearest to the middle, 0 if there is one line only."""
    half = len(lines) // 2
    after = lines.find(b"\n", half) + 1
    return after if 0 < after < len(lines) else lines.rfind(b"\n", 0, half) + 1


@contextmanager
def _without_writer(path: Path) -> Iterator[int | None]:
    """Opens a segment; gives None while its writer lives. Raises FileNotFoundError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor if _try_lock(descriptor) else None
    finally:
        os.close(descriptor)


def _is_left(path: Path) -> bool:
    """True if a file exists and its writer is gone."""
    try:
        with _without_writer(path) as descriptor:
            return descriptor is not None
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_written(descriptor: int, offset: int, limit: int) -> bytes:
    """Returns the bytes between `offset` and the first zero, at most `limit`.

    The start of a line may be visible before its end, as its writer is another processor; the next run has it all.
    """
    parts: list[bytes] = []
    while limit:
        part, zero, _ = os.pread(descriptor, min(limit, _READ_BYTES), offset).partition(_UNUSED)
        parts.append(part)
        offset += len(part)
        limit -= len(part)
        if zero or not part:
            break
    return b"".join(parts)


def _data_after(descriptor: int, offset: int) -> int:
    """Returns the offset of the first nonzero byte from `offset` on; 0 if only zeros follow."""
    while part := os.pread(descriptor, _SCAN_BYTES, offset):
        data = part.lstrip(_UNUSED)
        if data:
            return offset + len(part) - len(data)
        offset += len(part)
    return 0


def _is_record(line: bytes) -> bool:
    try:
        _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeError):
        return False
    return line.endswith(b"\n")


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
