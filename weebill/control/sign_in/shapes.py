"""The answers about signing in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import structs

from weebill.accounts.people import SignUp, manages_installation
from weebill.accounts.sessions import Session
from weebill.accounts.sign_in import Present
from weebill.accounts.tenants import Role


class SessionShown(Session, frozen=True, kw_only=True, tag_field="object", tag="session"):
    """A session. Times are Unix seconds; `seen_at` is at most a minute behind."""


class OwnSession(Session, frozen=True, kw_only=True, tag_field="object", tag="session"):
    """One of the own sessions; with `current`, it is the one that asks."""

    current: bool


class SessionEnded(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="session"):
    """A session that was ended."""

    id: str
    ended: Literal[True] = True


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """The person who has signed in."""

    id: str
    email: str
    name: str


class PresentShown(msgspec.Struct, frozen=True, kw_only=True):
    """The person who has signed in, with roles by organisation; who `manages` the installation may do everything."""

    user: Person
    session: SessionShown
    roles: Mapping[str, Role]
    manages: bool


class SignInState(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="session"):
    """The person who has signed in, null for nobody; who can sign up; the name of the OpenID provider, "" for none."""

    signed_in: PresentShown | None
    sign_up: SignUp
    openid: str


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """The person who has signed in; null for who has joined, and has to sign in yet."""

    signed_in: PresentShown | None


class SignedOut(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody is signed in any more."""

    signed_in: None = None


class SignedOutEverywhere(SignedOut, frozen=True, kw_only=True):
    """Nobody is signed in any more; `ended` is the number of sessions."""

    ended: int


class Mailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="mail"):
    """A mail is written, if the address can have one."""

    sent: Literal[True] = True


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """It is as was asked."""

    changed: Literal[True] = True


class CodesBegun(msgspec.Struct, frozen=True, kw_only=True):
    """The secret of one-time codes, and the address that authenticators read."""

    secret: str
    url: str


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Codes that work once each in place of one-time codes; they are shown only now."""

    recovery_codes: list[str]


def shown(present: Present) -> PresentShown:
    """Returns who has signed in."""
    user = present.user
    return PresentShown(
        user=Person(id=user.id, email=user.email, name=user.name),
        session=SessionShown(**structs.asdict(present.session)),
        roles=present.roles,
        manages=manages_installation(present.roles),
    )


def shown_session(session: Session, present: Present) -> OwnSession:
    """Returns one of the sessions of who has signed in."""
    return OwnSession(**structs.asdict(session), current=session.id == present.session.id)
