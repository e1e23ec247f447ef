"""The SQLite file that keeps keys and usage: how it is opened, and brought up to date (`weebill.storage.migrations`).

Write-ahead logging lets others read while the ledger process writes. `synchronous=FULL` because a commit has
to outlive a power cut: a revoked key must not come back, and a journal segment is deleted once its rows are
committed. It is affordable because commits are few: ingestion makes a handful a second, whatever the load.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.errors import LOCKED, advice, typed_errors
from weebill.storage.files import File, Note, alone, file_at, is_empty
from weebill.storage.migrations import MIGRATIONS

BUSY_TIMEOUT_S = 10.0
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_STEPS = 100_000  # of SQLite's machine between two signs of work: some milliseconds

Kind = TypeVar("Kind", bound=sqlite3.Connection)


class Ledger(sqlite3.Connection):
    """The ledger, open for writing, which knows whether its path still leads to it."""

    path: Path
    file: File

    def is_current(self) -> bool:
        """Tells whether the file at the path is still the one that is open, and not emptied."""
        try:
            return file_at(self.path) == self.file and not is_empty(self.path)
        except OSError:
            return False

    def close(self) -> None:
        """Close it; what the log of one that was replaced holds goes into the file that it belongs to."""
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
            guard.execute("PRAGMA user_version").fetchall()
        super().close()  # SQLite lets the last writer alone copy the log, and this is not the last by now
        guard.close()


def open_ledger(path: Path, working: Callable[[], None] | None = None) -> Ledger:
    """Open for reading and writing, creating and migrating as needed.

    Any number of processes may do this at once. The connection is in autocommit mode (see `transaction`) and
    belongs to the calling thread. `working` is called again and again while a statement takes long, that of a migration
    too. Raises LedgerError, also where there was a ledger and is none or an empty file.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise LedgerError(f"Python's SQLite is {sqlite3.sqlite_version}; Weebill needs {wanted} or newer.")
    try:
        with alone(path, BUSY_TIMEOUT_S) as note:
            mode = "rw" if _was_there(path) else "rwc"
            connection, file = _connected(note, path, mode, BUSY_TIMEOUT_S, Ledger)
            connection.path, connection.file = path, file
            try:
                connection.set_progress_handler(working, _STEPS)
                use_write_ahead_log(connection)
                connection.execute("PRAGMA synchronous = FULL")
                _version(connection)
                note.belongs(file)
            except BaseException:
                sqlite3.Connection.close(connection)
                raise
    except TimeoutError as error:
        raise LedgerError(f"Cannot open the ledger {path}: {error}. {LOCKED}.") from error
    except OSError as error:
        raise LedgerError(f"Cannot open the ledger {path}: {error}. Check the folder's permissions.") from error
    except sqlite3.Error as error:
        raise LedgerError(f"Cannot use the ledger {path}: {error}. {advice(error)}.") from error
    try:
        _migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise LedgerError(f"Cannot use the ledger {path}: {error}. {advice(error)}.") from error
    except LedgerError:
        connection.close()
        raise
    return connection


def open_reader(path: Path, busy_timeout_s: float | None = None) -> sqlite3.Connection:
    """Open an existing ledger read-only. Raises sqlite3.Error where there is none."""
    busy_timeout_s = BUSY_TIMEOUT_S if busy_timeout_s is None else busy_timeout_s
    try:
        with alone(path, busy_timeout_s) as note:
            connection, file = _connected(note, path, "ro", busy_timeout_s, sqlite3.Connection)
            try:
                connection.execute("PRAGMA query_only = ON")
                _version(connection)
                note.belongs(file)  # SQLite makes a log for readers, too
            except BaseException:
                connection.close()
                raise
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open the ledger: {error}") from error
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """An existing ledger, open for reading. Raises LedgerError."""
    with typed_errors(), closing(open_reader(path)) as connection:
        yield connection


def _connected(note: Note, path: Path, mode: str, timeout_s: float, factory: type[Kind]) -> tuple[Kind, File]:
    """A connection that has read nothing yet, and its file, which the path led to all the while, with its own log."""
    while True:
        before = file_at(path)
        note.settle_log()
        connection = sqlite3.connect(
            _uri(path, mode), uri=True, timeout=timeout_s, isolation_level=None, factory=factory
        )
        file = file_at(path)
        if file is not None and file == (before or file):
            return connection, file
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


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction: committed at the end, rolled back if the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    """A part of a transaction: kept at the end, undone if the block raises."""
    connection.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # it is not where the disk is full: then all has been undone already
            connection.execute("ROLLBACK TO part")
            connection.execute("RELEASE part")
        raise
    connection.execute("RELEASE part")


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


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    newest = len(MIGRATIONS)
    if _version(connection) == newest:
        return
    with transaction(connection):
        version = _version(connection)  # again, now that no other process can change it
        if version > newest:
            raise LedgerError(
                f"The ledger {path} has schema {version}, made by a newer Weebill; this one knows up to {newest}. "
                "Install the newer release again, or point WEEBILL_HOME at another folder."
            )
        for migration in MIGRATIONS[version:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest}")


def _version(connection: sqlite3.Connection) -> int:
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    return int(version)
