"""Hard stops of organisations whose credits are used up.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes a table of the limits that stop them."""
    op.create_table(
        "credit_stops",
        sa.Column("organisation", String, primary_key=True),
        sa.Column("limit_id", Whole, sa.ForeignKey("limits.id"), nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
