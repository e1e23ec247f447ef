"""The audit log, which begins with this revision, and an index by which keys are read in parts.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table, the number of its rows in `meta`, and the index."""
    kind = sa.CheckConstraint("author_kind IN ('command_line', 'key', 'user')")
    op.create_table(
        "audit_log",
        sa.Column("id", Whole, primary_key=True, autoincrement=False),
        sa.Column("at", Whole, nullable=False),
        sa.Column("author_kind", String, kind, nullable=False),
        *(sa.Column(name, String, nullable=False) for name in ("author_id", "author_name", "address", "action")),
        sa.Column("target", String, nullable=False),
        sa.Column("organisation_id", String),
        *(sa.Column(name, String, nullable=False) for name in ("before", "after", "previous", "hash")),
        sqlite_strict=True,
    )
    op.create_index("audit_log_of_organisation", "audit_log", ["organisation_id", "id"])
    op.create_index("api_keys_by_making", "api_keys", ["made_in"])
    meta = sa.table("meta", sa.column("name", sa.Text()), sa.column("value", sa.BigInteger()))
    op.bulk_insert(meta, [{"name": "audit_rows", "value": 0}])
