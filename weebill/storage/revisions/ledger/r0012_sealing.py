"""The installation's row names the master key that secrets are sealed with.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import Binary

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column that is null until something is sealed."""
    op.add_column("installation", sa.Column("sealed_with", Binary))
