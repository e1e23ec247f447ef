"""Version numbers in `meta`: every change of a table raises one, in its own transaction. So others notice it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select, update

from weebill.process.questions import Position
from weebill.storage.database import Database
from weebill.storage.tables.ledger import META

KEYS_VERSION: Final = "keys_version"
EXPERIMENTS_VERSION: Final = "experiments_version"


def raise_version(connection: Connection, name: str) -> int:
    """Returns the next version of that name, within a change."""
    raised = update(META).where(META.c.name == name).values(value=META.c.value + 1).returning(META.c.value)
    return connection.execute(raised).scalar_one()


def position(database: Database, connection: Connection, name: str) -> Position:
    """Returns the version of that name in the present contents of the database. Raises LedgerError."""
    found = connection.scalar(select(META.c.value).where(META.c.name == name))
    return Position(database.source(connection), found or 0)
