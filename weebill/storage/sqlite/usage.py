"""Usage in SQLite, by statements of many rows, past SQLAlchemy: they are most of the work of ingestion."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Final

from sqlalchemy import Connection, Table

from weebill.storage.tables.types import MOST
from weebill.storage.usage_rows import ENTRY, KIND, LABELLED, SUMS, WIDTH, Kind, Value, fingerprint

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
_INSERT_LABELLED: Final = f"INSERT INTO usage_entries ({', '.join(LABELLED)}) VALUES {_placeholders(len(LABELLED))}"  # noqa: S608


@cache
def _add_up(table: Table) -> str:
    """Returns the statement that takes a primary key and `SUMS`, and inserts them or adds them to what is there."""
    key = table.primary_key.columns.keys()
    sums = ", ".join(
        f"{name} = iif({name} > {MOST} - excluded.{name}, {MOST}, {name} + excluded.{name})" for name in SUMS
    )
    return (
        f"INSERT INTO {table.name} ({', '.join((*key, *SUMS))}) VALUES {_placeholders(len(key) + len(SUMS))} "  # noqa: S608
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sums}"
    )


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

    def finish(self, values: list[Value], labelled: Sequence[tuple[Value, ...]]) -> dict[Value, int]:
        """Inserts the rest; every kind has had its id before."""
        self._driver.executemany(_INSERT, [values[start : start + WIDTH] for start in range(0, len(values), WIDTH)])
        if labelled:
            self._driver.executemany(_INSERT_LABELLED, labelled)
        return {}

    def refusal(self, error: Exception) -> str:
        """Returns why a table does not take a row; "" if that is not the error."""
        return str(error) if isinstance(error, OverflowError | sqlite3.IntegrityError) else ""

    def ids(self, table: Table, columns: Sequence[str], values: Sequence[tuple[Value, ...]]) -> list[int]:
        """Returns the ids of rows; those that are not there are inserted."""
        names = ", ".join((*columns, "fingerprint"))
        add = f"INSERT INTO {table.name} ({names}) VALUES {_placeholders(len(columns) + 1)} ON CONFLICT DO NOTHING"  # noqa: S608
        find = f"SELECT id FROM {table.name} WHERE fingerprint = ?"  # noqa: S608
        found = []
        for each in values:
            hashed = fingerprint(each)
            self._driver.execute(add, (*each, hashed))
            [(id_,)] = self._driver.execute(find, (hashed,)).fetchall()
            found.append(int(id_))
        return found

    def add_up(self, table: Table, sums: Sequence[tuple[Value, ...]]) -> None:
        """Adds to totals."""
        self._driver.executemany(_add_up(table), sums)
