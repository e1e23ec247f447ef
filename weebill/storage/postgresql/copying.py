"""Many rows at once, by COPY."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.util import await_only


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    """Inserts rows, which have a value for each of the columns, within the transaction of `connection`."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, asyncpg.Connection)  # noqa: S101 - the engine's creator makes no other
    await_only(driver.copy_records_to_table(table, records=rows, columns=columns))
