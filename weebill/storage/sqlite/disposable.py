"""Opens SQLite files beside the ledger that may be thrown away without harm to keys and usage: responses, outcomes.

`synchronous=NORMAL`, as losing the last of them to a power cut is no harm. One that is removed while it is open is gone
on with, and a new one is made at the next start.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from weebill.config.ledger_errors import LedgerError
from weebill.storage.sqlite.files import File
from weebill.storage.sqlite.open_file import OpenFile, Opening
from weebill.storage.sqlite.opening import use_write_ahead_log

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

log = logging.getLogger(__name__)


def open_writer(path: Path, busy_timeout_s: float, working: Callable[[], None] | None = None) -> OpenFile:
    """Opens the file for changes, making it if there is none. One that is no database, or damaged, is moved away for
    a new one.

    `working` is not called: changes are short. Raises LedgerError, sqlite3.Error.
    """
    del working
    try:
        try:
            return _open(path, busy_timeout_s)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _DAMAGED:
                raise
        _move_away(path)
        return _open(path, busy_timeout_s)
    except OSError as error:
        raise LedgerError(f"Cannot open {path}: {error}. Check the folder's permissions.") from error


def open_reader(path: Path, busy_timeout_s: float) -> OpenFile:
    """Opens an existing file for reading, beside its writer. Raises sqlite3.Error."""
    try:
        connection = _connected(path, "ro", busy_timeout_s)
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open {path}: {error}") from error
    connection.execute("PRAGMA query_only = ON")
    return connection


DISPOSABLE_FILE: Final = Opening(open_writer, open_reader)


def _open(path: Path, busy_timeout_s: float) -> OpenFile:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = _connected(path, "rw", busy_timeout_s)
    try:
        use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted shall be gone from the file, too.
        connection.execute("PRAGMA secure_delete = FAST").fetchall()
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # reads it, so that damage is found
    except BaseException:
        connection.close()
        raise
    return connection


def _move_away(path: Path) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    log.error("%s is damaged and moved to %s; what was in it is not used any more", path, aside)
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # of the damaged file: a new one must not take them for its own
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connected(path: Path, mode: str, busy_timeout_s: float) -> OpenFile:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,  # a pool lends it to one thread at a time
        factory=OpenFile,
    )
    try:
        status = path.stat()
    except BaseException:
        connection.close()
        raise
    connection.path, connection.file = path, File(status.st_dev, status.st_ino)
    return connection
