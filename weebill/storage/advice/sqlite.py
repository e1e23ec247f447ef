"""SQLite: the meaning of its failures."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

# By primary result code. Source: https://www.sqlite.org/rescode.html
LOCKED: Final = "Another program has it locked: end that, such as a `sqlite3` with an open transaction, and try again"
_PERMISSION: Final = "See that you may write to it and to its folder, where SQLite keeps files of its own"
_DAMAGED: Final = "If it is damaged, restore a backup"
_ADVICE: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_PERM: _PERMISSION,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: _PERMISSION,
    sqlite3.SQLITE_IOERR: "The disk could not be read or written: check it, and the space that is left",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: "The disk is full: free some space and try again",
    sqlite3.SQLITE_CANTOPEN: _PERMISSION,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


def advice(error: sqlite3.Error) -> str:
    """Returns advice for a failure of the disk, of permissions or of other programs; "" for a fault of ours."""
    # Only what SQLite itself says has a code.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return ""
    known = _ADVICE.get(code & 0xFF, "")
    if not known and isinstance(error, sqlite3.OperationalError):
        return "It may be another program's, or of another release: restore a backup"
    return known
