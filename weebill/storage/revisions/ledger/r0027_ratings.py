"""Ratings of requests, and what they add up to. A release that does not know them leaves them out.

Revision ID: 0027
Revises: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables, and adds the columns: nothing is rated."""
    op.create_table(
        "usage_ratings",
        sa.Column(
            "entry",
            Whole,
            sa.ForeignKey("usage_entries.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        *_rating(),
        sqlite_strict=True,
    )
    op.create_table(
        "usage_ratings_waiting",
        sa.Column("project_id", String, primary_key=True),
        sa.Column("request_id", String, primary_key=True),
        *_rating(),
        sa.Column("since", Whole, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for table in ("usage_sums", "usage_project_sums", "usage_label_sums"):
        for name in ("rated", "score_micro"):
            op.add_column(table, sa.Column(name, Whole, nullable=False, server_default=sa.text("0")))


def _rating() -> list[sa.Column[object]]:
    return [
        sa.Column("key_id", String, nullable=False),
        sa.Column("rated_at", Whole, nullable=False),
        sa.Column("score_micro", Whole, nullable=False),
        sa.Column("comment", String, nullable=False),
    ]
