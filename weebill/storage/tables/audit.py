"""The table of the audit log, in the ledger beside what it is about."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Index, Named, Table, TypedColumns

from weebill.storage.tables.ledger import LEDGER
from weebill.storage.tables.types import String, Whole


class _Audit(TypedColumns):
    id = Column(Whole, primary_key=True, autoincrement=False)
    at = Column(Whole, nullable=False)
    author_kind = Column(String, CheckConstraint("author_kind IN ('command_line', 'key', 'user')"), nullable=False)
    author_id = Column(String, nullable=False)
    author_name = Column(String, nullable=False)
    address = Column(String, nullable=False)
    action = Column(String, nullable=False)
    target = Column(String, nullable=False)
    organisation_id: Named[str | None] = Column(String)
    before = Column(String, nullable=False)
    after = Column(String, nullable=False)
    previous = Column(String, nullable=False)
    hash = Column(String, nullable=False)


AUDIT: Final = Table("audit_log", LEDGER, _Audit, sqlite_strict=True)
"""Nothing refers to another table: what a row is about may be gone."""
Index("audit_log_of_organisation", AUDIT.c.organisation_id, AUDIT.c.id)
