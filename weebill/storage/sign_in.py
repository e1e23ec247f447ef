"""Signing in, as the ledger has it: credentials, sessions, one-time tokens, identities."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec
from msgspec import structs
from sqlalchemy import Connection, RowMapping, Table, delete, insert, select, update

from weebill.accounts.audit import Act, Author
from weebill.accounts.pepper import read_pepper
from weebill.accounts.sessions import (
    MOST_INVITATIONS,
    MOST_TICKETS,
    Credentials,
    Invitation,
    Purpose,
    Session,
    Ticket,
    invitation_id,
)
from weebill.accounts.sign_in import Letter, SignIns, SignInTable
from weebill.accounts.tenants import Role, User
from weebill.billing.credits import Origin, Posting
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.audit import record
from weebill.storage.credit_stops import set_stop
from weebill.storage.credits import CreditRows
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.mails import Mail, put
from weebill.storage.opening import open_ledger
from weebill.storage.postgresql.locks import take_turns
from weebill.storage.sealing import TOTP, Vault
from weebill.storage.tables.sign_in import CREDENTIALS, IDENTITIES, RECOVERY_CODES, SESSIONS, TICKETS
from weebill.storage.tables.tenants import MEMBERSHIPS, ORGANISATIONS, USERS
from weebill.storage.tenants import TenantRows
from weebill.storage.usage_rows import without_nul

R = TypeVar("R")
S = TypeVar("S", User, Session, Ticket, Credentials)

_INVITES: Final = (TICKETS.c.purpose == "invitation", TICKETS.c.role.is_not(None))
_MOST_FORGOTTEN: Final = 1000  # at once


def sign_ins_in(ledger: Database, home: Home, pepper: bytes) -> SignIns:
    """Returns the sign-ins of an open ledger, whose tokens are hashed with the pepper."""
    return SignIns(StoredSignIns(ledger, Vault(home)), pepper)


@contextmanager
def open_sign_ins(home: Home, settings: DatabaseSettings) -> Iterator[SignIns]:
    """Opens the sign-ins of an installation; its ledger and pepper are made at first use. Raises LedgerError."""
    with open_ledger(home, settings) as ledger:
        keys_in(ledger, home)  # makes the pepper, or finds that it is another ledger's
        yield sign_ins_in(ledger, home, read_pepper(home.pepper))


class StoredSignIns:
    """The `SignInBook` of `weebill.accounts.sign_in`."""

    def __init__(self, ledger: Database, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault

    def read(self, query: Callable[[SignInTable], R]) -> R:
        """Returns the result of `query` on the tables as they are at one moment."""
        return self._ledger.read(lambda connection: query(SignInRows(connection, self._vault)))

    def change(self, change: Callable[[SignInTable], R]) -> R:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(SignInRows(connection, self._vault)))


class SignInRows:
    """The `SignInTable` of `weebill.accounts.sign_in`, within a transaction."""

    def __init__(self, connection: Connection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    def user(self, user_id: str) -> User | None:
        """Returns a user."""
        return self._one(User, USERS, id=user_id)

    def user_of(self, email: str) -> User | None:
        """Returns the user with this address."""
        return self._one(User, USERS, email=email)

    def roles(self, user_id: str) -> Mapping[str, Role]:
        """Returns a user's roles in organisations that are not archived."""
        held = select(MEMBERSHIPS.c.organisation_id, MEMBERSHIPS.c.role).join_from(MEMBERSHIPS, ORGANISATIONS)
        held = held.where(MEMBERSHIPS.c.user_id == user_id, ORGANISATIONS.c.archived_at.is_(None))
        return {id_: msgspec.convert(role, Role) for id_, role in self._connection.execute(held)}

    def archived_of(self, user_id: str) -> frozenset[str]:
        """Returns the ids of archived organisations that a user owns."""
        held = select(MEMBERSHIPS.c.organisation_id).join_from(MEMBERSHIPS, ORGANISATIONS)
        owned = held.where(MEMBERSHIPS.c.user_id == user_id, MEMBERSHIPS.c.role == "owner")
        return frozenset(self._connection.scalars(owned.where(ORGANISATIONS.c.archived_at.is_not(None))))

    def first_owner(self, organisation_id: str) -> User | None:
        """Returns the earliest of an organisation's owners who is not disabled."""
        owners = select(*(USERS.c[name] for name in User.__struct_fields__)).join_from(MEMBERSHIPS, USERS)
        owners = owners.where(MEMBERSHIPS.c.organisation_id == organisation_id, MEMBERSHIPS.c.role == "owner")
        owners = owners.where(USERS.c.disabled_at.is_(None)).order_by(USERS.c.created_at, USERS.c.id).limit(1)
        row = self._connection.execute(owners).mappings().one_or_none()
        return None if row is None else _made(User, row)

    def hold(self, user_id: str) -> None:
        """Has others who change how a user signs in wait until the end of the transaction."""
        take_turns(self._connection, f"sign-in of {user_id}")

    def credentials(self, user_id: str) -> Credentials:
        """Returns a user's credentials, empty ones if there are none."""
        return self._one(Credentials, CREDENTIALS, user_id=user_id) or Credentials(user_id=user_id)

    def set_credentials(self, credentials: Credentials) -> None:
        """Stores credentials."""
        values = structs.asdict(credentials)
        mine = CREDENTIALS.c.user_id == credentials.user_id
        if not self._connection.execute(update(CREDENTIALS).where(mine).values(**values)).rowcount:
            self._connection.execute(insert(CREDENTIALS).values(**values))

    def seal_totp(self, user_id: str, secret: str) -> bytes:
        """Returns the secret of a user's one-time codes as it is kept."""
        return self._vault.seal(self._connection, TOTP.place(user_id), secret.encode())

    def totp_secret(self, credentials: Credentials) -> str:
        """Returns the secret of a user's one-time codes. Raises SealedError."""
        assert credentials.totp is not None  # noqa: S101 - asked for only then
        return self._vault.open(TOTP.place(credentials.user_id), credentials.totp).decode()

    def take_step(self, user_id: str, step: int) -> bool:
        """Notes that the code of a step is used; False if that or a later one is already."""
        unused = (CREDENTIALS.c.user_id == user_id, CREDENTIALS.c.totp_step < step)
        return self._connection.execute(update(CREDENTIALS).where(*unused).values(totp_step=step)).rowcount == 1

    def set_recovery_codes(self, user_id: str, digests: list[bytes]) -> None:
        """Stores the recovery codes of a user in place of those of before."""
        self._connection.execute(delete(RECOVERY_CODES).where(RECOVERY_CODES.c.user_id == user_id))
        if digests:
            rows = [{"user_id": user_id, "digest": digest} for digest in digests]
            self._connection.execute(insert(RECOVERY_CODES), rows)

    def take_recovery_code(self, user_id: str, digest: bytes) -> bool:
        """Removes a recovery code; False if there is none."""
        this = (RECOVERY_CODES.c.user_id == user_id, RECOVERY_CODES.c.digest == digest)
        return self._connection.execute(delete(RECOVERY_CODES).where(*this)).rowcount == 1

    def session(self, digest: bytes) -> Session | None:
        """Returns the session with this token."""
        return self._one(Session, SESSIONS, digest=digest)

    def sessions(self, user_id: str) -> list[Session]:
        """Returns a user's sessions, the one that was seen last first."""
        fields = [SESSIONS.c[name] for name in Session.__struct_fields__]
        found = select(*fields).where(SESSIONS.c.user_id == user_id)
        ordered = found.order_by(SESSIONS.c.seen_at.desc(), SESSIONS.c.created_at.desc(), SESSIONS.c.id)
        return [_made(Session, row) for row in self._connection.execute(ordered).mappings()]

    def add_session(self, session: Session, digest: bytes) -> None:
        """Stores a session, and forgets those of anybody that have ended."""
        ended = select(SESSIONS.c.id).where(SESSIONS.c.ends_at <= session.created_at).limit(_MOST_FORGOTTEN)
        self._connection.execute(delete(SESSIONS).where(SESSIONS.c.id.in_(self._connection.scalars(ended).all())))
        values = {**structs.asdict(session), "agent": without_nul(session.agent), "digest": digest}
        self._connection.execute(insert(SESSIONS).values(**values))

    def see(self, session_id: str, now: int) -> None:
        """Notes that a session is used."""
        self._connection.execute(update(SESSIONS).where(SESSIONS.c.id == session_id).values(seen_at=now))

    def end_session(self, session_id: str) -> None:
        """Removes a session."""
        self._connection.execute(delete(SESSIONS).where(SESSIONS.c.id == session_id))

    def add_ticket(self, ticket: Ticket, digest: bytes) -> None:
        """Stores a ticket, in place of the earliest of `MOST_TICKETS`, and forgets those that have ended.

        An invitation is in place of any other to the same organisation: there is one role that it gives.
        """
        take_turns(self._connection, f"tickets of {ticket.email}")
        ended = select(TICKETS.c.digest).where(TICKETS.c.ends_at <= int(time.time())).limit(_MOST_FORGOTTEN)
        of_both = (TICKETS.c.email == ticket.email, TICKETS.c.purpose == ticket.purpose)
        others = select(TICKETS.c.digest).where(*of_both)
        most = MOST_TICKETS
        if ticket.purpose == "invitation":
            others, most = others.where(TICKETS.c.organisation_id == ticket.organisation_id), 1
        surplus = others.order_by(TICKETS.c.created_at.desc(), TICKETS.c.digest).offset(most - 1)
        gone = [*self._connection.scalars(ended), *self._connection.scalars(surplus.limit(_MOST_FORGOTTEN))]
        self._connection.execute(delete(TICKETS).where(TICKETS.c.digest.in_(gone)))
        self._connection.execute(insert(TICKETS).values(**structs.asdict(ticket), digest=digest))

    def post(self, letter: Letter) -> None:
        """Keeps a mail until it is sent. Raises MailQueueFullError, SealedError."""
        put(self._connection, self._vault, Mail(*letter))

    def ticket(self, digest: bytes) -> Ticket | None:
        """Returns the ticket with this token."""
        return self._one(Ticket, TICKETS, digest=digest)

    def take_ticket(self, digest: bytes) -> bool:
        """Removes a ticket; False if it is gone already."""
        return self._connection.execute(delete(TICKETS).where(TICKETS.c.digest == digest)).rowcount == 1

    def invitations(self, organisation_id: str, now: int) -> list[Invitation]:
        """Returns the open invitations to an organisation, oldest first, at most `MOST_INVITATIONS`."""
        found = select(TICKETS).where(*_INVITES, TICKETS.c.organisation_id == organisation_id, TICKETS.c.ends_at > now)
        ordered = found.order_by(TICKETS.c.created_at, TICKETS.c.email, TICKETS.c.digest).limit(MOST_INVITATIONS)
        return [
            msgspec.convert({**row, "id": invitation_id(row["digest"])}, Invitation)
            for row in self._connection.execute(ordered).mappings()
        ]

    def withdraw(self, invitation: Invitation) -> None:
        """Removes an open invitation."""
        of_address = select(TICKETS.c.digest).where(*_INVITES, TICKETS.c.email == invitation.email)
        digests = self._connection.scalars(of_address).all()
        gone = [digest for digest in digests if invitation_id(digest) == invitation.id]
        self._connection.execute(delete(TICKETS).where(TICKETS.c.digest.in_(gone)))

    def drop_tickets(self, email: str, purpose: Purpose) -> None:
        """Removes all tickets of an address for a purpose."""
        self._connection.execute(delete(TICKETS).where(TICKETS.c.email == email, TICKETS.c.purpose == purpose))

    def identity(self, issuer: str, subject: str) -> str | None:
        """Returns the id of the user whom a provider knows by this name."""
        this = (IDENTITIES.c.issuer == issuer, IDENTITIES.c.subject == subject)
        return self._connection.execute(select(IDENTITIES.c.user_id).where(*this)).scalar_one_or_none()

    def add_identity(self, issuer: str, subject: str, user_id: str, now: int) -> None:
        """Stores by which name a provider knows a user."""
        row = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": now}
        self._connection.execute(insert(IDENTITIES).values(**row))

    def pay_in_advance(self, organisation_id: str, nano: int, author: Author) -> None:
        """Gives an organisation so many nano-dollars, and has it refused once they are used up."""
        rows = CreditRows(self._connection, author)
        rows.lock(organisation_id)
        if nano:
            origin = Origin(f"sign-up:{organisation_id}", author.id, "Given at sign-up")
            Posting(rows, organisation_id).give("grant", nano, origin, None)
        set_stop(self._connection, organisation_id, hard=True, author=author)

    def tenants(self, author: Author) -> TenantRows:
        """Returns the users and organisations, within the same transaction."""
        return TenantRows(self._connection, author)

    def record(self, author: Author, act: Act) -> None:
        """Writes a row of the audit log."""
        record(self._connection, author, act)

    def _one(self, kind: type[S], table: Table, **values: str | bytes) -> S | None:
        (name, value), *_ = values.items()
        fields = [table.c[field] for field in kind.__struct_fields__]
        row = self._connection.execute(select(*fields).where(table.c[name] == value)).mappings().one_or_none()
        return None if row is None else _made(kind, row)


def _made(kind: type[S], row: RowMapping) -> S:
    return msgspec.convert(dict(row), kind)
