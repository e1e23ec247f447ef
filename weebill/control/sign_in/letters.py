"""The texts of mails."""

from __future__ import annotations

from typing import Final, Literal

from weebill.accounts.people import Issued
from weebill.accounts.sessions import Purpose
from weebill.storage.mails import Mail

Change = Literal["password", "codes_begun", "codes_ended", "identity"]

_PATHS: Final[dict[Purpose, str]] = {
    "link": "/",
    "invitation": "/join",
    "confirmation": "/join",
    "reset": "/reset",
}
_SUBJECTS: Final[dict[Purpose, str]] = {
    "link": "Sign in to Weebill",
    "invitation": "You are invited to Weebill",
    "confirmation": "Confirm your address for Weebill",
    "reset": "A new password for Weebill",
}
_TEXTS: Final[dict[Purpose, str]] = {
    "link": "This link signs you in, once, within half an hour:",
    "invitation": "Somebody who manages Weebill at {origin} invites you. This link accepts it, within seven days:",
    "confirmation": (
        "Somebody, hopefully you, wants to sign up at {origin} with this address. This link confirms it, within a day:"
    ),
    "reset": (
        "Somebody, hopefully you, has asked for a new password at {origin}. "
        "This link sets one, once, within half an hour:"
    ),
}
_CHANGES: Final[dict[Change, str]] = {
    "password": "Your password was set.",
    "codes_begun": "One-time codes are asked for from now on when you sign in.",
    "codes_ended": "One-time codes are not asked for any more when you sign in.",
    "identity": "{provider} signs you in from now on, as it has verified this address.",
}
_OTHERWISE: Final = "If you expected nothing of the kind, ignore this mail: nothing changes."


def link_of(origin: str, purpose: Purpose, token: str) -> str:
    """Returns the address by which a one-time token is used."""
    return f"{origin}{_PATHS[purpose]}?token={token}"


def letter(origin: str, issued: Issued) -> Mail:
    """Returns the mail with a token."""
    purpose = issued.ticket.purpose
    text = _TEXTS[purpose].format(origin=origin)
    body = f"{text}\n\n{link_of(origin, purpose, issued.token)}\n\n{_OTHERWISE}\n"
    return Mail(issued.ticket.email, _SUBJECTS[purpose], body)


def has_user_letter(origin: str, email: str) -> Mail:
    """Returns the mail to somebody who wants to sign up, but has done so already."""
    text = (
        f"Somebody, hopefully you, wants to sign up at {origin} with this address, which has a user already.\n\n"
        f"Sign in at {origin}/sign-in, or set a new password at {origin}/reset.\n\n{_OTHERWISE}\n"
    )
    return Mail(email, _SUBJECTS["confirmation"], text)


def change_letter(origin: str, email: str, change: Change, address: str, provider: str = "") -> Mail:
    """Returns the mail about a change of the ways to sign in; the request for it came from `address`, "" if unknown."""
    changed = _CHANGES[change].format(provider=provider)
    where = f" The request came from {address}." if address else ""
    text = (
        f"{changed}{where}\n\n"
        f"If that was not you, set another password at {origin}/reset, which ends all sessions, and tell those who "
        f"manage Weebill at {origin}.\n"
    )
    return Mail(email, "Your sign-in to Weebill was changed", text)
