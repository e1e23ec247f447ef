"""Usage in SQLite, by statements of many rows, past SQLAlchemy: they are most of the work of ingestion."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from weebill.storage.tables.ledger import USAGE_DAILY
from weebill.storage.usage_rows import ENTRY, KIND, WIDTH, Kind, Totals, Value, adding, fingerprint, rows_of_totals

_ROWS: Final = 64  # in a statement: a quarter cheaper than one by one, and more gain nothing
_CHUNK: Final = _ROWS * WIDTH


def _placeholders(count: int) -> str:
    return f"({', '.join('?' * count)})"


_INSERT: Final = f"INSERT INTO usage_entries ({', '.join(ENTRY)}) VALUES {_placeholders(WIDTH)}"  # noqa: S608
_INSERT_ROWS: Final = _INSERT + f", {_placeholders(WIDTH)}" * (_ROWS - 1)
_ADD_KIND: Final = (
    f"INSERT INTO usage_kinds ({', '.join(KIND)}, fingerprint) VALUES {_placeholders(len(KIND) + 1)} "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)
_FIND_KIND: Final = "SELECT id FROM usage_kinds WHERE fingerprint = ?"
_ADD_UP: Final = adding(insert(USAGE_DAILY))


class SqliteRows:
    """The `Rows` of `weebill.storage.usage_rows`."""

    alone = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - the engine's creator makes no other
        self._driver = driver

    def lock(self, segment: str) -> None:
        """Does nothing: SQLite has one writer at a time."""

    def kind(self, kind: Kind) -> int:
        """Returns the id of a kind, which is inserted if it is new."""
        hashed = fingerprint(kind)
        self._driver.execute(_ADD_KIND, (*kind, hashed))
        [(id_,)] = self._driver.execute(_FIND_KIND, (hashed,)).fetchall()
        return int(id_)

    def add(self, values: list[Value]) -> None:
        """Inserts as many rows as go into whole statements."""
        while len(values) >= _CHUNK:
            self._driver.execute(_INSERT_ROWS, values[:_CHUNK])
            del values[:_CHUNK]

    def finish(self, values: list[Value]) -> dict[Value, int]:
        """Inserts the rest; every kind has had its id before."""
        self._driver.executemany(_INSERT, [values[start : start + WIDTH] for start in range(0, len(values), WIDTH)])
        return {}

    def refusal(self, error: Exception) -> str:
        """Returns why a table does not take a row; "" if that is not the error."""
        return str(error) if isinstance(error, OverflowError | sqlite3.IntegrityError) else ""

    def add_up(self, totals: Totals) -> None:
        """Adds to the totals of days."""
        self._connection.execute(_ADD_UP, rows_of_totals(totals))
