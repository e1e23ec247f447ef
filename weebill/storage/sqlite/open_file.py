"""A connection to a SQLite file, and how the files of a schema are opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from weebill.storage.sqlite.files import File


class OpenFile(sqlite3.Connection):
    """A connection to the file that `path` led to when it was opened."""

    path: Path
    file: File

    def is_current(self) -> bool:
        """True as long as what is changed here is found at the path."""
        return True


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens the file at a path for changes, and makes it if there is none, or opens it for reading alone.

    Statements wait for other programs for so many seconds; a function is called again and again while one for changes
    takes long. Both raise LedgerError, sqlite3.Error.
    """

    writer: Callable[[Path, float, Callable[[], None] | None], OpenFile]
    reader: Callable[[Path, float], OpenFile]
