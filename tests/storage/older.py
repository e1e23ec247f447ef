"""SQLite ledgers as earlier releases made them, with rows in all the tables of their time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from weebill.storage.revisions.earlier import MIGRATIONS

EARLIER: Final = range(1, len(MIGRATIONS) + 1)
SOME: Final = (1, *(pytest.param(version, marks=pytest.mark.slow) for version in EARLIER[1:-1]), EARLIER[-1])
"""The first and the last, which has rows of all; the others where there is time."""
KINDS: Final = 6  # the version from which on records are kept as kinds and entries
Row = Mapping[str, object]

RECORD: Final[Row] = {
    "request_id": "req", "key_id": "key_1", "endpoint": "chat/completions", "model_asked": "mini",
    "model_served": "smollm2:135m", "upstream": "local", "stream": 1, "prompt_tokens": 10, "cached_tokens": 4,
    "completion_tokens": 3, "measured": 0, "status": 200, "outcome": "ok", "started_at": 1_763_000_000_000_000,
    "first_byte_us": 1500, "total_us": 9000, "cache_write_tokens": 2, "reasoning_tokens": 1, "cost_nano": 77,
    "attempts": "acme/big:500:12ms", "checked": "passed", "arm": "faster/candidate", "dropped": "top_k",
    "cost_reported": 1, "flags": "time",
}  # fmt: skip
DEFAULTS: Final[Row] = {
    "cache_write_tokens": 0, "reasoning_tokens": 0, "cost_nano": 0, "attempts": "", "checked": "", "arm": "",
    "dropped": "", "cost_reported": 0, "flags": "", "end_user": None, "tags": None,
}  # fmt: skip
"""What records of releases that had no such column are said to have."""
NO_SCOPES: Final[Row] = {
    "expires_at": None, "networks": "[]", "models": "[]", "endpoints": "[]", "local_only": 0, "preferences": "{}",
    "previous_digest": None, "previous_until": None, "last_used_at": None, "project_id": "proj_default",
    "user_id": None, "service_account_id": None,
}  # fmt: skip
"""What keys of those releases are limited to."""


def make_ledger(path: Path, version: int, records: int = 3) -> None:
    """Makes a ledger that has come through all versions up to this one, and was used with each."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN")
        for number in range(1, version + 1):
            for statement in MIGRATIONS[number - 1]:
                connection.execute(statement)
            _use(connection, number, records)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")


def _use(connection: sqlite3.Connection, version: int, records: int) -> None:
    key = {
        "id": f"key_{version}", "name": f"of version {version} é", "role": "user", "hint": "sk-wb-ab...cdef",
        "digest": bytes([version]) * 32, "created_at": 1_763_000_000 + version,
        "revoked_at": 1_763_000_100 if version % 2 else None, "changed_in": version,
    }  # fmt: skip
    _insert(connection, "api_keys", key)
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'keys_version'")
    sums = {
        "requests": 2, "failures": 1, "prompt_tokens": 2**40, "cached_tokens": 3, "completion_tokens": 5,
        "cost_nano": 7, "unpriced": 1,
    }  # fmt: skip
    _insert(connection, "usage_daily", {"day": 20_000 + version, "key_id": "key_1", "model": "mini", **sums})
    _insert(connection, "journal_marks", {"segment": f"{version}-w0-00-000000.jsonl", "offset": 1000 * version})
    line = {"segment": "s", "offset": 1, "line": b"\0\xff", "error": "no record", "quarantined_at": 1_763_000_000}
    _insert(connection, "quarantine", line)
    if version >= 5:
        experiment = {
            "name": f"e{version}", "model": f"m{version}", "candidate": "c", "share": 0.25, "shadow": version % 2,
            "state": "running" if version % 2 else "promoted", "created_at": version, "changed_at": version,
        }  # fmt: skip
        _insert(connection, "experiments", experiment)
    for number in range(records):
        # All sorts of kinds and arms, and records that are alike but for their id.
        own = {"request_id": f"req_{version}_{number}", "status": 200 + number % 7, "arm": "a" if number % 3 else ""}
        _insert_record(connection, version, {**RECORD, **own})


def _insert_record(connection: sqlite3.Connection, version: int, record: Row) -> None:
    if version < KINDS:
        _insert(connection, "usage", record)
        return
    kinds = [name for name in _columns(connection, "usage_kinds") if name != "id"]
    same = " AND ".join(f"{name} = ?" for name in kinds)
    values = [record[name] for name in kinds]
    found = connection.execute(f"SELECT id FROM usage_kinds WHERE {same}", values).fetchone()
    if found is None:
        _insert(connection, "usage_kinds", record)
        found = connection.execute("SELECT last_insert_rowid()").fetchone()
    _insert(connection, "usage_entries", {**record, "kind": found[0]})


def _insert(connection: sqlite3.Connection, table: str, row: Row) -> None:
    """Inserts those of the values that the table has a column for at that version."""
    names = [name for name in _columns(connection, table) if name in row]
    places = ", ".join("?" * len(names))
    values = [row[name] for name in names]
    connection.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", values)


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]


def read_table(path: Path, table: str) -> list[Row]:
    """The rows of a table or view, by the names of its columns."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]


def tables_of(path: Path) -> list[str]:
    """The names of the tables and views."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
        return [name for (name,) in found if not name.startswith("sqlite_")]
