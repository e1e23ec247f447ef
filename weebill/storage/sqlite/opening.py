"""Opens the SQLite file of the ledger.

Write-ahead logging lets others read while the ledger process writes. `synchronous=FULL` because a commit has
to outlive a power cut: a revoked key must not come back, and a journal segment is deleted once its rows are
committed. It is affordable because commits are few: ingestion makes a handful a second, whatever the load.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.advice.sqlite import LOCKED, advice
from weebill.storage.sqlite.files import Note, alone, file_at, is_empty
from weebill.storage.sqlite.open_file import OpenFile, Opening

BUSY_TIMEOUT_S = 10.0
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_STEPS = 100_000  # of SQLite's machine between two signs of work: some milliseconds


class LedgerFile(OpenFile):
    """A connection that knows whether its path still leads to its file."""

    writes: bool

    def is_current(self) -> bool:
        """True if the file at the path is still the one that is open, and not emptied."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.file and status.st_size > 0

    def close(self) -> None:
        """Closes it; what the log of a replaced file holds goes into the file that it belongs to."""
        if not self.writes:
            super().close()
            return
        with suppress(OSError), alone(self.path, BUSY_TIMEOUT_S) as note:
            if self.is_current():
                super().close()
                note.belongs(self.file)
                return
            if file_at(self.path) == self.file:
                self._close_emptied()
            else:
                with suppress(sqlite3.Error):
                    # Not emptying the log: others may be writing to it in this very moment.
                    self.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                super().close()
            note.settle_log()
        super().close()

    def _close_emptied(self) -> None:
        """Close it without writing, since a backup may be on its way into the file."""
        guard = sqlite3.connect(_uri(self.path, "ro"), uri=True, isolation_level=None)
        with suppress(sqlite3.Error):
            guard.execute("BEGIN")  # or it would let go of the file once it has read
            guard.execute("SELECT count(*) FROM sqlite_master").fetchall()
        super().close()  # SQLite lets the last writer alone copy the log, and this is not the last by now
        guard.close()


def open_writer(path: Path, busy_timeout_s: float, working: Callable[[], None] | None = None) -> LedgerFile:
    """Opens the ledger for reading and writing, and makes it if there never was one.

    Any number of processes may do this at once. Changes are kept by `COMMIT` alone. `working` is called again and again
    while a statement takes long. Raises LedgerError, also if there was a ledger and now there is none or an empty file.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise LedgerError(f"Python's SQLite is {sqlite3.sqlite_version}; Weebill needs {wanted} or newer.")
    try:
        with alone(path, busy_timeout_s) as note:
            mode = "rw" if _was_there(path) else "rwc"
            connection = _connected(note, path, mode, busy_timeout_s)
            try:
                connection.set_progress_handler(working, _STEPS)
                use_write_ahead_log(connection)
                connection.execute("PRAGMA synchronous = FULL")
                _read_header(connection)
                note.belongs(connection.file)
            except BaseException:
                sqlite3.Connection.close(connection)
                raise
    except OSError as error:
        raise _cannot_open(path, error) from error
    except sqlite3.Error as error:
        raise LedgerError(f"Cannot use the ledger {path}: {error}. {advice(error)}.") from error
    return connection


def open_reader(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> LedgerFile:
    """Opens an existing ledger for reading alone. Raises sqlite3.Error if there is none, else LedgerError."""
    try:
        with alone(path, busy_timeout_s) as note:
            if path.exists() and is_empty(path):
                raise LedgerError(f"The ledger {path} is empty. Restore a backup.")
            connection = _connected(note, path, "ro", busy_timeout_s)
            try:
                connection.execute("PRAGMA query_only = ON")
                _read_header(connection)
                note.belongs(connection.file)  # SQLite makes a log for readers, too
            except BaseException:
                sqlite3.Connection.close(connection)
                raise
    except OSError as error:
        raise _cannot_open(path, error) from error
    return connection


LEDGER_FILE: Final = Opening(open_writer, open_reader)


def _cannot_open(path: Path, error: OSError) -> LedgerError:
    hint = LOCKED if isinstance(error, TimeoutError) else "Check the folder's permissions"
    return LedgerError(f"Cannot open the ledger {path}: {error}. {hint}.")


def _connected(note: Note, path: Path, mode: str, timeout_s: float) -> LedgerFile:
    """Returns a connection that has read nothing yet, to the file that the path led to all the while, and its log."""
    while True:
        before = file_at(path)
        note.settle_log()
        connection = sqlite3.connect(
            _uri(path, mode),
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,  # a pool lends it to one thread at a time
            factory=LedgerFile,
        )
        file = file_at(path)
        if file is not None and file == (before or file):
            connection.path, connection.file, connection.writes = path, file, mode != "ro"
            return connection
        sqlite3.Connection.close(connection)


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _was_there(path: Path) -> bool:
    """Tells whether there has been a ledger: its pepper is made after it. Raises LedgerError where it is gone."""
    pepper = Home(path.parent).pepper
    if not pepper.exists():
        return False
    if is_empty(path):
        lost = "is empty" if path.exists() else "is missing"
        raise LedgerError(
            f"The ledger {path} {lost}, and there was one, since its {pepper.name} is there. "
            f"Restore a backup, or move {pepper} away, too, to begin anew without keys and usage."
        )
    return True


def use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the journal mode. SQLite answers "busy" at once, without its timeout, where several race to."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _read_header(connection: sqlite3.Connection) -> None:
    """Reads the file, so that its log is there."""
    connection.execute("PRAGMA user_version").fetchall()
