"""The tables of the ledger that ingestion fills."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from weebill.config.ledger_errors import RecordRefusedError
from weebill.storage.allowances import held_sums, release, settle
from weebill.storage.billed import Bill
from weebill.storage.database import Database
from weebill.storage.key_use import note_uses
from weebill.storage.owners import Owners
from weebill.storage.ratings import keep
from weebill.storage.rollups import Rolled, RollUps
from weebill.storage.sqlite.usage import SqliteRows
from weebill.storage.tables.ledger import JOURNAL_ENDS, JOURNAL_MARKS, QUARANTINE
from weebill.storage.usage_entries import Entries, Known
from weebill.storage.usage_rows import Rows, Uses, without_nul
from weebill.usage.records import Rating, UsageRecord
from weebill.usage.tables import UsageTables

T = TypeVar("T")

_OF_SEGMENT: Final = JOURNAL_MARKS.c.segment == bindparam("of_segment")
_MARKS: Final = select(JOURNAL_MARKS.c.segment, JOURNAL_MARKS.c.offset)
_MARK: Final = select(JOURNAL_MARKS.c.offset).where(_OF_SEGMENT)
_SET_MARK: Final = update(JOURNAL_MARKS).where(_OF_SEGMENT)
_DROP_MARK: Final = delete(JOURNAL_MARKS).where(_OF_SEGMENT)
_OF_ENDED: Final = JOURNAL_ENDS.c.segment == bindparam("of_segment")
_END: Final = select(JOURNAL_ENDS.c.offset).where(_OF_ENDED)
_DROP_END: Final = delete(JOURNAL_ENDS).where(_OF_ENDED)


class StoredUsage:
    """The `UsageLedger` of `weebill.usage.tables`. Belongs to one thread."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self._known = Known()
        self._known_of = ""

    def change(self, change: Callable[[UsageTables], T]) -> T:
        """Returns the result of `change` once its changes are kept."""

        def changed(connection: Connection) -> tuple[T, str]:
            source = self._ledger.source(connection)
            if source != self._known_of:
                self._known.forget()
            self._known_of = ""  # until this is kept: it may be undone, and done again
            rows = UsageRows(connection, source, self._known)
            result = change(rows)
            rows.finish()
            return result, source

        result, self._known_of = self._ledger.change(changed)
        return result

    def stamp(self) -> str:
        """Returns a text that is another one after each change. Raises LedgerError."""
        return self._ledger.stamp()


class UsageRows:
    """The `UsageTables` of `weebill.usage.tables`, within a transaction, which `finish` completes."""

    def __init__(self, connection: Connection, source: str, known: Known) -> None:
        self.source = source
        self._connection = connection
        self._known = known
        self._rows = _rows(connection)
        self._owners = Owners(connection)
        self._rolled = Rolled()
        self._uses: Uses = {}
        self._bill: Bill | None = None
        self._held: list[UsageRecord] = []
        self._ratings: list[Rating] = []
        self._writer = ""

    def marks(self, present: Collection[str]) -> dict[str, int]:
        """Returns the marks of the segments `present`, and of all others that are this machine's for sure."""
        found = _MARKS if self._rows.alone else _MARKS.where(JOURNAL_MARKS.c.segment.in_(present))
        return {segment: offset for segment, offset in self._connection.execute(found)}  # noqa: C416 - rows are typed

    def mark(self, segment: str) -> int:
        """Returns the mark of a segment, 0 if it has none; nobody else changes it from now on."""
        self._rows.lock(segment)
        mark = self._connection.scalar(_MARK, {"of_segment": segment})
        if mark is None:
            mark = self._connection.scalar(_END, {"of_segment": segment})
        return mark or 0

    def set_mark(self, segment: str, offset: int) -> None:
        """Sets the mark of a segment, after `mark`."""
        changed = self._connection.execute(_SET_MARK, {"of_segment": segment, "offset": offset})
        if not changed.rowcount:
            self._connection.execute(insert(JOURNAL_MARKS).values(segment=segment, offset=offset))

    def end_marks(self, segments: Collection[str]) -> None:
        """Puts away the marks of segments that are gone, for whoever brings a copy of one; `mark` still finds them."""
        marks = _MARKS.where(JOURNAL_MARKS.c.segment.in_(segments)).order_by(JOURNAL_MARKS.c.segment)
        # Another ingester may put away the same ones.
        found = self._connection.execute(marks.with_for_update()).all()
        if found:
            ends = [{"segment": segment, "offset": offset, "ended_at": int(time.time())} for segment, offset in found]
            marked = [{"of_segment": segment} for segment, _ in found]
            self._connection.execute(_DROP_END, marked)
            self._connection.execute(insert(JOURNAL_ENDS), ends)
            self._connection.execute(_DROP_MARK, marked)

    def ended(self, segments: Collection[str]) -> set[str]:
        """Returns those of the segments whose marks were put away."""
        found = select(JOURNAL_ENDS.c.segment).where(JOURNAL_ENDS.c.segment.in_(sorted(segments)))
        return set(self._connection.scalars(found))

    def reopen(self, segment: str) -> None:
        """Forgets that a segment was finished, after `mark`."""
        for forget in (_DROP_MARK, _DROP_END):
            self._connection.execute(forget, {"of_segment": segment})

    def insert(self, pieces: Iterable[Iterable[UsageRecord]], writer: str = "") -> int:
        """Inserts all records, which are of one writer, or none if that raises; returns their number."""
        self._writer = writer
        bill = self._bill = self._bill or Bill(self._connection, self._owners)
        try:
            with self._connection.begin_nested():
                entries = Entries(self._connection, _rows(self._connection), self._known)
                count = entries.insert(bill.watching(pieces), self._rolled, self._uses, self._held)
        except Exception as error:
            self._known.forget()
            reason = self._rows.refusal(error)
            if reason:
                raise RecordRefusedError(reason) from error
            raise
        bill.take()
        return count

    def rate(self, ratings: Collection[Rating]) -> None:
        """Keeps ratings, until their requests are found."""
        self._ratings += ratings

    def release(self, writer: str) -> None:
        """Gives back what a dead writer holds of limits."""
        release(self._connection, writer)

    def quarantine(self, segment: str, offset: int, line: bytes, reason: str) -> None:
        """Keeps what is no usage record."""
        values = {"segment": segment, "offset": offset, "line": line, "error": without_nul(reason)}
        self._connection.execute(insert(QUARANTINE).values(**values, quarantined_at=int(time.time())))

    def finish(self) -> None:
        """Adds what was inserted to the roll-ups, to what is known of keys, and to what organisations were billed."""
        if self._rolled.hours:
            RollUps(self._connection, self._rows, self._known.series, self._owners).add(self._rolled)
            note_uses(self._connection, self._uses)
        if self._bill is not None:
            self._bill.finish(self._rolled)
        if self._held:
            settle(self._connection, self._writer, held_sums(self._held))
        if self._ratings:
            keep(self._connection, self._ratings, self._owners)


def forget_ends(connection: Connection, before: int) -> None:
    """Forgets segments that ended before a time, in Unix seconds: a copy of one is ingested again."""
    connection.execute(delete(JOURNAL_ENDS).where(JOURNAL_ENDS.c.ended_at < before))


def _rows(connection: Connection) -> Rows:
    if connection.dialect.name == "sqlite":
        return SqliteRows(connection)
    from weebill.storage.postgresql.usage import PostgresRows  # its driver is an extra

    return PostgresRows(connection)
