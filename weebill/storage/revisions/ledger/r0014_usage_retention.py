"""For how long single requests are kept, by project.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table without rows: all requests are kept for good, as they were."""
    op.create_table(
        "usage_retention",
        sa.Column("project_id", String, primary_key=True),
        sa.Column("days", Whole, sa.CheckConstraint("days >= 0"), nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
