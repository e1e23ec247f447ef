"""Moves usage records, and ratings, from the workers' journals into the ledger exactly once, even if processes are
killed.

Each segment has a mark: the number of its bytes that are in the ledger. Rows and mark change in one transaction, and
the file is read inside it, so neither a crash nor a second ingester can count a record twice. A segment is deleted once
its writer is gone and its mark is at its end; the mark is put away only after the deletion has reached the disk. It is
known for some months: if a copy of the segment comes, as with a machine that was taken for lost, nothing of it is
counted twice.

Several machines may have one ledger, each with its own journals. No two segments have the same name, wherever they
were written, and a machine puts away the marks of those segments alone that it has deleted.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from weebill.config.ledger_errors import LedgerError, RecordRefusedError
from weebill.usage.drafts import DRAFT_SUFFIX
from weebill.usage.intents import INTENTS_SUFFIX
from weebill.usage.journal import SEGMENT_SUFFIX
from weebill.usage.lines import is_line, read_lines
from weebill.usage.records import Rating
from weebill.usage.recovery import Cost, lines_left_open, no_cost, writer_of
from weebill.usage.segments import (
    UNUSED,
    data_after,
    is_held,
    is_left,
    middle,
    read_written,
    sync_folder,
    try_lock,
    whole_lines,
    without_writer,
)
from weebill.usage.tables import UsageLedger, UsageTables

BATCH_BYTES = 1 << 22  # of journal in one transaction: some 20,000 records
DRAFT_AGE_S = 60.0
_OF_WRITERS = (SEGMENT_SUFFIX, INTENTS_SUFFIX)

# The errors for a line that is no usage record, from the decoder or the ledger.
_BAD_LINE = (msgspec.MsgspecError, UnicodeError, RecordRefusedError)

_NO_RECORD = "a line of the journal is neither usage record nor rating; it is kept in quarantine: %s"

log = logging.getLogger(__name__)


class _Batch(NamedTuple):
    """A part of a segment that is in the ledger now: its records, its end, and if more follows."""

    records: int
    end: int
    more: bool
    problems: list[_Problem]


class _Problem(NamedTuple):
    """Something in a segment that is no usage record, and what to log of it."""

    offset: int
    message: str
    reason: str


class _Seen(NamedTuple):
    """The stamp of the ledger, and the names of all files of the journals."""

    stamp: str
    names: list[str]


class Ingester:
    """Moves records from the journals in `folder` into the ledger. Memory is bounded by `batch_bytes`.

    `cost` prices the requests of dead workers.
    """

    def __init__(self, ledger: UsageLedger, folder: Path, batch_bytes: int = BATCH_BYTES, cost: Cost = no_cost) -> None:
        self._ledger = ledger
        self._folder = folder
        self._batch_bytes = batch_bytes
        self._cost = cost
        self._source = ""
        self._marks: dict[str, int] = {}
        self._looks_at = 0.0
        self._left: _Seen | None = None
        """As the last call has found or left it."""

    def run(self) -> int:
        """Ingests all present records, and deletes finished segments. Returns the number of records.

        It costs next to nothing where nothing has happened since the last call. Raises LedgerError or OSError; nothing
        is lost then, and the next call resumes.
        """
        seen, left = self._seen(), self._left
        looks = seen is None or left is None or seen.stamp != left.stamp or time.monotonic() >= self._looks_at
        if not looks and seen is not None and seen == left and self._is_quiet(seen.names):
            return 0
        self._left = None
        total = self._run(looks)
        # Its own changes are not to wake the next call. A backup that is put back right here, and that no record
        # follows, is found when it looks again after some time.
        self._left = self._seen() if total else seen
        return total

    def _seen(self) -> _Seen | None:
        """Returns the stamp of the ledger and the names of all files; None if the ledger cannot be read."""
        try:
            return _Seen(self._ledger.stamp(), self._names())
        except LedgerError:  # a change says what to do about it
            return None

    def _is_quiet(self, names: Iterable[str]) -> bool:
        """True if no segment has grown since the last run, and no writer is gone."""
        return all(self._is_as_it_was(name) for name in names if name.endswith(_OF_WRITERS))

    def _is_as_it_was(self, name: str) -> bool:
        try:
            descriptor = os.open(f"{self._folder}/{name}", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            if name.endswith(SEGMENT_SUFFIX):
                first = os.pread(descriptor, 1, self._marks.get(name, 0))
                if first and first != UNUSED:
                    return False
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)

    def _run(self, looks: bool) -> int:
        total = 0
        if not self._source:
            self._look()
        # Before segments are read: a dead writer's records are complete then.
        dead = [table.name for table in self._tables() if table.name not in self._marks and is_left(table)]
        for segment in self._segments():
            more = True
            while more:
                count, more = self._ingest_batch(segment)
                total += count
        for table in dead:
            total += self._record_open(table)
        is_any_left = any(is_left(self._folder / name) for name in self._names() if name.endswith(_OF_WRITERS))
        if looks or not total or is_any_left:
            # What is not there any more, since the ledger was replaced, is read again before its segment is deleted.
            self._look()
            self._delete_finished()
        return total

    def _look(self) -> None:
        """Reads the marks that are in the ledger now, which may have been replaced by a backup."""
        present = [*self._segments(), *(table.name for table in self._tables())]
        held = [table for table in self._tables() if is_held(table)]
        names = [table.name for table in held]
        source, marks, ended = self._ledger.change(
            lambda tables: (tables.source, tables.marks(present), tables.ended(names))
        )
        for table in held:
            if table.name in marks or table.name in ended:
                self._reopen(table)
                marks.pop(table.name, None)
        if self._source not in ("", source):
            log.warning("the ledger was replaced; usage goes into the one that is there now")
        self._source, self._marks = source, marks
        self._looks_at = time.monotonic() + DRAFT_AGE_S

    def _reopen(self, table: Path) -> None:
        """Has the open requests of a living worker recorded when it dies, although a copy of its table was settled."""

        def reopen(tables: UsageTables) -> bool:
            if not tables.mark(table.name) or not is_held(table):
                return False
            tables.reopen(table.name)
            return True

        if self._ledger.change(reopen):
            log.error(
                "a copy of this machine's journal was settled elsewhere while its worker ran: what it had under way at "
                "that moment may be counted twice, once as worker_died. Start no copy of a home folder whose journal "
                "is in it",
                extra={"worker": writer_of(table.name)},
            )

    def _segments(self) -> list[str]:
        """Returns the names of all segments, oldest first."""
        return [name for name in self._names() if name.endswith(SEGMENT_SUFFIX)]

    def _tables(self) -> list[Path]:
        """Returns the tables in which workers have noted their open requests."""
        return [self._folder / name for name in self._names() if name.endswith(INTENTS_SUFFIX)]

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []

    def _record_open(self, table: str) -> int:
        """Inserts a record for each request that a dead worker left without one; returns their number."""
        path = self._folder / table
        segments = [name for name in self._segments() if writer_of(name) == writer_of(table)]
        try:
            lines, count = lines_left_open(path, [self._folder / name for name in segments], self._cost)
        except FileNotFoundError:  # finished by another ingester
            return 0

        def record(tables: UsageTables) -> _Batch | None:
            known = tables.mark(table)
            if not path.exists():  # by another ingester
                return None
            batch = None if known else self._insert(tables, table, 0, lines)
            tables.set_mark(table, 1)
            return batch

        batch = self._ledger.change(record)
        self._marks[table] = 1
        if batch is None:
            return 0
        _report(table, batch.problems)
        if count:
            log.warning(
                "a worker died with %d requests under way; they are recorded as worker_died, by estimates",
                count,
                extra={"worker": writer_of(table)},
            )
        return batch.records

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
            finished = try_lock(descriptor)
            if not first or (first == UNUSED and not (finished and data_after(descriptor, known))):
                return 0, False
            batch, source = self._ledger.change(
                lambda tables: (self._move_batch(tables, segment, descriptor, finished), tables.source)
            )
        if source != self._source:
            self._looks_at = 0.0  # it was replaced
        self._marks[segment] = batch.end
        _report(segment, batch.problems)
        return batch.records, batch.more

    def _move_batch(self, tables: UsageTables, segment: str, descriptor: int, finished: bool) -> _Batch:
        mark = tables.mark(segment)
        if not os.fstat(descriptor).st_nlink:  # deleted by another ingester
            return _Batch(0, mark, False, [])
        lines, more = self._read_lines(descriptor, mark)
        count, end, _, problems = self._insert(tables, segment, mark, lines)
        if finished and not more:
            end, hole = self._pass_hole(tables, segment, descriptor, end)
            more = bool(hole)
            problems += hole
        tables.set_mark(segment, end)
        return _Batch(count, end, more, problems)

    def _pass_hole(self, tables: UsageTables, segment: str, descriptor: int, offset: int) -> tuple[int, list[_Problem]]:
        """Returns the offset of the next whole line after a hole, left by a power cut; `offset` if there is no hole.

        The fragments of lines at both of its ends are put in quarantine.
        """
        cut = read_written(descriptor, offset, self._batch_bytes)
        resumed = data_after(descriptor, offset + len(cut)) if len(cut) < self._batch_bytes else 0
        if not resumed:
            return offset, []
        hole = resumed - offset - len(cut)
        rest = read_written(descriptor, resumed, self._batch_bytes)
        rest = rest[: rest.find(b"\n") + 1] or rest
        whole = is_line(rest)  # the hole ends where a line does
        reason = f"a hole of {hole} bytes, as a power cut leaves them: records are missing"
        tables.quarantine(segment, offset, cut if whole else cut + rest, reason)
        return resumed if whole else resumed + len(rest), [_Problem(offset, "the journal has %s", reason)]

    def _read_lines(self, descriptor: int, offset: int) -> tuple[bytes, bool]:
        """Returns whole lines from `offset`, and if more follow; a line longer than `batch_bytes` comes in pieces."""
        content = read_written(descriptor, offset, self._batch_bytes)
        more = len(content) == self._batch_bytes
        return content if more and b"\n" not in content else whole_lines(content), more

    def _insert(self, tables: UsageTables, segment: str, offset: int, lines: bytes) -> _Batch:
        """Inserts the records in `lines`, which begin at `offset`.

        Lines that are no usage records are put in quarantine. They are rare, and found by bisection.
        """
        end = offset + len(lines)
        if not lines:
            return _Batch(0, end, False, [])
        ratings: list[Rating] = []
        try:
            count = tables.insert(read_lines(lines, ratings), writer_of(segment))
            tables.rate(ratings)
            return _Batch(count, end, False, [])
        except _BAD_LINE as error:
            reason = str(error)
        half = middle(lines)
        if half:
            first = self._insert(tables, segment, offset, lines[:half])
            second = self._insert(tables, segment, offset + half, lines[half:])
            return _Batch(first.records + second.records, end, False, first.problems + second.problems)
        tables.quarantine(segment, offset, lines, reason)
        return _Batch(0, end, False, [_Problem(offset, _NO_RECORD, reason)])

    def _delete_finished(self) -> None:
        for segment in self._segments():
            self._delete_if_finished(segment)
        for table in self._tables():
            if table.name in self._marks and is_left(table):
                self._remove(table)
        self._delete_stale_drafts()
        gone = [segment for segment in self._marks if not (self._folder / segment).exists()]
        if gone:
            sync_folder(self._folder)  # else a power cut could restore a segment, and keep it for longer than its mark
            self._ledger.change(lambda tables: tables.end_marks(gone))
            for segment in gone:
                del self._marks[segment]

    def _delete_if_finished(self, segment: str) -> None:
        """Deletes a segment that cannot grow any more and has no new records; an unfinished last line is dropped."""
        path = self._folder / segment
        with suppress(FileNotFoundError), without_writer(path) as descriptor:
            if descriptor is None or self._awaits_recovery(segment):
                return
            mark = self._marks.get(segment, 0)
            tail = read_written(descriptor, mark, self._batch_bytes)
            # It grew before its writer left; the next run ingests the rest.
            if b"\n" in tail or len(tail) == self._batch_bytes or data_after(descriptor, mark + len(tail)):
                return
            if tail:
                log.warning(
                    "a worker died while it wrote a usage record; the unfinished record of %d bytes is dropped",
                    len(tail),
                    extra={"segment": segment},
                )
            self._remove(path)

    def _remove(self, path: Path) -> None:
        """Deletes a file of a dead writer. What the writer holds of limits is given back before its last file goes: so
        whoever holds something has a file, and a kill in between leaves that.
        """
        writer = writer_of(path.name)
        others = [other for other in self._folder.glob(f"{writer}*") if other.suffix != DRAFT_SUFFIX]
        if others == [path]:
            self._ledger.change(lambda tables: tables.release(writer))
        path.unlink(missing_ok=True)

    def _awaits_recovery(self, segment: str) -> bool:
        """True if its worker has died, and the segment is still needed to find the open requests without a record."""
        table = self._folder / f"{writer_of(segment)}{INTENTS_SUFFIX}"
        return table.name not in self._marks and is_left(table)

    def _delete_stale_drafts(self) -> None:
        """Deletes the drafts that dead writers never published; they are empty."""
        for draft in self._folder.glob(f"*{DRAFT_SUFFIX}"):
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > DRAFT_AGE_S:
                    draft.unlink()


def _report(segment: str, problems: Iterable[_Problem]) -> None:
    for offset, message, reason in problems:
        log.error(message, reason, extra={"segment": segment, "offset": offset})
