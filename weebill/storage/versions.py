"""Version numbers in `meta`: every change of a table raises one, in its own transaction. So others notice it."""

from __future__ import annotations

import threading
import time
from typing import Final

from sqlalchemy import Connection, select, update

from weebill.process.questions import Position
from weebill.storage.database import Database
from weebill.storage.tables.ledger import META

KEYS_VERSION: Final = "keys_version"
EXPERIMENTS_VERSION: Final = "experiments_version"
FRESH_S: Final = 0.2


def raise_version(connection: Connection, name: str) -> int:
    """Returns the next version of that name, within a change."""
    raised = update(META).where(META.c.name == name).values(value=META.c.value + 1).returning(META.c.value)
    return connection.execute(raised).scalar_one()


def positions(ledger: Database, connection: Connection) -> dict[str, Position]:
    """Returns the version of each name in the present contents of the ledger."""
    source = ledger.source(connection)
    return {name: Position(source, value) for name, value in connection.execute(select(META.c.name, META.c.value))}


class Positions:
    """The versions in a ledger, read once in `fresh_s` for all who follow them. May be used in any thread."""

    def __init__(self, ledger: Database, fresh_s: float = FRESH_S) -> None:
        self._ledger = ledger
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._known: dict[str, Position] = {}
        self._stale_at = 0.0

    def now(self, name: str) -> Position:
        """Returns the version of that name, as it was at most `fresh_s` ago. Raises LedgerError."""
        with self._lock:
            if time.monotonic() >= self._stale_at:
                self._known = self._ledger.read(lambda connection: positions(self._ledger, connection))
                self._stale_at = time.monotonic() + self._fresh_s
            return self._known[name]
