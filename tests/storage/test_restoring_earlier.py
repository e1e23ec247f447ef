"""Ledgers of earlier releases are restored into both databases, with all their records."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.storage.older import DEFAULTS, SOME, make_ledger, read_table
from weebill.config.paths import Home
from weebill.storage.backups.candidates import candidate_of
from weebill.storage.backups.restoring import restore
from weebill.storage.database import Database
from weebill.storage.tables.ledger import USAGE, USAGE_KINDS
from weebill.storage.usage_rows import KIND, fingerprint


def records(ledger: Database) -> list[dict[str, object]]:
    rows = ledger.read(lambda connection: connection.execute(select(USAGE).order_by(USAGE.c.id)).all())
    return [row._asdict() for row in rows]


@pytest.mark.parametrize("version", SOME)
def test_every_record_is_there_with_its_id(version: int, ledger: Database, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "older.db"
    make_ledger(file, version)
    before = file.read_bytes()
    with candidate_of(file, home.database) as candidate:
        assert candidate.found == f"{version:04}"
        restore(ledger, candidate)
    assert file.read_bytes() == before
    wanted = sorted(({**DEFAULTS, **row} for row in read_table(file, "usage")), key=lambda row: int(str(row["id"])))
    assert records(ledger) == wanted
    for kind in ledger.read(lambda connection: connection.execute(select(USAGE_KINDS)).all()):
        assert kind.fingerprint == fingerprint([getattr(kind, name) for name in KIND])


def test_records_that_cannot_be_so_are_limited_and_flagged(ledger: Database, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "older.db"
    make_ledger(file, 1, records=2)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE usage SET cached_tokens = 99 WHERE id = 2")
        connection.commit()
    with candidate_of(file, home.database) as candidate:
        restore(ledger, candidate)
    first, second = records(ledger)
    assert (first["cached_tokens"], first["flags"]) == (4, "")
    # SQLite's ledger goes on as it is; in another database, there is no place for it.
    assert (second["cached_tokens"], second["flags"]) in [(99, ""), (10, "tokens")]
