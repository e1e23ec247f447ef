"""Organisations, projects, users and service accounts; keys belong to a project, and may have a holder.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import time
from typing import Final

import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import String, Whole

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ROLE: Final = "role IN ('owner', 'admin', 'member', 'billing', 'viewer')"
_INDEXES: Final = (
    "organisations_by_change ON organisations (changed_in)",
    "projects_by_change ON projects (changed_in)",
    "projects_of_organisation ON projects (organisation_id)",
    "users_by_change ON users (changed_in)",
    "memberships_of_user ON memberships (user_id)",
    "service_accounts_by_change ON service_accounts (changed_in)",
    "service_accounts_of_project ON service_accounts (project_id)",
    "api_keys_of_project ON api_keys (project_id)",
    "api_keys_of_user ON api_keys (user_id) WHERE user_id IS NOT NULL",
    "api_keys_of_service_account ON api_keys (service_account_id) WHERE service_account_id IS NOT NULL",
)
# Replicas of the release before make keys without them.
_COLUMNS: Final = (
    "project_id {text} NOT NULL DEFAULT 'proj_default' REFERENCES projects (id)",
    "user_id {text} REFERENCES users (id)",
    "service_account_id {text} REFERENCES service_accounts (id) CHECK (service_account_id IS NULL OR user_id IS NULL)",
)


def upgrade() -> None:
    """Puts the keys that are there into a project of an organisation, which it makes."""
    organisations = op.create_table(
        "organisations", _id(), _name(), _created(), _at("archived_at"), _changed(), sqlite_strict=True
    )
    projects = op.create_table(
        "projects",
        *(_id(), _of("organisation_id", "organisations"), _name(), _created(), _at("archived_at"), _changed()),
        sqlite_strict=True,
    )
    op.create_table(
        "users",
        *(_id(), sa.Column("email", String, nullable=False, unique=True), _name()),
        *(_created(), _at("disabled_at"), _changed()),
        sqlite_strict=True,
    )
    op.create_table(
        "memberships",
        _of("organisation_id", "organisations", primary_key=True),
        _of("user_id", "users", primary_key=True),
        *(_role(), _created()),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "service_accounts",
        *(_id(), _of("project_id", "projects"), _name(), _role(), _created(), _at("disabled_at"), _changed()),
        sqlite_strict=True,
    )
    made = {"name": "Default", "created_at": int(time.time()), "changed_in": 0}
    op.bulk_insert(organisations, [{"id": "org_default", **made}])
    op.bulk_insert(projects, [{"id": "proj_default", "organisation_id": "org_default", **made}])
    text = "TEXT" if op.get_bind().dialect.name == "sqlite" else 'TEXT COLLATE "C"'
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE api_keys ADD COLUMN {column.format(text=text)}")
    for index in _INDEXES:
        op.execute(f"CREATE INDEX {index}")


def _id() -> sa.Column[str]:
    return sa.Column("id", String, primary_key=True)


def _name() -> sa.Column[str]:
    return sa.Column("name", String, nullable=False)


def _role() -> sa.Column[str]:
    return sa.Column("role", String, sa.CheckConstraint(_ROLE), nullable=False)


def _of(name: str, table: str, *, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, String, sa.ForeignKey(f"{table}.id"), nullable=False, primary_key=primary_key)


def _created() -> sa.Column[int]:
    return sa.Column("created_at", Whole, nullable=False)


def _at(name: str) -> sa.Column[int]:
    return sa.Column(name, Whole)


def _changed() -> sa.Column[int]:
    return sa.Column("changed_in", Whole, nullable=False)
