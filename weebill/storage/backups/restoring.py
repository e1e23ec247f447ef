"""Puts a backup in the place of a ledger, whole or not at all, while processes use the ledger."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, text

from weebill.accounts.audit import Act, command_line
from weebill.config.ledger_errors import LedgerError
from weebill.storage.audit import EXEMPT, INSTALLED, latest, record
from weebill.storage.backups.candidates import Candidate
from weebill.storage.backups.earlier import make_portable
from weebill.storage.backups.files import BackupError, draft_for, private, publish
from weebill.storage.backups.making import DamagedError, copy_ledger
from weebill.storage.backups.progress import Progress, silent
from weebill.storage.backups.rows import count_rows, for_postgresql, give_ids_after, last_id, read_rows, sequences
from weebill.storage.database import Database
from weebill.storage.errors import typed_errors
from weebill.storage.schema import LEDGER
from weebill.storage.sqlite.database import SqliteDatabase
from weebill.storage.sqlite.files import alone, is_empty
from weebill.storage.sqlite.opening import BUSY_TIMEOUT_S, open_writer
from weebill.storage.upgrade import revision_of

_ATTEMPTS: Final = 5  # while others put files in the ledger's place, too
_REFERENCES: Final = text(
    "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE contype = 'f' AND conrelid IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name)"
)
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def restore(ledger: Database, candidate: Candidate, progress: Progress = silent) -> Path | None:
    """Puts the candidate in the place of all that the ledger holds; returns where that is kept, None if it is not.

    It is kept on SQLite. The candidate is used up. Its audit log goes on with the row of this act, by whoever runs this
    process, which has the end of the log that it replaces. Raises LedgerError, OSError.
    """
    replaced = _end_of_log(ledger)
    with typed_errors(), private(candidate.path) as source:
        act = Act(action="ledger.restored", target=INSTALLED, before=replaced, after={"schema": candidate.found})
        record(source, command_line(), act)
    if isinstance(ledger, SqliteDatabase):
        ledger.close()  # of what it has open, the log would be left behind
        return _replace_file(ledger.path, candidate, progress)
    from weebill.storage.postgresql.database import PostgresDatabase  # its driver is an extra

    assert isinstance(ledger, PostgresDatabase)  # noqa: S101 - there are two databases
    with typed_errors(), private(candidate.path) as source:
        make_portable(source)
    with private(candidate.path) as source:
        ledger.replace(lambda target: _replace_rows(source, target, progress))
    return None


def _end_of_log(ledger: Database) -> dict[str, object] | None:
    """Returns the number and the hash of the last row of the audit log; None if nobody can read it."""

    def end(connection: Connection) -> dict[str, object] | None:
        if revision_of(connection, LEDGER) != LEDGER.newest:
            return None
        return {f"audit_{name}": getattr(entry, name) for entry in latest(connection, 1) for name in ("id", "hash")}

    with suppress(LedgerError):
        return ledger.look(end)
    return None


def _replace_file(path: Path, candidate: Candidate, progress: Progress) -> Path | None:
    aside = _beside(path, "before-restore")
    if is_empty(path):
        publish(candidate.path, path, overwrite=True)
        return None
    if _replace_unused(path, candidate, aside):
        return aside
    for _ in range(_ATTEMPTS):
        try:
            with closing(open_writer(path, BUSY_TIMEOUT_S)) as held, typed_errors():
                # Nobody changes the ledger from here on until the backup is in its place: all of it is kept.
                held.execute("BEGIN IMMEDIATE")
                if not held.is_current():
                    continue
                _keep(path, aside, progress)
                publish(candidate.path, path, overwrite=True)
                held.execute("ROLLBACK")
                return aside
        except LedgerError as error:
            if not _is_damage(error):
                raise
            return _replace_damaged(path, candidate)
    raise BackupError(f"The ledger {path} is being replaced; nothing has been changed")


def _beside(path: Path, why: str) -> Path:
    return path.with_name(f"{path.name}.{why}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}")


def _replace_unused(path: Path, candidate: Candidate, aside: Path) -> bool:
    """Replaces the ledger if nobody has it open, and keeps its file as it is; returns False if somebody may."""
    with suppress(sqlite3.Error, OSError), alone(path, BUSY_TIMEOUT_S) as note:
        note.settle_log()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version").fetchall()
        # The last one to close it completes it from its log, which is gone then.
        if any(path.with_name(f"{path.name}{suffix}").exists() for suffix in ("-wal", "-journal")):
            return False
        os.link(path, aside)
        publish(candidate.path, path, overwrite=True)
        return True
    return False


def _keep(path: Path, aside: Path, progress: Progress) -> None:
    with draft_for(aside) as draft:
        copy_ledger(path, draft, lambda _, done, total: progress("keeping", done, total))
        publish(draft, aside, overwrite=False)


def _replace_damaged(path: Path, candidate: Candidate) -> Path:
    aside = _beside(path, "damaged")
    with alone(path, BUSY_TIMEOUT_S):
        for companion in ("-shm", "-wal", "-journal", ""):
            with suppress(FileNotFoundError):
                path.with_name(f"{path.name}{companion}").rename(aside.with_name(f"{aside.name}{companion}"))
        publish(candidate.path, path, overwrite=True)
    return aside


def _is_damage(error: LedgerError) -> bool:
    cause = error.__cause__
    if isinstance(error, DamagedError):
        return True
    return isinstance(cause, sqlite3.DatabaseError) and (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


def _replace_rows(source: Connection, target: Connection, progress: Progress) -> None:
    from weebill.storage.postgresql.copying import copy_rows

    tables = LEDGER.kept
    done, total = 0, count_rows(source, tables)
    references = _drop_references(target, [table.name for table in tables])
    # Readers go on with the old rows until the commit; truncated tables they would see at once.
    for table in reversed(tables):
        target.execute(delete(table).execution_options(**EXEMPT))  # the candidate has the row for it
    for table in tables:
        for rows in read_rows(source, table):
            copy_rows(target, table.name, table.c.keys(), for_postgresql(table, rows))
            done += len(rows)
            progress("writing", done, total)
    for table in sequences(tables):
        give_ids_after(target, table, last_id(source, table))
    for reference in references:
        target.execute(text(reference))


def _drop_references(connection: Connection, tables: list[str]) -> list[str]:
    """Drops foreign keys, and returns the statements that make them again: row by row, they would take hours."""
    found = connection.execute(_REFERENCES, {"tables": tables}).all()
    for table, name, _ in found:
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
    return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in found]
