"""Limits, what is used of them, and what workers hold.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_MEASURE: Final = "measure IN ('requests', 'tokens', 'spend', 'concurrent')"
_PER: Final = "per IN ('minute', 'day', 'month', 'none')"


def upgrade() -> None:
    """Makes the tables, which earlier releases do not look at."""
    op.create_table(
        "limits",
        sa.Column("id", Whole, sa.Identity(), primary_key=True),
        *(_text("subject"), _text("model"), _text("measure", _MEASURE), _text("per", _PER)),
        *(_whole("amount", "amount >= 0"), _whole("created_at"), _whole("changed_at")),
        sa.Column("removed_at", Whole),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    op.execute("CREATE UNIQUE INDEX limits_in_force ON limits (subject, model, measure, per) WHERE removed_at IS NULL")
    op.create_table(
        "allowances",
        sa.Column("limit_id", Whole, sa.ForeignKey("limits.id"), primary_key=True, autoincrement=False),
        sa.Column("start", Whole, primary_key=True, autoincrement=False),
        *(_whole("settled"), _whole("wanted_in")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("CREATE INDEX allowances_by_want ON allowances (wanted_in)")
    op.create_table(
        "leases",
        sa.Column("limit_id", Whole, primary_key=True, autoincrement=False),
        sa.Column("start", Whole, primary_key=True, autoincrement=False),
        sa.Column("borrower", String, primary_key=True),
        *(_whole("granted"), _whole("settled"), _whole("asked")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("CREATE INDEX leases_of_borrower ON leases (borrower)")
    op.execute("INSERT INTO meta (name, value) VALUES ('allowances_version', 0)")


def _text(name: str, check: str = "") -> sa.Column[str]:
    return sa.Column(name, String, *([sa.CheckConstraint(check)] if check else []), nullable=False)


def _whole(name: str, check: str = "") -> sa.Column[int]:
    return sa.Column(name, Whole, *([sa.CheckConstraint(check)] if check else []), nullable=False)
