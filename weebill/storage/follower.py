"""The ledger as it is followed: by a version number in `meta`, which every change of a table raises."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from weebill.process.questions import Position, Unanswered
from weebill.storage.database import open_reader

_VERSION: Final = "SELECT value FROM meta WHERE name = ?"


class Follower:
    """Reads the ledger at a path, whichever file is there. Belongs to one thread."""

    def __init__(self, database: Path, name: str, busy_timeout_s: float) -> None:
        self._database = database
        self._name = name
        self._busy_timeout_s = busy_timeout_s
        self._file = (0, 0)
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The ledger, opened anew if it was lost or replaced. Raises Unanswered where it cannot be read."""
        try:
            yield self._open()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise Unanswered(f"the ledger {self._database} cannot be read: {error}") from error

    def position(self, connection: sqlite3.Connection) -> Position:
        """The version that the ledger has now, and which file it is. Raises sqlite3.Error."""
        rows = connection.execute(_VERSION, (self._name,)).fetchall()
        device, inode = self._file
        return Position(f"{device}:{inode}", int(rows[0][0]) if rows else 0)

    def close(self) -> None:
        """Close the ledger."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        status = os.stat(self._database)
        file = (status.st_dev, status.st_ino)
        if self._connection is None or file != self._file:
            self.close()
            self._connection, self._file = open_reader(self._database, self._busy_timeout_s), file
        return self._connection
