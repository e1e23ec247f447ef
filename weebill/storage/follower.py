"""The ledger as a worker follows it: by a version number in `meta`, which every change of a table raises."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from weebill.storage.database import open_reader

NOTHING: Final = -1
"""The version of which nothing has been taken over."""
_VERSION: Final = "SELECT value FROM meta WHERE name = ?"


class Follower:
    """Reads the ledger at a path, whichever file is there. Belongs to one thread.

    `version` is the one that its owner has taken over, `NOTHING` where another file has come, whose history is another
    too; `connection` is None while there is none to read.
    """

    def __init__(self, database: Path, name: str, busy_timeout_s: float) -> None:
        self._database = database
        self._name = name
        self._busy_timeout_s = busy_timeout_s
        self._file: tuple[int, int] | None = None
        self.connection: sqlite3.Connection | None = None
        self.version = NOTHING

    def open(self) -> sqlite3.Connection:
        """The ledger, opened anew if it was lost or replaced. Raises OSError and sqlite3.Error."""
        status = os.stat(self._database)
        file = (status.st_dev, status.st_ino)
        if self.connection is None or file != self._file:
            self.close()
            connection = open_reader(self._database, self._busy_timeout_s)
            if file != self._file:
                self.version = NOTHING
            self.connection, self._file = connection, file
        return self.connection

    def newest(self, connection: sqlite3.Connection) -> int:
        """The version that the ledger has now. Raises sqlite3.Error."""
        rows = connection.execute(_VERSION, (self._name,)).fetchall()
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        """Close the ledger."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
