"""The rules of signing in: sessions, passwords, one-time codes, one-time tokens, and people whom a provider knows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from msgspec import structs

from weebill.accounts.audit import Act, Author
from weebill.accounts.errors import BadFieldError
from weebill.accounts.one_time_codes import normal_recovery_code, step_of
from weebill.accounts.sessions import (
    MOST_SESSIONS,
    SEEN_EVERY_S,
    TICKET_S,
    Credentials,
    Invitation,
    Lifetimes,
    Means,
    Purpose,
    Session,
    Ticket,
    Visitor,
    invitation_id,
    is_over,
    new_token,
    token_digest,
)
from weebill.accounts.tenancy import TenantTable
from weebill.accounts.tenants import Role, User
from weebill.accounts.tenants_named import email_of

R = TypeVar("R")


class Letter(NamedTuple):
    """A mail to somebody who comes in: to one address, in plain text."""

    to: str
    subject: str
    text: str


class SignInTable(Protocol):
    """The means by which people sign in, as they are stored, within a transaction."""

    def user(self, user_id: str) -> User | None:
        """Returns a user."""

    def user_of(self, email: str) -> User | None:
        """Returns the user with this address."""

    def roles(self, user_id: str) -> Mapping[str, Role]:
        """Returns a user's roles, by the ids of the organisations; not of archived ones."""

    def archived_of(self, user_id: str) -> frozenset[str]:
        """Returns the ids of archived organisations that a user owns."""

    def pay_in_advance(self, organisation_id: str, nano: int, author: Author) -> None:
        """Gives an organisation so many nano-dollars, and has it refused once they are used up."""

    def first_owner(self, organisation_id: str) -> User | None:
        """Returns the earliest of an organisation's owners who is not disabled."""

    def hold(self, user_id: str) -> None:
        """Has others who change how a user signs in wait until the end of the transaction."""

    def credentials(self, user_id: str) -> Credentials:
        """Returns a user's credentials, empty ones if there are none."""

    def set_credentials(self, credentials: Credentials) -> None:
        """Stores credentials."""

    def seal_totp(self, user_id: str, secret: str) -> bytes:
        """Returns the secret of a user's one-time codes as it is kept."""

    def totp_secret(self, credentials: Credentials) -> str:
        """Returns the secret of a user's one-time codes. Raises SealedError."""

    def take_step(self, user_id: str, step: int) -> bool:
        """Notes that the code of a step is used; False if that or a later one is already."""

    def set_recovery_codes(self, user_id: str, digests: list[bytes]) -> None:
        """Stores the recovery codes of a user in place of those of before."""

    def take_recovery_code(self, user_id: str, digest: bytes) -> bool:
        """Removes a recovery code; False if there is none."""

    def session(self, digest: bytes) -> Session | None:
        """Returns the session with this token."""

    def sessions(self, user_id: str) -> list[Session]:
        """Returns a user's sessions, the one that was seen last first."""

    def add_session(self, session: Session, digest: bytes) -> None:
        """Stores a session, and forgets those of anybody that have ended."""

    def see(self, session_id: str, now: int) -> None:
        """Notes that a session is used."""

    def end_session(self, session_id: str) -> None:
        """Removes a session."""

    def add_ticket(self, ticket: Ticket, digest: bytes) -> None:
        """Stores a ticket, in place of the earliest of `MOST_TICKETS`, and forgets those that have ended."""

    def post(self, letter: Letter) -> None:
        """Keeps a mail until it is sent."""

    def ticket(self, digest: bytes) -> Ticket | None:
        """Returns the ticket with this token."""

    def take_ticket(self, digest: bytes) -> bool:
        """Removes a ticket; False if it is gone already."""

    def invitations(self, organisation_id: str, now: int) -> list[Invitation]:
        """Returns the open invitations to an organisation, oldest first, at most `MOST_INVITATIONS`."""

    def withdraw(self, invitation: Invitation) -> None:
        """Removes an open invitation."""

    def drop_tickets(self, email: str, purpose: Purpose) -> None:
        """Removes all tickets of an address for a purpose."""

    def identity(self, issuer: str, subject: str) -> str | None:
        """Returns the id of the user whom a provider knows by this name."""

    def add_identity(self, issuer: str, subject: str, user_id: str, now: int) -> None:
        """Stores by which name a provider knows a user."""

    def tenants(self, author: Author) -> TenantTable:
        """Returns the users and organisations, within the same transaction."""

    def record(self, author: Author, act: Act) -> None:
        """Writes a row of the audit log."""


class SignInBook(Protocol):
    """The storage of all that. Its methods raise LedgerError."""

    def read(self, query: Callable[[SignInTable], R]) -> R:
        """Returns the result of `query` on the tables as they are at one moment."""

    def change(self, change: Callable[[SignInTable], R]) -> R:
        """Commits the changes of `change`, and returns its result; `change` may be called again."""


class Known(NamedTuple):
    """A user who may sign in."""

    user: User
    credentials: Credentials


class Opened(NamedTuple):
    """A new session and its token, which is not stored."""

    session: Session
    user: User
    token: str


class Present(NamedTuple):
    """The person who sends a request with a session; `archived` are organisations that it owns and that are so."""

    session: Session
    user: User
    roles: Mapping[str, Role]
    archived: frozenset[str] = frozenset()


class SignIns:
    """Opens, finds and ends sessions. Methods raise LedgerError."""

    def __init__(self, book: SignInBook, pepper: bytes) -> None:
        self.book = book
        self._pepper = pepper

    def known(self, email: str) -> Known | None:
        """Returns the user with this address, who is not disabled."""
        try:
            address = email_of(email)
        except BadFieldError:
            return None

        def query(table: SignInTable) -> Known | None:
            user = table.user_of(address)
            return None if user is None or user.disabled_at is not None else Known(user, table.credentials(user.id))

        return self.book.read(query)

    def sign_in(
        self, known: Known, code: str, visitor: Visitor, lifetimes: Lifetimes, replaced: str = ""
    ) -> Opened | None:
        """Opens a session for a user whose password was right, None if the code is not or the password was changed.

        The session with the token `replaced` ends.
        """

        def change(table: SignInTable) -> Opened | None:
            table.hold(known.user.id)
            user, credentials = table.user(known.user.id), table.credentials(known.user.id)
            if user is None or user.disabled_at is not None or credentials.password != known.credentials.password:
                return None
            means: Means = "password"
            if credentials.totp_since is not None:
                if self._takes_code(table, credentials, code):
                    means = "password and code"
                elif self._takes_recovery_code(table, user.id, code):
                    means = "password and recovery code"
                else:
                    return None
            return self.open(table, user, means, visitor, lifetimes, replaced)

        return self.book.change(change)

    def open(
        self,
        table: SignInTable,
        user: User,
        means: Means,
        visitor: Visitor,
        lifetimes: Lifetimes,
        replaced: str = "",
    ) -> Opened:
        """Opens a session within a transaction."""
        table.hold(user.id)
        self._end(table, replaced)
        for surplus in table.sessions(user.id)[MOST_SESSIONS - 1 :]:
            table.end_session(surplus.id)
        token, now = new_token(), int(time.time())
        session = Session(
            id=f"sess_{secrets.token_hex(8)}",
            user_id=user.id,
            means=means,
            created_at=now,
            seen_at=now,
            ends_at=now + int(lifetimes.longest_s),
            address=visitor.address,
            agent=visitor.agent_kept,
        )
        table.add_session(session, self._digest(token))
        after = {"session": session.id, "means": means}
        table.record(by_user(user, visitor), Act(action="user.signed_in", target=user.id, after=after))
        return Opened(session, user, token)

    def open_by_link(self, token: str, visitor: Visitor, lifetimes: Lifetimes, replaced: str = "") -> Opened | None:
        """Opens a session for a one-time link, None if it is used, has ended, or is for something else."""

        def change(table: SignInTable) -> Opened | None:
            ticket = self.take(table, token, "link")
            user = None if ticket is None or ticket.user_id is None else table.user(ticket.user_id)
            if user is None or user.disabled_at is not None:
                return None
            return self.open(table, user, "link", visitor, lifetimes, replaced)

        return self.book.change(change) if self.peek(token, "link") else None

    def present(self, token: str, idle_s: float) -> Present | None:
        """Returns who has the session with this token; None if it has ended or its user is disabled."""
        digest = token_digest("session", token, self._pepper)
        if digest is None:
            return None

        def query(table: SignInTable) -> Present | None:
            session = table.session(digest)
            user = None if session is None or is_over(session, time.time(), idle_s) else table.user(session.user_id)
            if session is None or user is None or user.disabled_at is not None:
                return None
            return Present(session, user, table.roles(user.id), table.archived_of(user.id))

        found = self.book.read(query)
        if found is not None and time.time() >= found.session.seen_at + SEEN_EVERY_S:
            self.book.change(lambda table: table.see(found.session.id, int(time.time())))
        return found

    def sessions(self, user_id: str, idle_s: float) -> list[Session]:
        """Returns the sessions of a user that have not ended."""
        now = time.time()
        return [
            each for each in self.book.read(lambda table: table.sessions(user_id)) if not is_over(each, now, idle_s)
        ]

    def sign_out(self, token: str) -> None:
        """Ends a session."""
        self.book.change(lambda table: self._end(table, token))

    def end(self, user_id: str, ids: Callable[[Session], bool], author: Author) -> int:
        """Ends those of a user's sessions that `ids` is true for; returns their number."""

        def change(table: SignInTable) -> int:
            ended = [each for each in table.sessions(user_id) if ids(each)]
            for each in ended:
                table.end_session(each.id)
                table.record(author, Act(action="session.ended", target=each.id, before={"user_id": user_id}))
            return len(ended)

        return self.book.change(change)

    def issue(self, table: SignInTable, purpose: Purpose, email: str, **more: str | None) -> tuple[str, str]:
        """Returns a new one-time token for a purpose, and its id as an invitation, within a transaction."""
        now, token = int(time.time()), new_token()
        ticket = Ticket(purpose=purpose, email=email, created_at=now, ends_at=now + TICKET_S[purpose])
        digest = token_digest("ticket", token, self._pepper)
        assert digest is not None  # noqa: S101 - of a token of our own
        table.add_ticket(structs.replace(ticket, **more), digest)
        return token, invitation_id(digest)

    def peek(self, token: str, purpose: Purpose) -> Ticket | None:
        """Returns the meaning of a token that is valid, which stays so."""
        digest = token_digest("ticket", token, self._pepper)
        found = None if digest is None else self.book.read(lambda table: table.ticket(digest))
        return found if found is not None and found.purpose == purpose and time.time() < found.ends_at else None

    def take(self, table: SignInTable, token: str, purpose: Purpose) -> Ticket | None:
        """Returns the meaning of a valid token, which is used up by that, within a transaction."""
        digest = token_digest("ticket", token, self._pepper)
        ticket = None if digest is None else table.ticket(digest)
        if digest is None or ticket is None or ticket.purpose != purpose or time.time() >= ticket.ends_at:
            return None
        return ticket if table.take_ticket(digest) else None

    def recovery_digest(self, user_id: str, code: str) -> bytes | None:
        """Returns the hash by which a recovery code is found."""
        text = normal_recovery_code(code).decode(errors="replace")
        return token_digest("recovery", text, self._pepper, of=f"{user_id} ")

    def _takes_code(self, table: SignInTable, credentials: Credentials, code: str) -> bool:
        step = step_of(table.totp_secret(credentials), code, time.time(), credentials.totp_step)
        return step is not None and table.take_step(credentials.user_id, step)

    def _takes_recovery_code(self, table: SignInTable, user_id: str, code: str) -> bool:
        digest = self.recovery_digest(user_id, code)
        return digest is not None and table.take_recovery_code(user_id, digest)

    def _end(self, table: SignInTable, token: str) -> None:
        digest = token_digest("session", token, self._pepper)
        session = None if digest is None else table.session(digest)
        if session is not None:
            table.end_session(session.id)

    def _digest(self, token: str) -> bytes:
        digest = token_digest("session", token, self._pepper)
        assert digest is not None  # noqa: S101 - of a token of our own
        return digest


def by_user(user: User, visitor: Visitor) -> Author:
    """Returns a user as the author of an act."""
    return Author(kind="user", id=user.id, name=user.email, address=visitor.address)
