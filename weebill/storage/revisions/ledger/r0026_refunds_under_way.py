"""The part of a purchase that Stripe is asked to pay back, until that is posted.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import Whole

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns: no refund is under way."""
    for name in ("refunding_nano", "refunding_at"):
        op.add_column("credit_checkouts", sa.Column(name, Whole, nullable=False, server_default=sa.text("0")))
