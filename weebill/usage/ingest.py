"""From the workers' journals into the ledger, exactly once, whoever is killed and whenever.

Each segment has a mark: how many of its bytes are in the ledger. Rows and mark change in one transaction, and the
file is read inside it, so neither a crash nor a second ingester can count a record twice. A segment is deleted once
its writer is gone and its mark is at its end; the mark goes only after the deletion has reached the disk.
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
_PIECE_BYTES = 1 << 14  # worked on before others may have the processor: a fifth of a millisecond
_READ_BYTES = 1 << 16  # at once, of a segment whose unused space may be next
DRAFT_AGE_S = 60.0
_SCAN_BYTES = 1 << 20  # at once, of zeros
_UNUSED = b"\0"  # the space of a segment that no record has taken yet

# What a line that is no usage record raises, in the decoder or in the ledger.
_BAD_LINE = (msgspec.MsgspecError, UnicodeError, RecordRefusedError)

_decoder = msgspec.json.Decoder(UsageRecord)

log = logging.getLogger(__name__)


class UsageLedger(Protocol):
    """Where usage is kept, and how far each segment is in it. Every method raises LedgerError."""

    def transaction(self) -> AbstractContextManager[None]:
        """A block of changes of which all are kept, or none where it raises."""

    def marks(self) -> dict[str, int]:
        """The mark of every segment that has one."""

    def mark(self, segment: str) -> int:
        """The mark of a segment as it is now, 0 where it has none."""

    def set_mark(self, segment: str, offset: int) -> None:
        """Change the mark of a segment."""

    def drop_marks(self, segments: Iterable[str]) -> None:
        """Forget the marks of segments."""

    def insert(self, pieces: Iterable[Iterable[UsageRecord]]) -> int:
        """Keep all the records, or none where that raises; returns their number.

        Raises RecordRefusedError where one breaks the invariants of `UsageRecord`, and what `pieces` raises.
        """

    def quarantine(self, segment: str, offset: int, line: bytes, reason: str) -> None:
        """Keep what is no usage record, for people to look at."""


class Ingester:
    """Moves what the journals in `folder` hold into the ledger. Memory is bounded by `batch_bytes`.

    Belongs to the thread that opened `ledger`. No segment is deleted unless `is_current` says that the ledger is
    still the one in use: what went into a file that was replaced meanwhile is read again for the one in its place.
    `cost` prices what nobody has settled.
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
        """Ingest everything there is now, and delete what is finished. Returns the number of records.

        Raises LedgerError or OSError; nothing is lost by that, and the next call goes on from there.
        """
        total = 0
        # Before segments are read, so that all that their writers have recorded is there by then.
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
        """The names of all segments, oldest first."""
        return sorted(path.name for path in self._folder.glob(f"*{SEGMENT_SUFFIX}"))

    def _tables(self) -> Iterator[Path]:
        """Where workers have noted what they have under way."""
        return self._folder.glob(f"*{INTENTS_SUFFIX}")

    def _record_open(self, table: str) -> int:
        """A record for each request that its worker has left without one; their number."""
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
        """One transaction's worth of a segment: the number of its records, and whether more were waiting already.

        What a busy worker adds meanwhile is left to the next run: chasing it would never end, a transaction at a time.
        """
        try:
            file = (self._folder / segment).open("rb", buffering=0)
        except FileNotFoundError:  # finished by another ingester
            return 0, False
        with file:
            descriptor = file.fileno()
            known = self._marks.get(segment, 0)
            first = os.pread(descriptor, 1, known)
            # Before anything is read, so that it is all there will ever be.
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
        """Where the next whole line begins after a hole, which a power cut has left; `offset` where there is none.

        What is left of the lines that it begins and ends in is put in quarantine.
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
        """Whole lines from `offset`, and whether there are more; a line longer than `batch_bytes` comes in pieces."""
        content = _read_written(descriptor, offset, self._batch_bytes)
        more = len(content) == self._batch_bytes
        return content if more and b"\n" not in content else _whole_lines(content), more

    def _insert(self, segment: str, offset: int, lines: bytes) -> int:
        """Insert the records in `lines`, which begin at `offset`; returns their number.

        Lines that are no usage records are put in quarantine. They are found by halving: there is hardly ever one.
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
            _sync_folder(self._folder)  # or a power cut could bring a segment back when its mark is gone
            with self._ledger.transaction():
                self._ledger.drop_marks(gone)
            for segment in gone:
                del self._marks[segment]

    def _delete_if_finished(self, segment: str) -> None:
        """Delete a segment that cannot grow any more and holds nothing new but, perhaps, a line never finished."""
        path = self._folder / segment
        with suppress(FileNotFoundError), _without_writer(path) as descriptor:
            if descriptor is None or self._awaits_recovery(segment):
                return
            mark = self._marks.get(segment, 0)
            tail = _read_written(descriptor, mark, self._batch_bytes)
            # Grew before its writer left: the next run's.
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
        """Tells whether its worker has died since, and so it may tell which of the requests under way have a record."""
        table = self._folder / f"{writer_of(segment)}{INTENTS_SUFFIX}"
        return table.name not in self._marks and _is_left(table)

    def _delete_stale_drafts(self) -> None:
        """Delete the segments that dead writers never published; they are empty."""
        for draft in self._folder.glob(f"*{DRAFT_SUFFIX}"):
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > DRAFT_AGE_S:
                    draft.unlink()


def _decoded(lines: bytes) -> Iterator[list[UsageRecord]]:
    """The records in `lines`, in pieces of about `_PIECE_BYTES`."""
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", start + _PIECE_BYTES) + 1 or len(lines)
        yield _decoder.decode_lines(lines[start:end])
        start = end
        # A request that came meanwhile shall not wait until the scheduler thinks of it.
        os.sched_yield()


def _middle(lines: bytes) -> int:
    """Where the line begins that is nearest to the middle, or 0 where there is one line only."""
    half = len(lines) // 2
    after = lines.find(b"\n", half) + 1
    return after if 0 < after < len(lines) else lines.rfind(b"\n", 0, half) + 1


@contextmanager
def _without_writer(path: Path) -> Iterator[int | None]:
    """The open segment, or None while its writer lives. Raises FileNotFoundError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor if _try_lock(descriptor) else None
    finally:
        os.close(descriptor)


def _is_left(path: Path) -> bool:
    """Tells whether a file is there without its writer."""
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
    """What is between `offset` and the first zero, at most `limit` bytes.

    A line may be seen before all of it, since its writer is another processor: it will be there the next time.
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
    """Where the first byte is that is no zero, from `offset` on; 0 where only zeros follow."""
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
