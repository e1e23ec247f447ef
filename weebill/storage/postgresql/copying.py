"""Many rows at once, by COPY."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from sqlalchemy import Connection, Table
from sqlalchemy.util import await_only


def copy_rows(connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
    """Inserts rows, which have a value for each column, within the transaction of `connection`."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, asyncpg.Connection)  # noqa: S101 - the engine's creator makes no other
    await_only(driver.copy_records_to_table(table.name, records=rows, columns=table.c.keys()))
