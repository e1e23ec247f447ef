"""A label for each item.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column that the release before need not know."""
    op.add_column("items", sa.Column("label", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE items SET label = upper(name)")
