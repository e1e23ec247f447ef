"""The marks of segments of the journal that are gone, and by what name workers are known as borrowers.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table, which is empty: of what was finished earlier, nothing is known."""
    op.create_table(
        "journal_ends",
        sa.Column("segment", String, primary_key=True, nullable=False),
        *(sa.Column("offset", Whole, nullable=False), sa.Column("ended_at", Whole, nullable=False)),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.add_column("borrowers", sa.Column("account", String, nullable=False, server_default=""))
