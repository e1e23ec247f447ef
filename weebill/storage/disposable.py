"""SQLite files beside the ledger that may be thrown away without harm to keys and usage: responses, outcomes.

`synchronous=NORMAL`, as losing the last of them to a power cut is no harm.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from weebill.storage.database import BUSY_TIMEOUT_S, transaction, use_write_ahead_log

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

log = logging.getLogger(__name__)


def open_disposable(path: Path, steps: Sequence[Sequence[str]], newer: Exception) -> sqlite3.Connection:
    """Opens the file for its one writer, making it or bringing it up to date. One that is no database, or damaged, is
    moved away for a new one.

    The statements of the first of `steps` make the file's first version, those of each other one the next version. The
    number of steps that were done is its `user_version`; `newer` is raised if that is greater than all of them. Raises
    sqlite3.Error, OSError.
    """
    try:
        return _open(path, steps, newer)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in _DAMAGED:
            raise
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    log.error("%s is damaged and moved to %s; what was in it is not used any more", path, aside)
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # of the damaged file: a new one must not take them for its own
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return _open(path, steps, newer)


def read_disposable(path: Path, steps: Sequence[Sequence[str]], other: Exception) -> sqlite3.Connection:
    """Opens an existing file for reading, beside its writer; `other` is raised if it is of another version.

    Raises sqlite3.Error.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        [(found,)] = connection.execute("PRAGMA user_version").fetchall()
        if found != len(steps):
            raise other
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path, steps: Sequence[Sequence[str]], newer: Exception) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted shall be gone from the file, too.
        connection.execute("PRAGMA secure_delete = FAST")
        with transaction(connection):
            [(found,)] = connection.execute("PRAGMA user_version").fetchall()
            if found > len(steps):
                raise newer
            if found < len(steps):
                for statement in chain.from_iterable(steps[found:]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {len(steps)}")
    except BaseException:
        connection.close()
        raise
    return connection
