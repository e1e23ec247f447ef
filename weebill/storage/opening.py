"""Opens the databases of an installation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.schema import LEDGER, OUTCOMES, RESPONSES
from weebill.storage.sqlite.database import SqliteDatabase
from weebill.storage.sqlite.disposable import DISPOSABLE_FILE

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


def open_responses(home: Home, settings: DatabaseSettings, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Database:
    """Returns the store of responses, which nothing is read from yet: in the ledger's PostgreSQL, or a file beside it.

    Statements wait for other programs for `busy_timeout_s`. Raises LedgerError if there is no driver.
    """
    if settings.url is None:
        return SqliteDatabase(home.responses, RESPONSES, DISPOSABLE_FILE, busy_timeout_s=busy_timeout_s)
    from weebill.storage.postgresql.database import PostgresDatabase  # its driver is an extra

    return PostgresDatabase(settings.url, RESPONSES, statement_timeout_s=busy_timeout_s)


def open_outcomes(home: Home) -> Database:
    """Returns the store of outcomes, which nothing is read from yet.

    It is this machine's own, whatever the ledger is in: a learner knows what the workers beside it have reported.
    """
    return SqliteDatabase(home.lessons, OUTCOMES, DISPOSABLE_FILE)
