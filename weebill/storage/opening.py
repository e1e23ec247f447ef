"""Opens the database that an installation has its ledger in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.schema import LEDGER
from weebill.storage.sqlite.database import SqliteDatabase

BUSY_TIMEOUT_S: Final = 10.0


def open_ledger(
    home: Home,
    settings: DatabaseSettings,
    *,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    working: Callable[[], None] | None = None,
) -> Database:
    """Returns the ledger, which nothing is read from yet.

    On SQLite, changes and reads wait for other programs for `busy_timeout_s`. `working` is called again and again while
    a change takes long. Raises LedgerError if there is no driver.
    """
    if settings.url is None:
        return SqliteDatabase(home.database, LEDGER, busy_timeout_s=busy_timeout_s, working=working)
    from weebill.storage.postgresql.database import PostgresDatabase  # its driver is an extra

    return PostgresDatabase(settings.url, LEDGER, working=working)
