"""Files that may be thrown away: how they are opened, and replaced if they are damaged."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, Text, insert, select

from weebill.config.ledger_errors import LedgerError
from weebill.storage.schema import Schema
from weebill.storage.sqlite.database import SqliteDatabase
from weebill.storage.sqlite.disposable import DISPOSABLE_FILE

NOTES = Table("notes", MetaData(), Column("text", Text, nullable=False))
SCHEMA = Schema("notes", NOTES.metadata, "0001", lambda _: None, title="notes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    with SqliteDatabase(path, SCHEMA, DISPOSABLE_FILE, busy_timeout_s=1) as database:
        yield database


def note(database: SqliteDatabase, text: str) -> None:
    database.change(lambda connection: connection.execute(insert(NOTES).values(text=text)))


def notes(database: SqliteDatabase) -> list[str]:
    return database.read(lambda connection: list(connection.scalars(select(NOTES.c.text))))


def test_a_file_is_made_and_opened_again(database: SqliteDatabase, path: Path) -> None:
    note(database, "kept")
    with SqliteDatabase(path, SCHEMA, DISPOSABLE_FILE) as again:
        note(again, "more")
        assert notes(again) == notes(database) == ["kept", "more"]


@pytest.mark.parametrize("size", [5, 100_000])
def test_a_damaged_file_is_moved_away(
    database: SqliteDatabase, path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    path.write_bytes(b"x" * size)
    with caplog.at_level(logging.ERROR):
        note(database, "new")
    assert notes(database) == ["new"]
    [aside] = path.parent.glob("notes.sqlite3.damaged-*")
    assert aside.read_bytes() == b"x" * size
    assert str(aside) in caplog.text


def test_tables_that_are_damaged_are_moved_away(database: SqliteDatabase, path: Path) -> None:
    note(database, "lost")
    database.close()
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100  # the first page, behind the header
    path.write_bytes(content)
    note(database, "new")
    assert notes(database) == ["new"]
    assert len(list(path.parent.glob("notes.sqlite3.damaged-*"))) == 1


def test_a_damaged_file_stays_where_it_is_for_readers(database: SqliteDatabase, path: Path) -> None:
    path.write_bytes(b"x" * 100_000)
    with pytest.raises(LedgerError, match="the notes cannot be used: file is not a database"):
        notes(database)
    assert path.read_bytes() == b"x" * 100_000


def test_a_file_that_is_removed_is_gone_on_with(database: SqliteDatabase, path: Path) -> None:
    note(database, "first")
    assert notes(database) == ["first"]
    path.unlink()
    note(database, "second")
    assert notes(database) == ["first", "second"]
    assert not path.exists()


def test_what_is_deleted_is_not_in_the_file(database: SqliteDatabase, path: Path) -> None:
    note(database, "secret" * 20)
    database.change(lambda connection: connection.execute(NOTES.delete()))
    database.close()
    assert b"secret" not in path.read_bytes()


def test_what_is_no_damage_is_an_error(tmp_path: Path) -> None:
    def wrong(connection: Connection) -> None:
        connection.exec_driver_sql("no SQL")

    (tmp_path / "folder").mkdir()
    with (
        SqliteDatabase(tmp_path / "folder", SCHEMA, DISPOSABLE_FILE) as folder,
        pytest.raises(LedgerError, match="directory"),
    ):
        note(folder, "no")
    other = tmp_path / "other.sqlite3"
    with SqliteDatabase(other, SCHEMA, DISPOSABLE_FILE) as database, pytest.raises(LedgerError, match="syntax error"):
        database.change(wrong)
    assert [each.name for each in tmp_path.glob("*damaged*")] == []


def test_power_cuts_may_take_the_last_of_it(path: Path) -> None:
    connection = DISPOSABLE_FILE.writer(path, 1.0, None)
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
    assert [connection.execute(f"PRAGMA {each}").fetchone()[0] for each in pragmas] == ["wal", 1, 1, 2]
    connection.close()
    reader = DISPOSABLE_FILE.reader(path, 1.0)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("CREATE TABLE other (a)")
    reader.close()
