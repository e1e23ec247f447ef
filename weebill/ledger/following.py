"""The ledger as its one steady writer holds it open: noticed when its file is replaced, moved, emptied or missing.

SQLite names the log beside a database by the database's path, so the log of a file that was moved away would be taken
for that of the file in its place, and would ruin it. What the log holds therefore goes into the file it belongs to,
and the log with its index is removed, before anything else is opened there.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from weebill.ledger.database import LedgerError, open_ledger, open_reader

log = logging.getLogger(__name__)


class FollowedLedger:
    """An open ledger that knows whether `path` still leads to it. Raises LedgerError where there is none to open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._index = path.with_name(f"{path.name}-shm")
        self._closed = False
        self.connection = open_ledger(path)
        try:
            # Closed last where the file was emptied: SQLite lets the last writer copy the log into the file.
            self._guard = open_reader(path)
            self._guard.execute("PRAGMA user_version").fetchall()
            self._file = _identity(path)
            self._log_file = _identity(self._log)
        except sqlite3.Error as error:
            self.connection.close()
            raise LedgerError(f"Cannot use the ledger {path}: {error}.") from error

    def is_current(self) -> bool:
        """Whether the file at `path` is still the one that is open, and not emptied."""
        return _identity(self._path) == self._file and not self._is_empty()

    def close(self) -> None:
        """Close the ledger; of one that was replaced nothing stays beside `path` that SQLite would read for another."""
        if self._closed:
            return
        self._closed = True
        there = _identity(self._path) == self._file
        owns_log = self._log_file is not None and _identity(self._log) == self._log_file
        if self.is_current():
            self._guard.close()
            self.connection.close()
        elif there:  # emptied: nothing is written to it, for a backup may be on its way into it
            self.connection.close()
            self._guard.close()
        else:
            self._guard.close()
            with suppress(sqlite3.Error):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.connection.close()
        if owns_log and not self.is_current():
            self._clear_log()

    def _is_empty(self) -> bool:
        try:
            return self._path.stat().st_size == 0
        except FileNotFoundError:
            return True

    def _clear_log(self) -> None:
        """Remove the log; one that could not be copied into its file is kept under a name that SQLite does not read."""
        with suppress(FileNotFoundError):
            if self._log.stat().st_size:
                kept = self._log.with_name(f"{self._log.name}.replaced-{time.time_ns() // 1_000_000}")
                self._log.rename(kept)
                log.warning("what the ledger that is gone had not taken from its log is kept as %s", kept)
            else:
                self._log.unlink()
        self._index.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
