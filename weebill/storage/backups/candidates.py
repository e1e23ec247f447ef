"""Checks what is to be restored: in a copy, which is brought up to date."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, inspect, select, update

from weebill.storage.backups.files import BackupError, draft_for, private
from weebill.storage.backups.progress import Progress, silent
from weebill.storage.backups.sqlite import ALWAYS, copy_file, open_backup
from weebill.storage.errors import LedgerFailedError, typed_errors
from weebill.storage.schema import LEDGER
from weebill.storage.state import Contents, contents_of
from weebill.storage.tables.ledger import INSTALLATION
from weebill.storage.tables.limits import BORROWERS, LEASES
from weebill.storage.upgrade import NewerSchemaError, revision_of, upgrade

_OTHER_FILE: Final = "give a file that `weebill db backup` or an earlier release's ledger is"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A whole ledger, up to date, in a file that nobody else uses.

    `found` is the revision that the backup has; `pepper` the hash of the pepper of its keys, None if it has none.
    """

    path: Path
    found: str
    contents: Contents
    pepper: bytes | None


@contextmanager
def candidate_of(file: Path, beside: Path, progress: Progress = silent) -> Iterator[Candidate]:
    """Yields what a backup holds, in a copy beside the path `beside`, under another random name of its contents.

    Raises LedgerError if the file is damaged, no ledger, or of a newer release; OSError.
    """
    if not file.is_file():
        raise BackupError(f"there is no file {file}", _OTHER_FILE)
    with draft_for(beside) as draft:
        try:
            with typed_errors(), closing(open_backup(file)) as source:
                copy_file(source, draft, lambda done, total: progress("checking", done, total))
            with typed_errors(), private(draft) as connection:
                candidate = _checked(connection, file, draft)
        except LedgerFailedError as error:
            raise BackupError(f"{file} is no whole ledger: {error.__cause__}", _OTHER_FILE) from error
        yield candidate


def _checked(connection: Connection, file: Path, draft: Path) -> Candidate:
    problem = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if problem != "ok":
        raise BackupError(f"{file} is damaged: {problem}", "give an earlier backup")
    there = inspect(connection)
    found = revision_of(connection, LEDGER)
    if not found or not all(map(there.has_table, ALWAYS)):
        raise BackupError(f"{file} is no ledger", _OTHER_FILE)
    try:
        upgrade(connection, LEDGER, str(file))
    except NewerSchemaError as error:
        raise BackupError(str(error)) from error
    inspect(connection).clear_cache()
    _check_tables(connection, file)
    pepper = connection.execute(select(INSTALLATION.c.pepper)).scalar_one()
    connection.execute(update(INSTALLATION).values(id=secrets.token_hex(16)))
    for table in (LEASES, BORROWERS):  # who held them is gone, or begins anew with the other name
        connection.execute(delete(table))
    return Candidate(draft, found, contents_of(connection), pepper)


def _check_tables(connection: Connection, file: Path) -> None:
    there = inspect(connection)
    for table in LEDGER.kept:
        missing = sorted(set(table.c.keys()).difference(each["name"] for each in there.get_columns(table.name)))
        if missing:
            raise BackupError(f"{file} is no ledger: {table.name} has no {', '.join(missing)}", _OTHER_FILE)
