"""Credits of organisations: a ledger of double entry, rates, and what was told to and by others about them.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import Flag, String, Whole

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_STRICT: Final = {"sqlite_strict": True}
_NUMBERED: Final = {"sqlite_strict": True, "sqlite_autoincrement": True}
_NAMED: Final = {"sqlite_strict": True, "sqlite_with_rowid": False}
_INDEXES: Final = (
    "credit_transactions_of_organisation ON credit_transactions (organisation, id)",
    "credit_lots_left ON credit_lots (organisation) WHERE left_nano > 0",
    "credit_lots_by_end ON credit_lots (expires_at) WHERE left_nano > 0",
    "credit_checkouts_of_organisation ON credit_checkouts (organisation, made_at)",
    "stripe_events_by_time ON stripe_events (at)",
    "webhook_deliveries_due ON webhook_deliveries (due_at) WHERE due_at IS NOT NULL",
)


def upgrade() -> None:
    """Makes the tables; what was used before is not billed."""
    kinds = "kind IN ('grant', 'purchase', 'refund', 'dispute', 'expiry', 'adjustment', 'settlement')"
    op.create_table(
        "credit_transactions",
        *(_number(), _text("name", unique=True), _text("organisation"), _text("kind", sa.CheckConstraint(kinds))),
        *(_whole("at"), _whole("amount_nano"), _whole("balance_nano"), _maybe("expires_at")),
        *(_text("reference", unique=True), _text("purchase"), _text("note"), _text("actor")),
        **_NUMBERED,
    )
    op.create_table(
        "credit_entries",
        sa.Column(
            "transaction_id", Whole, sa.ForeignKey("credit_transactions.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("account", String, primary_key=True),
        sa.Column("lot", Whole, primary_key=True, autoincrement=False),
        _whole("amount_nano"),
        **_NAMED,
    )
    op.create_table(
        "credit_lots",
        sa.Column("id", Whole, sa.ForeignKey("credit_transactions.id"), primary_key=True, autoincrement=False),
        *(_text("organisation"), _maybe("expires_at"), _whole("left_nano", sa.CheckConstraint("left_nano >= 0"))),
        **_STRICT,
    )
    op.create_table(
        "credit_standings",
        *(_key("organisation"), _whole("balance_nano")),
        *(_whole("posted_nano", sa.CheckConstraint("posted_nano >= 0")), _maybe("low_nano")),
        *(sa.Column("low_told", Flag, nullable=False), _text("webhook_url"), _whole("webhook_secrets")),
        **_NAMED,
    )
    op.create_table(
        "credit_usage",
        *(_key("organisation"), _whole("billed_nano", sa.CheckConstraint("billed_nano >= 0"))),
        *(_whole("cost_nano", sa.CheckConstraint("cost_nano >= 0")), _whole("unpriced")),
        **_NAMED,
    )
    op.create_table(
        "credit_rates",
        *(_number(), _text("project"), _text("model")),
        sa.Column("parts_per_million", Whole, sa.CheckConstraint("parts_per_million >= 0")),
        *(_whole("valid_from"), _whole("made_at"), _text("note"), _text("actor")),
        **_NUMBERED,
    )
    op.create_table(
        "credit_checkouts",
        *(_key("id"), _text("organisation"), _whole("amount_nano", sa.CheckConstraint("amount_nano > 0"))),
        *(_text("payment"), _whole("made_at"), _text("actor")),
        **_NAMED,
    )
    op.create_table("stripe_events", _key("id"), _text("kind"), _whole("at"), _text("result"), **_NAMED)
    op.create_table(
        "webhook_deliveries",
        *(_number(), _text("message", unique=True), _text("organisation"), _text("body"), _whole("made_at")),
        *(_whole("attempts"), _maybe("due_at"), _text("result")),
        **_NUMBERED,
    )
    for index in _INDEXES:
        op.execute(f"CREATE INDEX {index}")


def _number() -> sa.Column[int]:
    return sa.Column("id", Whole, sa.Identity(), primary_key=True)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, String, primary_key=True)


def _text(name: str, *constraints: sa.CheckConstraint, unique: bool | None = None) -> sa.Column[str]:
    return sa.Column(name, String, *constraints, nullable=False, unique=unique)


def _whole(name: str, *constraints: sa.CheckConstraint) -> sa.Column[int]:
    return sa.Column(name, Whole, *constraints, nullable=False)


def _maybe(name: str) -> sa.Column[int]:
    return sa.Column(name, Whole)
