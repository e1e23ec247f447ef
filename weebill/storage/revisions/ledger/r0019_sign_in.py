"""Signing in: passwords, one-time codes, OpenID identities, sessions, one-time tokens, and mails to be sent.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import Binary, String, Whole

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_PURPOSE = "purpose IN ('link', 'invitation', 'confirmation', 'reset')"
_ROLE = "role IN ('owner', 'admin', 'member', 'billing', 'viewer')"


def upgrade() -> None:
    """Makes the tables, which are empty."""
    strict = {"sqlite_strict": True}
    ordered = {**strict, "sqlite_with_rowid": False}
    op.create_table(
        "credentials",
        *(_user(primary_key=True), sa.Column("password", String), sa.Column("password_set_at", Whole)),
        *(sa.Column("totp", Binary), sa.Column("totp_since", Whole), _whole("totp_step")),
        **ordered,
    )
    op.create_table("recovery_codes", _user(primary_key=True), _digest(primary_key=True), **ordered)
    op.create_table(
        "identities",
        *(sa.Column(name, String, primary_key=True, nullable=False) for name in ("issuer", "subject")),
        *(_user(), _whole("created_at")),
        **ordered,
    )
    op.create_table(
        "sessions",
        *(sa.Column("id", String, primary_key=True), _digest(unique=True), _user(), _text("means")),
        *(_whole(name) for name in ("created_at", "seen_at", "ends_at")),
        *(_text(name) for name in ("address", "agent")),
        **strict,
    )
    op.create_table(
        "tickets",
        *(_digest(primary_key=True), sa.Column("purpose", String, sa.CheckConstraint(_PURPOSE), nullable=False)),
        *(_text("email"), sa.Column("user_id", String, sa.ForeignKey("users.id"))),
        sa.Column("organisation_id", String, sa.ForeignKey("organisations.id")),
        *(sa.Column("role", String, sa.CheckConstraint(_ROLE)), _whole("created_at"), _whole("ends_at")),
        **ordered,
    )
    op.create_table(
        "mails",
        sa.Column("id", String, primary_key=True),
        sa.Column("sealed", Binary, nullable=False),
        *(_whole(name) for name in ("created_at", "due_at", "attempts")),
        **strict,
    )
    for name, table, column in (
        ("identities_of_user", "identities", "user_id"),
        ("sessions_of_user", "sessions", "user_id"),
        ("sessions_by_end", "sessions", "ends_at"),
        ("tickets_by_end", "tickets", "ends_at"),
        ("tickets_of_address", "tickets", "email"),
        ("mails_by_due", "mails", "due_at"),
    ):
        op.create_index(name, table, [column])


def _user(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column("user_id", String, sa.ForeignKey("users.id"), nullable=False, primary_key=primary_key)


def _digest(*, primary_key: bool = False, unique: bool | None = None) -> sa.Column[bytes]:
    right = sa.CheckConstraint("length(digest) = 32")
    return sa.Column("digest", Binary, right, nullable=False, primary_key=primary_key, unique=unique)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, String, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, Whole, nullable=False)
