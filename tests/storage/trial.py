"""A schema of tests with a past: what its releases have, and revisions from one to the next on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, Table, insert

from weebill.storage.schema import Schema
from weebill.storage.tables.types import String, Whole

_FOLDER: Final = Path(__file__).parent / "trial_revisions"
ROWS: Final = 2000


def _items(metadata: MetaData, *more: Column[str]) -> Table:
    return Table(
        "items", metadata, Column("id", Whole, primary_key=True), Column("name", String, nullable=False), *more
    )


OLD_TABLES: Final = MetaData()
OLD_ITEMS: Final = _items(OLD_TABLES)
TABLES: Final = MetaData()
ITEMS: Final = _items(TABLES, Column("label", String, nullable=False, server_default=""))
LABELS: Final = Table("labels", TABLES, Column("name", String, nullable=False))


def _fill(connection: Connection) -> None:
    connection.execute(insert(OLD_ITEMS), [{"id": number, "name": f"item {number}"} for number in range(ROWS)])


OLD: Final = Schema("trial", OLD_TABLES, "0001", _fill, "trial", _FOLDER)
NEW: Final = Schema("trial", TABLES, "0003", _fill, "trial", _FOLDER)
