"""The labels that there are.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Fills another table; done twice, it would have every label twice."""
    op.create_table("labels", sa.Column("name", sa.Text(), nullable=False))
    op.execute("INSERT INTO labels (name) SELECT label FROM items")
