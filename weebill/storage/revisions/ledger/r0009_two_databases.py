"""Takes over the SQLite ledger of a release that knew no other database.

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


def upgrade() -> None:
    """Completes the migrations of earlier releases. Their tables stay: the view `usage` has all records."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    for migration in MIGRATIONS[version:]:
        for statement in migration:
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql("ALTER TABLE usage_kinds ADD COLUMN fingerprint BLOB NOT NULL DEFAULT x''")
    kinds = connection.exec_driver_sql(f"SELECT id, {', '.join(_KIND)} FROM usage_kinds").fetchall()  # noqa: S608
    for id_, *kind in kinds:
        fingerprint = blake2b(msgspec.json.encode(kind), digest_size=16).digest()
        connection.exec_driver_sql("UPDATE usage_kinds SET fingerprint = ? WHERE id = ?", (fingerprint, id_))
    connection.exec_driver_sql("CREATE UNIQUE INDEX usage_kinds_by_fingerprint ON usage_kinds (fingerprint)")
    for table in ("api_keys", "experiments"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN made_in INTEGER NOT NULL DEFAULT 0")
        connection.exec_driver_sql(f"UPDATE {table} SET made_in = rowid")  # noqa: S608
    connection.exec_driver_sql("CREATE TABLE installation (id TEXT PRIMARY KEY, pepper BLOB) STRICT, WITHOUT ROWID")
    installations = sa.table("installation", sa.column("id", sa.Text()))
    op.bulk_insert(installations, [{"id": secrets.token_hex(16)}])
