"""Databases of earlier releases are brought up to date, whole or not at all; those of newer ones are left alone."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select

from tests.fixtures.ledger import SQLITE
from tests.storage import trial
from tests.storage.older import DEFAULTS, EARLIER, KINDS, NO_SCOPES, SOME, Row, make_ledger, read_table, tables_of
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.postgresql.database import PostgresDatabase
from weebill.storage.schema import LEDGER, RESPONSES, Schema
from weebill.storage.sqlite.database import SqliteDatabase
from weebill.storage.upgrade import NewerSchemaError, revision_of
from weebill.storage.usage_rows import KIND, fingerprint

Opened = Callable[[Schema], Database]


def touch(ledger: Database) -> None:
    """Bring it up to date."""
    ledger.change(lambda _: None)


def includes(rows: list[Row], part: list[Row], defaults: Row) -> bool:
    """Tells whether each row of the part is there, with these defaults in further columns."""
    names = sorted(rows[0]) if rows else []
    known = sorted(str([row[name] for name in names]) for row in rows)
    return known == sorted(str([{**defaults, **row}[name] for name in names]) for row in part)


@pytest.mark.parametrize("version", EARLIER)
def test_a_ledger_of_each_earlier_release_is_taken_over_with_all_its_data(version: int, home: Home) -> None:
    path = home.database
    make_ledger(path, version)
    before = {name: read_table(path, name) for name in tables_of(path)}
    with open_ledger(home, SQLITE) as ledger:
        touch(ledger)
    # Records, whatever tables they are kept in.
    records = read_table(path, "usage")
    assert len(records) == 3 * version
    assert includes(records, before["usage"], DEFAULTS)
    for table in ("usage_daily", "journal_marks", "quarantine"):
        assert includes(read_table(path, table), before[table], {"cost_nano": 0, "unpriced": 0})
    for table in ("api_keys", "experiments"):
        rows = read_table(path, table)
        made = [row["made_in"] for row in rows]
        assert len(set(made)) == len(made)
        kept = [{name: value for name, value in row.items() if name != "made_in"} for row in rows]
        assert includes(kept, before.get(table, []), NO_SCOPES)
    meta = {row["name"]: row["value"] for row in read_table(path, "meta")}
    begun = ("experiments_version", "allowances_version", "provider_keys_version")
    assert meta == {"keys_version": version, "audit_rows": 1} | dict.fromkeys(begun, 0)
    [installation] = read_table(path, "installation")
    assert (len(str(installation["id"])), installation["pepper"]) == (32, None)
    for kind in read_table(path, "usage_kinds"):
        assert kind["fingerprint"] == fingerprint([kind[name] for name in KIND])  # type: ignore[misc]


@pytest.mark.parametrize("version", SOME)
def test_new_records_of_a_ledger_that_was_taken_over_have_new_ids(version: int, home: Home) -> None:
    make_ledger(home.database, version)
    with open_ledger(home, SQLITE) as ledger:
        touch(ledger)
    with closing(sqlite3.connect(home.database)) as connection:
        [(last,)] = connection.execute("SELECT max(id) FROM usage")
        connection.execute(
            "INSERT INTO usage_entries SELECT NULL, 1, 'new', 1, 0, 1, 0, 0, 0, 0, 0, NULL, '', '', NULL WHERE 1"
        )
        assert connection.execute("SELECT last_insert_rowid()").fetchall() == [(last + 1,)]


def differences(connection: Connection) -> list[object]:
    """What Alembic finds different from the tables as they are in the code."""

    def named(name: str | None, kind: str, _: object) -> bool:
        # Records of earlier releases stay where they are; the view has them. PostgreSQL has the responses as well.
        others = {"usage_before_kinds", "usage_entries_before_flags", "ledger_revision", RESPONSES.version_table}
        return kind != "table" or name not in others | {*RESPONSES.tables.tables}

    def compared(item: object, _name: str | None, _kind: str, _reflected: bool, _other: object) -> bool:
        return not getattr(item, "is_view", False)

    options = {"include_name": named, "include_object": compared, "compare_type": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), LEDGER.tables))


def test_a_new_ledger_has_the_tables_of_the_code(ledger: Database) -> None:
    touch(ledger)
    assert ledger.read(differences) == []


@pytest.mark.parametrize("version", SOME)
def test_a_ledger_that_was_taken_over_has_the_tables_of_a_new_one(version: int, home: Home, tmp_path: Path) -> None:
    make_ledger(home.database, version)
    with open_ledger(home, SQLITE) as ledger:
        touch(ledger)
        assert ledger.read(differences) == []
    new = Home(tmp_path / "new")
    new.create()
    with open_ledger(new, SQLITE) as ledger:
        touch(ledger)
    # What Alembic does not compare: STRICT, the order of keys, and that there are no other unique indexes.
    for table in tables_of(new.database):
        if table != "usage":
            assert described(home.database, table) == described(new.database, table), table
    assert {*tables_of(home.database)} - {*tables_of(new.database)} == {
        "usage_before_kinds",
        "usage_entries_before_flags",
    }


def described(path: Path, table: str) -> object:
    """Columns, keys and indexes, whatever their order and names."""
    with closing(sqlite3.connect(path)) as connection:
        strict = connection.execute(f"SELECT wr, strict FROM pragma_table_list('{table}')").fetchall()
        columns = connection.execute(f"SELECT name, type, pk FROM pragma_table_xinfo('{table}')").fetchall()
        indexes = connection.execute(f"SELECT name, \"unique\", partial FROM pragma_index_list('{table}')").fetchall()
        return (
            strict,
            sorted(columns),
            sorted(
                (unique, partial, connection.execute(f"SELECT name FROM pragma_index_info('{name}')").fetchall())
                for name, unique, partial in indexes
            ),
        )


def test_a_ledger_of_a_newer_release_is_refused_by_both(
    ledger: Database, home: Home, database_settings: DatabaseSettings
) -> None:
    touch(ledger)
    newer = f"{int(LEDGER.newest) + 1:04}"

    def raised(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA user_version = {int(newer)}")
        else:
            connection.exec_driver_sql(f"UPDATE ledger_revision SET version_num = '{newer}'")

    ledger.change(raised)
    with open_ledger(home, database_settings) as late:
        with pytest.raises(NewerSchemaError, match=f"schema {newer}, made by a newer Weebill") as caught:
            touch(late)
        assert "Install the newer release again" in str(caught.value)
        if database_settings.url is not None:
            assert database_settings.url not in str(caught.value)
        assert late.look(lambda connection: revision_of(connection, LEDGER)) == newer
    # Who is at work goes on: a newer release only adds what this one does not mind.
    touch(ledger)


@pytest.fixture
def opened(database_settings: DatabaseSettings, tmp_path: Path) -> Opened:
    """Opens the trial database by a schema."""

    def open_by(schema: Schema) -> Database:
        if database_settings.url is None:
            return SqliteDatabase(tmp_path / "trial.db", schema)
        return PostgresDatabase(database_settings.url, schema)

    return open_by


def labels(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(trial.LABELS)).scalar_one()


def test_revisions_run_once_however_many_replicas_start(opened: Opened) -> None:
    with opened(trial.OLD) as old:
        touch(old)
    with ExitStack() as stack:
        replicas = [stack.enter_context(opened(trial.NEW)) for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(touch, replicas))
        for replica in replicas:
            assert replica.read(labels) == trial.ROWS
            assert replica.read(lambda connection: revision_of(connection, trial.NEW)) == "0003"


def test_replicas_of_the_release_before_go_on_beside_the_upgrade(opened: Opened) -> None:
    with opened(trial.OLD) as before, opened(trial.NEW) as after, opened(trial.OLD) as late:
        touch(before)
        touch(after)
        before.change(lambda connection: connection.execute(insert(trial.OLD_ITEMS).values(id=-1, name="late")))
        own = select(trial.ITEMS).where(trial.ITEMS.c.id == -1)
        assert after.read(lambda connection: tuple(connection.execute(own).one())) == (-1, "late", "")
        with pytest.raises(NewerSchemaError):
            touch(late)


def upgrade_and_exit(database: Database) -> None:
    """In a forked process."""
    code = 1
    try:
        touch(database)
        code = 0
    finally:
        os._exit(code)


def killed(upgrade: Callable[[], None], after_s: float | None) -> float:
    """Forks a process that upgrades, and kills it, or lets it end; returns how long that took."""
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        upgrade()
    if after_s is not None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return time.monotonic() - begun


def test_a_killed_upgrade_leaves_the_old_or_the_new(opened: Opened) -> None:
    def state(connection: Connection) -> tuple[str, int]:
        count = connection.execute(select(func.count()).select_from(trial.OLD_ITEMS)).scalar_one()
        return revision_of(connection, trial.NEW), count

    chance = random.Random(15)
    with opened(trial.OLD) as old:
        touch(old)
    tries, found = 0, ("0001", trial.ROWS)
    while found[0] == "0001":
        tries += 1
        # Later and later, until one is done before.
        killed(lambda: upgrade_and_exit(opened(trial.NEW)), chance.uniform(0, 0.05 * tries))
        with opened(trial.OLD) as looked:
            found = looked.look(state)
        assert found in (("0001", trial.ROWS), ("0003", trial.ROWS))
        assert tries < 100
    with opened(trial.NEW) as after:
        touch(after)
        assert after.read(labels) == trial.ROWS


def test_a_killed_takeover_leaves_the_old_ledger_or_the_new_one(home: Home) -> None:
    path = home.database
    chance = random.Random(15)
    make_ledger(path, len(EARLIER), records=400)
    template = path.read_bytes()
    usage = read_table(path, "usage")
    took = killed(lambda: upgrade_and_exit(open_ledger(home, SQLITE)), None)
    for _ in range(6):
        for left in home.root.glob("weebill.db*"):
            left.unlink()
        path.write_bytes(template)
        killed(lambda: upgrade_and_exit(open_ledger(home, SQLITE)), chance.uniform(0, 1.2 * took))
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            [(version,)] = connection.execute("PRAGMA user_version")
        assert version in (len(EARLIER), int(LEDGER.newest))
        assert includes(read_table(path, "usage"), usage, DEFAULTS)
        with open_ledger(home, SQLITE) as ledger:
            touch(ledger)
            assert ledger.read(differences) == []
        assert includes(read_table(path, "usage"), usage, DEFAULTS)


def test_a_takeover_that_fails_changes_nothing(home: Home) -> None:
    path = home.database
    make_ledger(path, KINDS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE installation (some, other)")  # in the way of the last statements
    before = {name: read_table(path, name) for name in tables_of(path)}
    with open_ledger(home, SQLITE) as ledger, pytest.raises(LedgerError, match="installation"):
        touch(ledger)
    assert {name: read_table(path, name) for name in tables_of(path)} == before
