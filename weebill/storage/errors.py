"""SQLite's failures as the ledger's, with what they mean to whoever has to mend them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from weebill.config.ledger_errors import LedgerError

# By primary result code. Source: https://www.sqlite.org/rescode.html
LOCKED = "Another program has it locked: end that, such as a `sqlite3` with an open transaction, and try again"
_PERMISSION = "See that you may write to it and to its folder, where SQLite keeps files of its own"
_DAMAGED = "If it is damaged, restore a backup"
_ADVICE: Mapping[int, str] = {
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


class LedgerFailedError(LedgerError):
    """SQLite cannot use the ledger, through no fault of ours."""

    def __init__(self, error: sqlite3.Error, hint: str) -> None:
        super().__init__(f"the ledger cannot be used: {error}")
        self.hint = f"{hint[0].lower()}{hint[1:]}"


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raises LedgerFailedError for what fails in SQLite; a fault of ours stays what it is."""
    try:
        yield
    except sqlite3.Error as error:
        if hint := advice(error):
            raise LedgerFailedError(error, hint) from error
        raise


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
