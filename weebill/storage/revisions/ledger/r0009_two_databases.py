"""Takes over the SQLite ledger of a release that knew no other database, and whose keys had no scopes.

Revision ID: 0009
Revises:
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Final

import msgspec
import sqlalchemy as sa
from alembic import op

from weebill.storage.revisions.earlier import MIGRATIONS

revision = "0009"
down_revision = None
branch_labels = None
depends_on = None

_KIND: Final = (
    "key_id", "model_asked", "model_served", "upstream", "endpoint", "stream", "measured", "status", "outcome",
    "checked", "dropped", "cost_reported", "flags",
)  # fmt: skip
_KINDS: Final = """
    CREATE TABLE usage_kinds_with_fingerprint (
        id INTEGER PRIMARY KEY,
        key_id TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        model_asked TEXT NOT NULL,
        model_served TEXT NOT NULL,
        upstream TEXT NOT NULL,
        stream INTEGER NOT NULL,
        measured INTEGER NOT NULL,
        status INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        checked TEXT NOT NULL,
        dropped TEXT NOT NULL,
        cost_reported INTEGER NOT NULL,
        flags TEXT NOT NULL,
        fingerprint BLOB NOT NULL UNIQUE
    ) STRICT"""
_SCOPES: Final = (
    "expires_at INTEGER",
    "networks TEXT NOT NULL DEFAULT '[]'",
    "models TEXT NOT NULL DEFAULT '[]'",
    "endpoints TEXT NOT NULL DEFAULT '[]'",
    "local_only INTEGER NOT NULL DEFAULT 0",
    "preferences TEXT NOT NULL DEFAULT '{}'",
    "previous_digest BLOB CHECK (length(previous_digest) = 32)",
    "previous_until INTEGER",
    "last_used_at INTEGER",
)


def upgrade() -> None:
    """Completes the migrations of earlier releases. Their tables stay: the view `usage` has all records."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    for migration in MIGRATIONS[version:]:
        for statement in migration:
            connection.exec_driver_sql(statement)
    _add_fingerprints(connection)
    for table in ("api_keys", "experiments"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN made_in INTEGER NOT NULL DEFAULT 0")
        connection.exec_driver_sql(f"UPDATE {table} SET made_in = rowid")  # noqa: S608
    for column in _SCOPES:
        connection.exec_driver_sql(f"ALTER TABLE api_keys ADD COLUMN {column}")
    connection.exec_driver_sql("CREATE UNIQUE INDEX api_keys_by_previous_digest ON api_keys (previous_digest)")
    connection.exec_driver_sql("CREATE INDEX usage_daily_of_key ON usage_daily (key_id)")
    connection.exec_driver_sql("CREATE TABLE installation (id TEXT PRIMARY KEY, pepper BLOB) STRICT, WITHOUT ROWID")
    installations = sa.table("installation", sa.column("id", sa.Text()))
    op.bulk_insert(installations, [{"id": secrets.token_hex(16)}])


def _add_fingerprints(connection: sa.Connection) -> None:
    """Copies the kinds, which are few, to tell them apart by a hash rather than by an index over thirteen columns."""
    [(view,)] = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = 'usage'")
    connection.exec_driver_sql("DROP VIEW usage")
    connection.exec_driver_sql(_KINDS)
    kinds = connection.exec_driver_sql(f"SELECT id, {', '.join(_KIND)} FROM usage_kinds").fetchall()  # noqa: S608
    insert = (
        f"INSERT INTO usage_kinds_with_fingerprint (id, {', '.join(_KIND)}, fingerprint) "  # noqa: S608
        f"VALUES ({', '.join('?' * (len(_KIND) + 2))})"
    )
    rows = [(id_, *kind, blake2b(msgspec.json.encode(kind), digest_size=16).digest()) for id_, *kind in kinds]
    if rows:
        connection.exec_driver_sql(insert, rows)
    connection.exec_driver_sql("DROP TABLE usage_kinds")
    connection.exec_driver_sql("ALTER TABLE usage_kinds_with_fingerprint RENAME TO usage_kinds")
    connection.exec_driver_sql(view)
