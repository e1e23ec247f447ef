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
from weebill.storage.sqlite.opening import BUSY_TIMEOUT_S

_LONG_S: Final = 30.0


def bring_up_to_date(home: Home, settings: DatabaseSettings) -> None:
    """Makes the ledger, or brings it up to date. Raises LedgerError, also if it was made by a newer release."""
    with open_ledger(home, settings) as ledger:
        ledger.change(lambda _: None)


def open_ledger(
    home: Home,
    settings: DatabaseSettings,
    *,
    patience_s: float | None = None,
    working: Callable[[], None] | None = None,
) -> Database:
    """Returns the ledger, which nothing is read from yet.

    Another program's lock (on SQLite) and a statement (on PostgreSQL) may take `patience_s`, if it is given. While a
    change takes long, `working` is called again and again: whoever gives it has nobody wait, and goes on with a slow
    server that others give up. Raises LedgerError if there is no driver.
    """
    if settings.url is None:
        return SqliteDatabase(home.database, LEDGER, busy_timeout_s=patience_s or BUSY_TIMEOUT_S, working=working)
    # Its driver is an extra.
    from weebill.storage.postgresql.database import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S, PostgresDatabase

    return PostgresDatabase(
        settings.url,
        LEDGER,
        statement_timeout_s=patience_s or STATEMENT_TIMEOUT_S,
        connect_timeout_s=CONNECT_TIMEOUT_S if working is None else _LONG_S,
        working=working,
    )


def open_responses(home: Home, settings: DatabaseSettings, *, patience_s: float = BUSY_TIMEOUT_S) -> Database:
    """Returns the store of responses, which nothing is read from yet: in the ledger's PostgreSQL, or a file beside it.

    Statements wait for other programs for `patience_s`. Raises LedgerError if there is no driver.
    """
    if settings.url is None:
        return SqliteDatabase(home.responses, RESPONSES, DISPOSABLE_FILE, busy_timeout_s=patience_s)
    from weebill.storage.postgresql.database import PostgresDatabase  # its driver is an extra

    return PostgresDatabase(settings.url, RESPONSES, statement_timeout_s=patience_s)


def open_outcomes(home: Home) -> Database:
    """Returns the store of outcomes, which nothing is read from yet.

    It is this machine's own, whatever the ledger is in: a learner knows what the workers beside it have reported.
    """
    return SqliteDatabase(home.lessons, OUTCOMES, DISPOSABLE_FILE)
