"""The tables of how people sign in, in the ledger beside its users.

Secrets are hashed, or sealed if they are read again.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Named, Table, TypedColumns

from weebill.storage.tables.ledger import LEDGER
from weebill.storage.tables.types import Binary, String, Whole

_DIGEST: Final = "length(digest) = 32"
_PURPOSE: Final = "purpose IN ('link', 'invitation', 'confirmation', 'reset')"
_ROLE: Final = "role IN ('owner', 'admin', 'member', 'billing', 'viewer')"


class _Credentials(TypedColumns):
    user_id = Column(String, ForeignKey("users.id"), primary_key=True)
    password: Named[str | None] = Column(String)
    password_set_at: Named[int | None] = Column(Whole)
    totp: Named[bytes | None] = Column(Binary)
    totp_since: Named[int | None] = Column(Whole)
    totp_step = Column(Whole, nullable=False)


CREDENTIALS: Final = Table("credentials", LEDGER, _Credentials, sqlite_strict=True, sqlite_with_rowid=False)
"""`password` is Argon2's own text; `totp` is sealed, and asked for once `totp_since` is set; its codes up to
`totp_step` are used.
"""


class _RecoveryCodes(TypedColumns):
    user_id = Column(String, ForeignKey("users.id"), primary_key=True)
    digest = Column(Binary, CheckConstraint(_DIGEST), primary_key=True)


RECOVERY_CODES: Final = Table("recovery_codes", LEDGER, _RecoveryCodes, sqlite_strict=True, sqlite_with_rowid=False)
"""Those that are left; a row goes when its code is used."""


class _Identities(TypedColumns):
    issuer = Column(String, primary_key=True)
    subject = Column(String, primary_key=True)
    user_id = Column(String, ForeignKey("users.id"), nullable=False)
    created_at = Column(Whole, nullable=False)


IDENTITIES: Final = Table("identities", LEDGER, _Identities, sqlite_strict=True, sqlite_with_rowid=False)
"""People as OpenID providers know them."""
Index("identities_of_user", IDENTITIES.c.user_id)


class _Sessions(TypedColumns):
    id = Column(String, primary_key=True)
    digest = Column(Binary, CheckConstraint(_DIGEST), nullable=False, unique=True)
    user_id = Column(String, ForeignKey("users.id"), nullable=False)
    means = Column(String, nullable=False)
    created_at = Column(Whole, nullable=False)
    seen_at = Column(Whole, nullable=False)
    ends_at = Column(Whole, nullable=False)
    address = Column(String, nullable=False)
    agent = Column(String, nullable=False)


SESSIONS: Final = Table("sessions", LEDGER, _Sessions, sqlite_strict=True)
Index("sessions_of_user", SESSIONS.c.user_id)
Index("sessions_by_end", SESSIONS.c.ends_at)


class _Tickets(TypedColumns):
    digest = Column(Binary, CheckConstraint(_DIGEST), primary_key=True)
    purpose = Column(String, CheckConstraint(_PURPOSE), nullable=False)
    email = Column(String, nullable=False)
    user_id: Named[str | None] = Column(String, ForeignKey("users.id"))
    organisation_id: Named[str | None] = Column(String, ForeignKey("organisations.id"))
    role: Named[str | None] = Column(String, CheckConstraint(_ROLE))
    created_at = Column(Whole, nullable=False)
    ends_at = Column(Whole, nullable=False)


TICKETS: Final = Table("tickets", LEDGER, _Tickets, sqlite_strict=True, sqlite_with_rowid=False)
"""One-time tokens; a row goes when its token is used."""
Index("tickets_by_end", TICKETS.c.ends_at)
Index("tickets_of_address", TICKETS.c.email)


class _Mails(TypedColumns):
    id = Column(String, primary_key=True)
    sealed = Column(Binary, nullable=False)
    created_at = Column(Whole, nullable=False)
    due_at = Column(Whole, nullable=False)
    attempts = Column(Whole, nullable=False)


MAILS: Final = Table("mails", LEDGER, _Mails, sqlite_strict=True)
"""Mails that are to be sent, sealed, as they have tokens in them; a row goes when its mail is sent or given up."""
Index("mails_by_due", MAILS.c.due_at)
