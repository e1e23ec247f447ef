"""Makes a backup of a ledger, as it is at one moment, while it is used."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from weebill.storage.backups.files import BackupError, draft_for, private, publish
from weebill.storage.backups.progress import Progress, silent
from weebill.storage.backups.rows import count_rows, give_ids_after, last_id, read_rows, sequences, write_to_sqlite
from weebill.storage.backups.sqlite import ALWAYS, copy_file, open_backup
from weebill.storage.database import Database
from weebill.storage.errors import typed_errors
from weebill.storage.schema import LEDGER
from weebill.storage.sqlite.database import SqliteDatabase
from weebill.storage.sqlite.opening import open_reader
from weebill.storage.upgrade import make_tables, revision_of

# Of a SQLite file's first bytes (its file format, 1.3): the name of the format, and how it is written to.
_SQLITE: Final = b"SQLite format 3\0"
_HEAD_BYTES: Final = 100
_WRITE_VERSION: Final = 18
_NO_LOG: Final = 1
"""Not in WAL mode, as every ledger is that has been opened for changes."""


class DamagedError(BackupError):
    """A ledger is not whole."""


def back_up(ledger: Database, file: Path, *, overwrite: bool = False, progress: Progress = silent) -> int:
    """Writes a backup of the ledger to `file`, private to the user; returns its size in bytes.

    `overwrite` replaces an earlier backup or an empty file, and nothing else. Raises LedgerError, and OSError if the
    file cannot be written.
    """
    if file.exists() and not overwrite:
        raise BackupError(f"{file} is there already", "give another name, or replace it by `--overwrite`")
    if isinstance(ledger, SqliteDatabase) and file.exists() and file.samefile(ledger.path):
        raise BackupError(f"{file} is the ledger itself", "give another name")
    if overwrite and file.with_name(f"{file.name}-wal").exists():
        raise BackupError(f"{file} is in use: SQLite has a log beside it", "give another name")
    if overwrite and file.exists() and not _is_replaceable(file):
        raise BackupError(f"{file} is no backup that could be replaced", "give another name, or remove it first")
    with draft_for(file) as draft:
        if isinstance(ledger, SqliteDatabase):
            copy_ledger(ledger.path, draft, progress)
        else:
            # A function on tables may be called again: it then begins with an empty file.
            ledger.look(lambda connection: _copy_tables(connection, draft, progress))
        size = draft.stat().st_size
        try:
            publish(draft, file, overwrite=overwrite)
        except FileExistsError as error:
            raise BackupError(f"{file} was made meanwhile", "give another name") from error
    return size


def _is_replaceable(file: Path) -> bool:
    """Returns whether a file is empty, or looks like one that `back_up` has written: no ledger in use has that mode."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    if not head:
        return True
    if not head.startswith(_SQLITE) or head[_WRITE_VERSION] != _NO_LOG:
        return False
    try:
        with closing(open_backup(file)) as backup:
            names = {str(name) for (name,) in backup.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return False
    return names.issuperset(ALWAYS)


def copy_ledger(path: Path, draft: Path, progress: Progress) -> None:
    """Copies the SQLite ledger at `path` into a new file. Raises LedgerError."""
    if not path.exists():
        raise BackupError(f"There is no ledger {path} yet", "`weebill serve` makes it")
    with typed_errors(), closing(open_reader(path)) as source:
        copy_file(source, draft, lambda done, total: progress("reading", done, total))
    with typed_errors(), closing(sqlite3.connect(draft)) as copy:
        problems = [str(row[0]) for row in copy.execute("PRAGMA quick_check(1)")]
    if problems != ["ok"]:
        raise DamagedError(f"The ledger {path} is damaged: {problems[0]}", "restore an earlier backup")


def _copy_tables(source: Connection, draft: Path, progress: Progress) -> None:
    found = revision_of(source, LEDGER)
    if found != LEDGER.newest:
        raise BackupError(
            f"The database has schema {found or 'none'}, and this release backs up {LEDGER.newest}",
            "bring it up to date by `weebill db upgrade`, or use the release that made it",
        )
    draft.write_bytes(b"")
    tables = LEDGER.kept
    done, total = 0, count_rows(source, tables)
    with private(draft) as target:
        make_tables(target, LEDGER)
        for table in tables:
            for rows in read_rows(source, table):
                write_to_sqlite(target, table, rows)
                done += len(rows)
                progress("reading", done, total)
        for table in sequences(tables):
            give_ids_after(target, table, last_id(source, table))
