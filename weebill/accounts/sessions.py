"""Sessions of people who have signed in, and one-time tokens. Only keyed hashes of their tokens are kept."""

from __future__ import annotations

import secrets
from typing import Final, Literal, NamedTuple

import msgspec

from weebill.accounts.pepper import key_digest
from weebill.accounts.tenants import Role

Purpose = Literal["link", "invitation", "confirmation", "reset"]
Means = Literal["password", "password and code", "password and recovery code", "link", "openid", "sign-up"]

MOST_SESSIONS: Final = 50
"""Of a user; the one that was not used for longest makes room."""
MOST_TICKETS: Final = 3
"""Of an address for a purpose; the earliest makes room. So a flood of requests leaves few tokens that are valid. Of
invitations to an organisation there is one.
"""
MOST_INVITATIONS: Final = 1000
"""Of an organisation, that are listed."""
SEEN_EVERY_S: Final = 60
TICKET_S: Final[dict[Purpose, int]] = {
    "link": 1800,
    "invitation": 7 * 86_400,
    "confirmation": 86_400,
    "reset": 1800,
}
"""For how long a token is valid."""

_TOKEN_BYTES: Final = 32
_LONGEST_TOKEN: Final = 100
_LONGEST_AGENT: Final = 200
_PLACES: Final = {"session": b"session ", "ticket": b"ticket ", "recovery": b"recovery "}

Kind = Literal["session", "ticket", "recovery"]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session. Times are Unix seconds; `seen_at` is at most a minute behind."""

    id: str
    user_id: str
    means: str
    created_at: int
    seen_at: int
    ends_at: int
    address: str
    agent: str


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """The meaning of a one-time token; an invitation's organisation and role, the user of a link or a reset."""

    purpose: Purpose
    email: str
    created_at: int
    ends_at: int
    user_id: str | None = None
    organisation_id: str | None = None
    role: Role | None = None


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation to an organisation that is still open. Times are Unix seconds; the id is of no use to accept it."""

    id: str
    email: str
    role: Role
    created_at: int
    ends_at: int


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The means by which a user proves who it is.

    `password` is Argon2's text; `totp` is a sealed secret, whose codes are asked for from `totp_since` on.
    """

    user_id: str
    password: str | None = None
    password_set_at: int | None = None
    totp: bytes | None = None
    totp_since: int | None = None
    totp_step: int = 0


class Lifetimes(NamedTuple):
    """The seconds after which a session ends: without use, and at all events."""

    idle_s: float
    longest_s: float


class Visitor(NamedTuple):
    """The place that a request comes from, and its program, as it says."""

    address: str
    agent: str

    @property
    def agent_kept(self) -> str:
        """The program's name as it is kept: short and printable."""
        return "".join(each for each in self.agent if each.isprintable())[:_LONGEST_AGENT]


def new_token() -> str:
    """Returns a token of 256 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_digest(kind: Kind, token: str, pepper: bytes, of: str = "") -> bytes | None:
    """Returns the keyed hash by which a token is found, another one for each kind; None for what cannot be one."""
    if not 0 < len(token) <= _LONGEST_TOKEN or not token.isascii():
        return None
    return key_digest(_PLACES[kind] + of.encode() + token.encode(), pepper)


def invitation_id(digest: bytes) -> str:
    """Returns the id of an invitation by the hash of its token, which is of no use to accept it."""
    return f"inv_{digest[:8].hex()}"


def is_over(session: Session, now: float, idle_s: float) -> bool:
    """True if a session has ended."""
    return now >= session.ends_at or now >= session.seen_at + idle_s
