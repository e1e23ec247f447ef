"""Version numbers in `meta`: every change of a table raises one, in its own transaction. So others notice it."""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Connection, select, update

from weebill.process.questions import Position
from weebill.storage.database import Database
from weebill.storage.tables.ledger import META

KEYS_VERSION: Final = "keys_version"
EXPERIMENTS_VERSION: Final = "experiments_version"
ALLOWANCES_VERSION: Final = "allowances_version"
"""Raised by those who are short of what others hold."""
PROVIDER_KEYS_VERSION: Final = "provider_keys_version"
AUDIT_ROWS: Final = "audit_rows"


def raise_version(connection: Connection, name: str) -> int:
    """Returns the next version of that name, within a change."""
    raised = update(META).where(META.c.name == name).values(value=META.c.value + 1).returning(META.c.value)
    return connection.execute(raised).scalar_one()


def positions(ledger: Database, connection: Connection) -> dict[str, Position]:
    """Returns the version of each name in the present contents of the ledger."""
    source = ledger.source(connection)
    return {name: Position(source, value) for name, value in connection.execute(select(META.c.name, META.c.value))}


class Positions:
    """The versions in a ledger, read once after each change for all who follow them. May be used in any thread."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._known: dict[str, Position] = {}
        self._stamp = ""

    def now(self, name: str) -> Position:
        """Returns the version of that name. Raises LedgerError."""
        with self._lock:
            stamp = self._ledger.stamp()  # before they are read, lest a change between the two go unnoticed
            if stamp != self._stamp:
                self._known = self._ledger.read(lambda connection: positions(self._ledger, connection))
                self._stamp = stamp
            return self._known[name]
