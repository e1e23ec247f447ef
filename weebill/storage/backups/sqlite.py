"""Copies of SQLite files that others may be writing to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from weebill.storage.backups.progress import PAGES

ALWAYS: Final = ("meta", "api_keys", "usage_daily", "journal_marks", "quarantine")
"""Tables that every release has made, so that the revisions know what they take over."""

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
    """Opens a SQLite file for reading. Raises sqlite3.Error."""
    # Without a log nobody writes to it. SQLite would make one beside it, for readers, too, and leave it there.
    has_log = any(file.with_name(f"{file.name}{suffix}").exists() for suffix in ("-wal", "-journal"))
    how = "mode=ro" if has_log else "immutable=1"
    return sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
