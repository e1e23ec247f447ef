"""Files that may be thrown away: made, brought up to date, and replaced if they are damaged."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from weebill.storage.disposable import open_disposable

FIRST = ("CREATE TABLE notes (text TEXT NOT NULL)",)
SECOND = ("ALTER TABLE notes ADD COLUMN at INTEGER NOT NULL DEFAULT 7",)
NEWER = RuntimeError("newer")


def test_a_file_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite3"
    with open_disposable(path, (FIRST,), NEWER) as connection:
        connection.execute("INSERT INTO notes VALUES ('kept')")
    connection.close()
    for _ in range(2):
        connection = open_disposable(path, (FIRST, SECOND), NEWER)
        assert connection.execute("SELECT text, at FROM notes").fetchall() == [("kept", 7)]
        connection.close()
    with pytest.raises(RuntimeError, match="newer"):
        open_disposable(path, (FIRST,), NEWER)


@pytest.mark.parametrize("size", [5, 100_000])
def test_a_damaged_file_is_moved_away(tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int) -> None:
    path = tmp_path / "notes.sqlite3"
    path.write_bytes(b"x" * size)
    with caplog.at_level(logging.ERROR):
        connection = open_disposable(path, (FIRST,), NEWER)
    assert connection.execute("SELECT count(*) FROM notes").fetchall() == [(0,)]
    connection.close()
    [aside] = tmp_path.glob("notes.sqlite3.damaged-*")
    assert aside.read_bytes() == b"x" * size
    assert str(aside) in caplog.text


def test_what_is_no_damage_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite3"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        open_disposable(path, (FIRST,), NEWER)
    with pytest.raises(sqlite3.OperationalError):
        open_disposable(tmp_path / "other.sqlite3", (("no SQL",),), NEWER)
