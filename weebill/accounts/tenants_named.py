"""Names, roles and e-mail addresses of tenants, as they are kept. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, cast, get_args

from weebill.accounts.errors import BadFieldError
from weebill.accounts.tenants import Role

_LONGEST_NAME: Final = 100
_IDS: Final = ("org_", "proj_", "user_", "svc_", "key_")
_LONGEST_ADDRESS: Final = 254  # https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3, without the brackets
_LONGEST_LOCAL: Final = 64
_LOCAL: Final = re.compile(r"[^\s@\"(),:;<>\[\\\]]+")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")


def checked_name(name: str) -> str:
    """Returns a name in its normal form. Raises BadFieldError."""
    normal = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(normal) <= _LONGEST_NAME or not normal.isprintable() or normal.startswith(_IDS):
        raise BadFieldError(
            f"{name[:_LONGEST_NAME]!r} cannot be a name: use 1 to {_LONGEST_NAME} printable characters that do not "
            f"begin like an id ({', '.join(_IDS)}).",
            "name",
        )
    return normal


def checked_role(role: str) -> Role:
    """Returns a role. Raises BadFieldError."""
    if role not in get_args(Role):
        raise BadFieldError(f"{role[:40]!r} is no role: use {', '.join(get_args(Role))}.", "role")
    return cast(Role, role)


def role_of_account(role: str) -> Role:
    """Returns a role of a service account, which owns nothing. Raises BadFieldError."""
    if checked_role(role) == "owner":
        raise BadFieldError("A service account cannot be an owner; give it the role admin.", "role")
    return checked_role(role)


def email_of(text: str) -> str:
    """Returns an e-mail address in the form in which one person has one: small letters, the domain as in DNS.

    Raises BadFieldError.
    """
    local, _, domain = unicodedata.normalize("NFKC", text).strip().casefold().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        domain = ""
    address = f"{local}@{domain}"
    well = _LOCAL.fullmatch(local) and local.isprintable() and _DOMAIN.fullmatch(domain)
    if not well or len(address) > _LONGEST_ADDRESS or len(local.encode()) > _LONGEST_LOCAL:
        raise BadFieldError(f"{text[:100]!r} is no e-mail address, such as ada@example.com.", "email")
    return address
