"""The tables of those who use an installation, in the ledger beside its keys."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Named, Table, TypedColumns

from weebill.storage.tables.ledger import LEDGER
from weebill.storage.tables.types import String, Whole

_ROLE: Final = "role IN ('owner', 'admin', 'member', 'billing', 'viewer')"


class _Organisations(TypedColumns):
    id = Column(String, primary_key=True)
    name = Column(String, nullable=False)
    created_at = Column(Whole, nullable=False)
    archived_at: Named[int | None] = Column(Whole)
    changed_in = Column(Whole, nullable=False)
    made_in = Column(Whole, nullable=False, server_default="0")


ORGANISATIONS: Final = Table("organisations", LEDGER, _Organisations, sqlite_strict=True)
"""In all these tables, `changed_in` is the version of keys in which those of the row were let in or shut out, `made_in`
that in which the row was made; 0 if an earlier release has made it."""
Index("organisations_by_change", ORGANISATIONS.c.changed_in)


class _Projects(TypedColumns):
    id = Column(String, primary_key=True)
    organisation_id = Column(String, ForeignKey("organisations.id"), nullable=False)
    name = Column(String, nullable=False)
    created_at = Column(Whole, nullable=False)
    archived_at: Named[int | None] = Column(Whole)
    changed_in = Column(Whole, nullable=False)
    made_in = Column(Whole, nullable=False, server_default="0")


PROJECTS: Final = Table("projects", LEDGER, _Projects, sqlite_strict=True)
Index("projects_by_change", PROJECTS.c.changed_in)
Index("projects_of_organisation", PROJECTS.c.organisation_id)


class _Users(TypedColumns):
    id = Column(String, primary_key=True)
    email = Column(String, nullable=False, unique=True)
    name = Column(String, nullable=False)
    created_at = Column(Whole, nullable=False)
    disabled_at: Named[int | None] = Column(Whole)
    changed_in = Column(Whole, nullable=False)
    made_in = Column(Whole, nullable=False, server_default="0")


USERS: Final = Table("users", LEDGER, _Users, sqlite_strict=True)
Index("users_by_change", USERS.c.changed_in)


class _Memberships(TypedColumns):
    organisation_id = Column(String, ForeignKey("organisations.id"), primary_key=True)
    user_id = Column(String, ForeignKey("users.id"), primary_key=True)
    role = Column(String, CheckConstraint(_ROLE), nullable=False)
    created_at = Column(Whole, nullable=False)


MEMBERSHIPS: Final = Table("memberships", LEDGER, _Memberships, sqlite_strict=True, sqlite_with_rowid=False)
Index("memberships_of_user", MEMBERSHIPS.c.user_id)


class _ServiceAccounts(TypedColumns):
    id = Column(String, primary_key=True)
    project_id = Column(String, ForeignKey("projects.id"), nullable=False)
    name = Column(String, nullable=False)
    role = Column(String, CheckConstraint(_ROLE), nullable=False)
    created_at = Column(Whole, nullable=False)
    disabled_at: Named[int | None] = Column(Whole)
    changed_in = Column(Whole, nullable=False)
    made_in = Column(Whole, nullable=False, server_default="0")


SERVICE_ACCOUNTS: Final = Table("service_accounts", LEDGER, _ServiceAccounts, sqlite_strict=True)
Index("service_accounts_by_change", SERVICE_ACCOUNTS.c.changed_in)
Index("service_accounts_of_project", SERVICE_ACCOUNTS.c.project_id)
