"""Rows of one statement, as `find` returns them, and what becomes of its connection to PostgreSQL."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects import sqlite

from bench.outage.between import Between
from tests.fixtures.databases import execute, on_sqlite
from tests.fixtures.postgresql import PostgresServer
from weebill.accounts.keys import Keys
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.keys import _WITH_DIGEST, keys_in
from weebill.storage.opening import open_ledger
from weebill.storage.postgresql.standing import StandingConnection
from weebill.storage.tables.ledger import API_KEYS

NAMED = select(API_KEYS).where(API_KEYS.c.name == bindparam("a_name")).order_by(API_KEYS.c.id)
ASKED = text("SELECT query FROM pg_stat_activity WHERE state = 'idle' AND query LIKE '%api_keys%'")


@pytest.fixture
def keys(ledger: Database, home: Home) -> Keys:
    return keys_in(ledger, home)


def test_rows_are_those_that_are_read(ledger: Database, keys: Keys) -> None:
    assert ledger.find(NAMED, {"a_name": "a"}) == []
    for _ in range(2):
        keys.create("a")
        keys.revoke("a")
    keys.create("b")
    read = ledger.read(lambda connection: connection.execute(NAMED, {"a_name": "a"}).mappings().all())
    found = ledger.find(NAMED, {"a_name": "a"})
    assert [dict(row) for row in found] == [dict(row) for row in read]
    assert len(found) == 2


def test_a_change_is_found_at_once(ledger: Database, keys: Keys) -> None:
    for number in range(1, 9):
        keys.create("a")
        keys.revoke("a")
        assert len(ledger.find(NAMED, {"a_name": "a"})) == number


def test_statements_have_no_transactions_around_them(home: Home, own_postgres_server: PostgresServer) -> None:
    """What the server did last for the connection is the statement: no commit, which would be a round trip more."""
    with open_ledger(home, DatabaseSettings(url=own_postgres_server.database())) as ledger:
        ledger.find(NAMED, {"a_name": "a"})
        last = ledger.read(lambda connection: connection.execute(ASKED).scalars().all())
    assert len(last) == 1
    assert last[0].startswith("SELECT api_keys.id")


def test_a_server_that_was_started_again_is_found_by_the_first_call(
    home: Home, own_postgres_server: PostgresServer
) -> None:
    with open_ledger(home, DatabaseSettings(url=own_postgres_server.database())) as ledger:
        assert ledger.find(NAMED, {"a_name": "a"}) == []
        own_postgres_server.stop()
        own_postgres_server.start()
        assert ledger.find(NAMED, {"a_name": "a"}) == []
        own_postgres_server.stop()
        with pytest.raises(LedgerError):
            ledger.find(NAMED, {"a_name": "a"})
        own_postgres_server.start()
        assert ledger.find(NAMED, {"a_name": "a"}) == []


def test_a_silent_server_is_not_waited_for_again(home: Home, own_postgres_server: PostgresServer) -> None:
    server = own_postgres_server
    with Between(server.port) as between:
        url = server.database().replace(f":{server.port}/", f":{between.port}/")
        with open_ledger(home, DatabaseSettings(url=url), patience_s=0.5) as ledger:
            assert ledger.find(NAMED, {"a_name": "a"}) == []
            between.silent = True
            with pytest.raises(LedgerError, match="does not answer"):
                ledger.find(NAMED, {"a_name": "a"})
            between.silent = False
            found = None
            while found is None:
                try:
                    found = ledger.find(NAMED, {"a_name": "a"})
                except LedgerError:
                    continue
            assert found == []


def test_a_statement_that_takes_too_long_is_no_outage(home: Home, own_postgres_server: PostgresServer) -> None:
    slow = select(text("1 AS one")).where(text("pg_sleep(60) IS NOT NULL"))
    with open_ledger(home, DatabaseSettings(url=own_postgres_server.database()), patience_s=1.0) as ledger:
        ledger.change(lambda _: None)
        with pytest.raises(LedgerError, match="statement timeout"):
            ledger.find(slow, {})
        assert ledger.find(NAMED, {"a_name": "a"}) == []


async def test_a_statement_that_was_left_does_not_stand_in_the_way_of_the_next_one(
    own_postgres_server: PostgresServer,
) -> None:
    url = own_postgres_server.database().replace("+asyncpg", "")
    standing = StandingConnection(lambda: asyncpg.connect(url))
    assert await standing.fetch("SELECT 1") == (1, [(1,)])
    left = asyncio.create_task(standing.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.1)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    assert await standing.fetch("SELECT 2") == (2, [(2,)])
    standing.terminate()


@on_sqlite
def test_a_key_is_found_by_an_index_whatever_statistics_say(ledger: Database, keys: Keys) -> None:
    for number in range(200):
        keys.create(f"key {number}")
    execute(ledger, "ANALYZE")
    wanted = f"EXPLAIN QUERY PLAN {_WITH_DIGEST.compile(dialect=sqlite.dialect())}"
    digests = (b"x" * 32,) * wanted.count("?")
    plan = ledger.read(lambda connection: connection.exec_driver_sql(wanted, digests).all())
    assert [step for *_, step in plan if "SCAN api_keys" in step] == []
