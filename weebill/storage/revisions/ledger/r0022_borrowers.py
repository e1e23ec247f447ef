"""Workers that borrow allowances, and when their machine was last heard of.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table, with those who hold something now: their machines say who they are within seconds."""
    op.create_table(
        "borrowers",
        sa.Column("borrower", String, primary_key=True, nullable=False),
        *(sa.Column("machine", String, nullable=False), sa.Column("heard_at", Whole, nullable=False)),
        sa.Column("released_at", Whole),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("borrowers_of_machine", "borrowers", ["machine"])
    insert = "INSERT INTO borrowers (borrower, machine, heard_at) SELECT DISTINCT borrower, 'unknown', :now FROM leases"
    op.execute(sa.text(insert).bindparams(sa.bindparam("now", int(time.time()), type_=Whole)))
