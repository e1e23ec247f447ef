"""Files of backups: written beside their place under another name, and put there whole, or not at all."""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from weebill.config.ledger_errors import LedgerError

_RANDOM_BYTES: Final = 8
_COMPANIONS: Final = ("", "-journal", "-wal", "-shm")


class BackupError(LedgerError):
    """A backup cannot be made, or a file is none that could be restored."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@contextmanager
def draft_for(path: Path) -> Iterator[Path]:
    """Yields a new empty file beside `path`, private to the user. It is gone afterwards, unless published.

    Those of processes that were killed are removed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * (2 * _RANDOM_BYTES)}"):
        _remove_if_left(left)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(_RANDOM_BYTES)}")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield draft
    finally:
        _remove(draft)
        os.close(descriptor)


def _remove_if_left(draft: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        descriptor = os.open(draft, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(draft)
        except BlockingIOError:  # somebody is at work on it
            return
        finally:
            os.close(descriptor)


def _remove(draft: Path) -> None:
    for companion in _COMPANIONS:
        draft.with_name(f"{draft.name}{companion}").unlink(missing_ok=True)


def publish(draft: Path, path: Path, *, overwrite: bool) -> None:
    """Puts a closed draft at its place, on the disk. Raises FileExistsError without `overwrite`, and OSError."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    if overwrite:
        draft.replace(path)
    else:
        _link(draft, path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        draft.replace(path)


@contextmanager
def private(path: Path) -> Iterator[Connection]:
    """Yields a connection to a SQLite file that nobody else knows, in one transaction, committed at the end.

    Nothing of it has to outlive a failure, so there is no log.
    """

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        with suppress(sqlite3.DatabaseError):  # that it is no database is said by whoever reads it
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()  # not that of the file that it is a copy of
            connection.execute("PRAGMA journal_mode = OFF").fetchall()
            connection.execute("PRAGMA synchronous = OFF")
        return connection

    engine: Engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool, hide_parameters=True)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
