"""Copies of SQLite files that others may be writing to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from weebill.storage.backups.progress import PAGES

_Told = Callable[[int, int], None]


def copy_file(source: sqlite3.Connection, target: Path, told: _Told) -> None:
    """Copies the database as it is at this moment into the file `target`, which then needs no log beside it.

    `source` is in no transaction. What others commit meanwhile is not in the copy, and delays nobody. Raises
    sqlite3.Error.
    """
    page_size = int(source.execute("PRAGMA page_size").fetchone()[0])

    def progress(_: int, remaining: int, total: int) -> None:
        told((total - remaining) * page_size, total * page_size)

    # Without a transaction, the copy would begin anew with every change by others, and so never end under load.
    source.execute("BEGIN")
    try:
        source.execute("SELECT count(*) FROM sqlite_master").fetchall()
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            source.backup(copy, pages=PAGES, progress=progress)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        source.execute("ROLLBACK")


def open_backup(file: Path) -> sqlite3.Connection:
    """Opens a SQLite file for reading, also where nothing may be written beside it. Raises sqlite3.Error."""
    uri = file.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA schema_version").fetchall()
    except sqlite3.OperationalError:
        connection.close()
        if file.with_name(f"{file.name}-wal").exists():
            raise
        # SQLite would make files beside one with a write-ahead log.
        connection = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
        connection.execute("PRAGMA schema_version").fetchall()
    return connection
