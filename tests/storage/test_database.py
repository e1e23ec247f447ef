from __future__ import annotations

import importlib
import multiprocessing
import re
import sqlite3
from datetime import date
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from tests.fixtures.ledger import SQLITE, open_file
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.opening import open_ledger
from weebill.storage.revisions import earlier
from weebill.storage.revisions.earlier import MIGRATIONS
from weebill.storage.schema import LEDGER
from weebill.storage.sqlite.opening import open_reader
from weebill.storage.tables.ledger import META


def open_fresh(path: Path, start: Barrier, told: SimpleQueue[int]) -> None:
    start.wait(60)
    connection = open_file(path)
    [(count,)] = connection.execute("SELECT count(*) FROM meta WHERE name = 'keys_version'").fetchall()
    told.put(count)


def test_four_processes_may_open_a_fresh_database_at_once(home: Home) -> None:
    context = multiprocessing.get_context("fork")
    start, told = context.Barrier(4), context.SimpleQueue()
    racers = [context.Process(target=open_fresh, args=(home.database, start, told)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0] * 4
    assert [told.get() for _ in racers] == [1] * 4


def test_a_database_is_migrated_once_and_kept(home: Home) -> None:
    first = open_file(home.database)
    first.execute("UPDATE meta SET value = 7 WHERE name = 'keys_version'")
    first.close()
    second = open_file(home.database)
    assert second.execute("SELECT value FROM meta WHERE name = 'keys_version'").fetchall() == [(7,)]
    assert second.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert second.execute("PRAGMA user_version").fetchall() == [(int(LEDGER.newest),)]
    second.close()


def test_migrations_are_listed_in_order_named_and_dated() -> None:
    files = sorted(Path(earlier.__file__).parent.glob("v*.py"), key=lambda path: int(path.stem[1:].split("_")[0]))
    modules = [importlib.import_module(f"{earlier.__name__}.{path.stem}") for path in files]
    assert tuple(module.STATEMENTS for module in modules) == MIGRATIONS
    dated = [re.search(r" Schema (\d+), (\d{4}-\d\d-\d\d)\.$", str(module.__doc__)) for module in modules]
    assert [int(found[1]) for found in dated if found] == list(range(1, len(MIGRATIONS) + 1))
    dates = [date.fromisoformat(found[2]) for found in dated if found]
    assert dates == sorted(dates)


def test_a_newer_schema_is_refused_and_left_alone(home: Home) -> None:
    connection = open_file(home.database)
    connection.execute("PRAGMA user_version = 9998")
    connection.close()
    with pytest.raises(LedgerError, match="schema 9998, made by a newer Weebill"):
        open_file(home.database)


def test_a_file_that_is_no_database_is_a_clear_error(home: Home) -> None:
    home.database.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match="restore a backup"):
        open_file(home.database)


def test_a_reader_cannot_write_and_does_not_create(home: Home) -> None:
    with pytest.raises(sqlite3.OperationalError):
        open_reader(home.database)
    assert not home.database.exists()
    open_file(home.database).close()
    reader = open_reader(home.database)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("UPDATE meta SET value = 1")
    reader.close()


def test_a_failed_change_leaves_nothing(home: Home) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(update(META).values(value=99))
        raise ZeroDivisionError

    with open_ledger(home, SQLITE) as ledger:
        with pytest.raises(ZeroDivisionError):
            ledger.change(fail)
        assert ledger.read(lambda connection: set(connection.scalars(select(META.c.value)))) == {0}
