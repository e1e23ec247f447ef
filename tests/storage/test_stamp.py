"""The stamp of a ledger tells whether anything has changed, whoever has changed it."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from tests.fixtures.databases import execute, on_sqlite
from tests.fixtures.postgresql import PostgresServer
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import META

RAISE = "UPDATE meta SET value = value + 1"


def test_every_change_makes_another_one(home: Home, ledger: Database, database_settings: DatabaseSettings) -> None:
    with open_ledger(home, database_settings) as other:
        seen = [ledger.stamp()]
        for changing in (ledger, other, ledger, other):
            execute(changing, RAISE)
            seen.append(ledger.stamp())
        assert len(set(seen)) == len(seen)
        assert other.stamp()


def test_none_is_as_good_as_committed_until_it_is(
    home: Home, ledger: Database, database_settings: DatabaseSettings
) -> None:
    """Whoever has read it before the commit finds another one after it."""
    with open_ledger(home, database_settings) as other:
        before = ledger.stamp()
        within = other.change(lambda connection: (connection.execute(text(RAISE)), ledger.stamp())[1])
        assert len({within, ledger.stamp()}) == 2
        assert before != ledger.stamp()


@on_sqlite
def test_readers_and_changes_of_nothing_leave_it(ledger: Database) -> None:
    stamp = ledger.stamp()
    for _ in range(3):
        ledger.read(lambda connection: connection.execute(select(META)).fetchall())
        ledger.change(lambda connection: connection.execute(select(META)).fetchall())
    assert ledger.stamp() == stamp


def test_readers_and_changes_of_nothing_leave_that_of_a_cluster(
    home: Home, own_postgres_server: PostgresServer
) -> None:
    settings = DatabaseSettings(url=own_postgres_server.database())
    with open_ledger(home, settings) as ledger:
        stamp = ledger.stamp()
        ledger.read(lambda connection: connection.execute(select(META)).fetchall())
        ledger.change(lambda connection: connection.execute(select(META)).fetchall())
        assert ledger.stamp() == stamp
        own_postgres_server.stop()
        with pytest.raises(LedgerError):
            ledger.stamp()
        own_postgres_server.start()
        assert ledger.stamp() != stamp


def test_a_file_that_is_missing_has_none(home: Home) -> None:
    with open_ledger(home, DatabaseSettings()) as ledger:
        ledger.change(lambda _: None)
        stamp = ledger.stamp()
        away = home.database.rename(home.root / "away.db")
        with pytest.raises(LedgerError):
            ledger.stamp()
        away.rename(home.database)
        assert ledger.stamp() != stamp
