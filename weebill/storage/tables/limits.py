"""The tables of limits, and of what is used and lent of them, in the ledger beside its usage."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Identity, Index, Named, Table, TypedColumns

from weebill.storage.tables.ledger import LEDGER as LEDGER
from weebill.storage.tables.types import String, Whole

_MEASURE: Final = "measure IN ('requests', 'tokens', 'spend', 'concurrent')"
_WINDOW: Final = "per IN ('minute', 'day', 'month', 'none')"


class _Limits(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    subject = Column(String, nullable=False)
    model = Column(String, nullable=False)
    measure = Column(String, CheckConstraint(_MEASURE), nullable=False)
    per = Column(String, CheckConstraint(_WINDOW), nullable=False)
    amount = Column(Whole, CheckConstraint("amount >= 0"), nullable=False)
    created_at = Column(Whole, nullable=False)
    changed_at = Column(Whole, nullable=False)
    removed_at: Named[int | None] = Column(Whole)


LIMITS: Final = Table("limits", LEDGER, _Limits, sqlite_strict=True, sqlite_autoincrement=True)
"""Removed ones stay: usage that comes late has their ids."""
_IN_FORCE: Final = LIMITS.c.removed_at.is_(None)
Index(
    "limits_in_force",
    *(LIMITS.c.subject, LIMITS.c.model, LIMITS.c.measure, LIMITS.c.per),
    unique=True,
    sqlite_where=_IN_FORCE,
)


class _Allowances(TypedColumns):
    limit_id = Column(Whole, ForeignKey("limits.id"), primary_key=True, autoincrement=False)
    start = Column(Whole, primary_key=True, autoincrement=False)
    settled = Column(Whole, nullable=False)
    wanted_in = Column(Whole, nullable=False)


ALLOWANCES: Final = Table("allowances", LEDGER, _Allowances, sqlite_strict=True, sqlite_with_rowid=False)
"""A limit in the window from `start` on (Unix seconds). `settled` is what ingested records have used; `wanted_in` is
the version (`weebill.storage.versions`) in which somebody was short of it.
"""
Index("allowances_by_want", ALLOWANCES.c.wanted_in)


class _Leases(TypedColumns):
    limit_id = Column(Whole, primary_key=True, autoincrement=False)
    start = Column(Whole, primary_key=True, autoincrement=False)
    borrower = Column(String, primary_key=True)
    granted = Column(Whole, nullable=False)
    settled = Column(Whole, nullable=False)
    asked = Column(Whole, nullable=False)


LEASES: Final = Table("leases", LEDGER, _Leases, sqlite_strict=True, sqlite_with_rowid=False)
"""The parts of allowances that workers hold (`weebill.limits.lending`); `asked` is the number of the last question."""
Index("leases_of_borrower", LEASES.c.borrower)


class _Borrowers(TypedColumns):
    borrower = Column(String, primary_key=True)
    machine = Column(String, nullable=False)
    heard_at = Column(Whole, nullable=False)
    released_at: Named[int | None] = Column(Whole)
    account = Column(String, nullable=False, server_default="")


BORROWERS: Final = Table("borrowers", LEDGER, _Borrowers, sqlite_strict=True, sqlite_with_rowid=False)
"""Workers that have borrowed, and the machine whose ledger process last spoke of them (`weebill.limits.machines`).

`account` is another random text for one that has to begin anew, as its leases were ended.
"""
Index("borrowers_of_machine", BORROWERS.c.machine)
