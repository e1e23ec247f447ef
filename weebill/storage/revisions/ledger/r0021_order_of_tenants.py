"""The order in which tenants were made, of those of one second, too.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import Whole

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column, which is 0 for those that are there, and for those that a replica of the release before makes."""
    for table in ("organisations", "projects", "users", "service_accounts"):
        op.add_column(table, sa.Column("made_in", Whole, nullable=False, server_default="0"))
