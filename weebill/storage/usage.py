"""The tables of the ledger that ingestion fills."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from weebill.config.ledger_errors import RecordRefusedError
from weebill.storage.database import savepoint, transaction
from weebill.storage.errors import typed_errors
from weebill.storage.usage_entries import Entries
from weebill.usage.records import UsageRecord

_QUARANTINE = "INSERT INTO quarantine (segment, offset, line, error, quarantined_at) VALUES (?, ?, ?, ?, ?)"
_MARK = (
    "INSERT INTO journal_marks (segment, offset) VALUES (?, ?) "
    "ON CONFLICT (segment) DO UPDATE SET offset = excluded.offset"
)


class UsageTables:
    """The `UsageLedger` of `weebill.usage.ingest`. Belongs to the thread that opened `connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._entries = Entries(connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is changed in the block, or none of it where that raises."""
        try:
            with typed_errors(), transaction(self._connection):
                yield
        except BaseException:
            self._entries.forget()
            raise

    def marks(self) -> dict[str, int]:
        """The mark of every segment that has one."""
        with typed_errors():
            return dict(self._connection.execute("SELECT segment, offset FROM journal_marks").fetchall())

    def mark(self, segment: str) -> int:
        """The mark of a segment, 0 where it has none."""
        rows = self._connection.execute("SELECT offset FROM journal_marks WHERE segment = ?", (segment,)).fetchall()
        return int(rows[0][0]) if rows else 0

    def set_mark(self, segment: str, offset: int) -> None:
        """Say how much of a segment is here."""
        self._connection.execute(_MARK, (segment, offset))

    def drop_marks(self, segments: Iterable[str]) -> None:
        """Forget the marks of segments that are gone."""
        self._connection.executemany("DELETE FROM journal_marks WHERE segment = ?", [(name,) for name in segments])

    def insert(self, pieces: Iterable[Iterable[UsageRecord]]) -> int:
        """Insert all records and add them to the totals, or none where that raises; returns their number."""
        try:
            with savepoint(self._connection):
                return self._entries.insert(pieces)
        except (OverflowError, sqlite3.IntegrityError) as error:
            self._entries.forget()
            raise RecordRefusedError(str(error)) from error
        except BaseException:
            self._entries.forget()
            raise

    def quarantine(self, segment: str, offset: int, line: bytes, reason: str) -> None:
        """Keep what is no usage record."""
        self._connection.execute(_QUARANTINE, (segment, offset, line, reason, int(time.time())))
