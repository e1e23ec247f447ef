"""Providers' keys that are given through the API, sealed.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import Binary, Flag, String, Whole

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds an empty table, and the version that its followers compare."""
    op.create_table(
        "provider_keys",
        sa.Column("id", String, primary_key=True),
        sa.Column("provider", String, nullable=False),
        sa.Column("project_id", String, sa.ForeignKey("projects.id")),
        sa.Column("secret", Binary, nullable=False),
        sa.Column("hint", String, nullable=False),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("created_by", String, nullable=False),
        sa.Column("fallback", Flag, nullable=False),
        sa.Column("disabled_at", Whole),
        sa.Column("last_used_at", Whole),
        sa.Column("refused_at", Whole),
        sa.Column("refusal", String, nullable=False),
        sqlite_strict=True,
    )
    op.execute("CREATE INDEX provider_keys_of_provider ON provider_keys (provider, project_id)")
    op.execute("INSERT INTO meta (name, value) VALUES ('provider_keys_version', 0)")
