"""The address that is told of a low balance by mail, and of whom a message is.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns, which are empty: nobody is told by mail yet."""
    for table in ("credit_standings", "webhook_deliveries"):
        op.add_column(table, sa.Column("mail", String, nullable=False, server_default=""))
