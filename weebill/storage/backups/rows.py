"""Copies rows from table to table, in batches, whatever the databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sqlalchemy import Boolean, Connection, Identity, Table, Text, func, insert, select, text

from weebill.storage.usage_rows import without_nul

BATCH: Final = 5000

Row = tuple[object, ...]
_Told = Callable[[int], None]


def count_rows(connection: Connection, tables: Sequence[Table]) -> int:
    """Counts all rows of the tables."""
    return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)


def read_rows(connection: Connection, table: Table) -> Iterator[list[Row]]:
    """Yields all rows of a table, in batches."""
    streamed = {"stream_results": True, "yield_per": BATCH}
    for batch in connection.execute(select(table), execution_options=streamed).partitions():
        yield [tuple(row) for row in batch]


def write_to_sqlite(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Inserts rows into SQLite."""
    statement = str(insert(table).compile(dialect=connection.dialect))
    connection.exec_driver_sql(statement, list(rows))


def for_postgresql(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Returns rows of SQLite as PostgreSQL takes them: flags that are truth values, texts without NUL characters."""
    fits: list[tuple[int, Callable[[object], object]]] = [
        (at, _FITS[type(column.type)]) for at, column in enumerate(table.c) if type(column.type) in _FITS
    ]
    fitted = []
    for row in rows:
        values = list(row)
        for at, fit in fits:
            values[at] = fit(values[at])
        fitted.append(tuple(values))
    return fitted


def _text(value: object) -> object:
    return without_nul(value) if isinstance(value, str) else value


def _truth(value: object) -> object:
    return None if value is None else bool(value)


_FITS: Final[dict[type, Callable[[object], object]]] = {Boolean: _truth, Text: _text}


def sequences(schema_tables: Sequence[Table]) -> list[Table]:
    """Returns the tables whose ids are given by the database."""
    return [table for table in schema_tables if any(isinstance(column.identity, Identity) for column in table.c)]


def last_id(connection: Connection, table: Table) -> int:
    """Returns the greatest id that a table has ever given, also to a row that is gone."""
    greatest: int = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    if connection.dialect.name == "sqlite":
        given = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
    else:
        sequence = text("SELECT pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass)")
        given = connection.execute(sequence, {"name": table.name})
    last: int = given.scalar() or 0
    return max(greatest, last)


def give_ids_after(connection: Connection, table: Table, last: int) -> None:
    """Lets the next ids of a table be greater than `last`."""
    if connection.dialect.name != "sqlite":
        # That is not undone with the transaction: so not lower than now, or ids could be given again.
        last = max(last, last_id(connection, table))
        set_value = text("SELECT setval(pg_get_serial_sequence(:name, 'id')::regclass, :last, :given)")
        connection.execute(set_value, {"name": table.name, "last": max(last, 1), "given": last > 0})
    elif table.dialect_options["sqlite"]["autoincrement"]:
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        connection.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), {"name": table.name, "last": last}
        )
