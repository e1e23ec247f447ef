"""Brings what a SQLite ledger holds, and another database would not take, into a form that every one takes.

Only in a private copy: it takes a while. A ledger of an earlier release keeps the records of that time in tables of
their own, which the view `usage` has as well; and SQLite takes any text, of any length, as a key.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import Connection, inspect

from weebill.storage.tables.types import MOST
from weebill.storage.usage_rows import ENTRY, KIND, MOST_BYTES, SUMS, fingerprint, without_nul

_OWN: Final = ("id", *(name for name in ENTRY if name != "kind"))
_BEFORE_FLAGS: Final = "usage_entries_before_flags"
_BEFORE_KINDS: Final = "usage_before_kinds"

# The first releases checked less: what cannot be so is limited, and flagged, as it is in records of today.
_BROKEN: Final = "cached_tokens + cache_write_tokens > prompt_tokens OR reasoning_tokens > completion_tokens"
_LIMITED: Final[dict[str, str]] = {
    "cached_tokens": "min(cached_tokens, prompt_tokens)",
    "cache_write_tokens": "min(cache_write_tokens, prompt_tokens - min(cached_tokens, prompt_tokens))",
    "reasoning_tokens": "min(reasoning_tokens, completion_tokens)",
    "flags": f"iif({_BROKEN}, 'tokens', flags)",
}


def _limited(names: tuple[str, ...]) -> str:
    return ", ".join(f"{_LIMITED.get(name, name)} AS {name}" for name in names)


_ADD_KINDS: Final = (
    f"INSERT OR IGNORE INTO usage_kinds ({', '.join(KIND)}, fingerprint) "  # noqa: S608
    f"SELECT *, fingerprint_of({', '.join(KIND)}) FROM "
    f"(SELECT DISTINCT {_limited(KIND)} FROM {_BEFORE_KINDS})"
)
_ADD_ENTRIES: Final = (
    f"INSERT INTO usage_entries (kind, {', '.join(_OWN)}) "  # noqa: S608
    f"SELECT kind.id, {', '.join(f'record.{name}' for name in _OWN)} "
    f"FROM (SELECT {_limited(_OWN + KIND)} FROM {_BEFORE_KINDS}) AS record "
    f"JOIN usage_kinds AS kind ON kind.fingerprint = "
    f"fingerprint_of({', '.join(f'record.{name}' for name in KIND)})"
)
_MOVE_ENTRIES: Final = (
    f"INSERT INTO usage_entries (kind, {', '.join(_OWN)}) "  # noqa: S608
    f"SELECT kind, {', '.join(_OWN)} FROM {_BEFORE_FLAGS}"
)

_UNFIT: Final = " OR ".join(
    f"instr(CAST({name} AS BLOB), x'00') OR length(CAST({name} AS BLOB)) > {MOST_BYTES}" for name in ("key_id", "model")
)
_MERGE_NAMES: Final = (
    f"INSERT INTO usage_daily (day, key_id, model, {', '.join(SUMS)}) "  # noqa: S608
    f"SELECT day, fitting(key_id), fitting(model), {', '.join(SUMS)} FROM usage_daily WHERE {_UNFIT} "
    "ON CONFLICT (day, key_id, model) DO UPDATE SET "
    # A sum that is over becomes a REAL, and so the lesser is the number.
    + ", ".join(f"{name} = min({name} + excluded.{name}, {MOST})" for name in SUMS)
)
_DROP_UNFIT: Final = f"DELETE FROM usage_daily WHERE {_UNFIT}"  # noqa: S608


def make_portable(connection: Connection) -> None:
    """Moves records of earlier releases into the tables of today, and shortens names that are keys.

    `connection` is to a private copy that is up to date; its view `usage` is gone afterwards.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - `private` makes no other
    driver.create_function("fingerprint_of", len(KIND), _fingerprint, deterministic=True)
    driver.create_function("fitting", 1, fitting, deterministic=True)
    connection.exec_driver_sql("DROP VIEW usage")
    there = inspect(connection)
    if there.has_table(_BEFORE_KINDS):
        for statement in (_ADD_KINDS, _ADD_ENTRIES, f"DROP TABLE {_BEFORE_KINDS}"):
            connection.exec_driver_sql(statement)
    if there.has_table(_BEFORE_FLAGS):
        for statement in (_MOVE_ENTRIES, f"DROP TABLE {_BEFORE_FLAGS}"):
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql(_MERGE_NAMES)
    connection.exec_driver_sql(_DROP_UNFIT)


def fitting(name: str) -> str:
    """Returns a name without NUL characters, and no longer than an index takes."""
    return without_nul(name).encode()[:MOST_BYTES].decode(errors="ignore")


def _fingerprint(*kind: str | int) -> bytes:
    return fingerprint(kind)
