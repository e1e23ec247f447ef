"""The keys of providers that are given through the API: for the whole installation, or for a project of its own.

Their secrets are kept sealed. Workers are told them by the ledger process, and hold them in memory.
"""

from __future__ import annotations

import secrets
from typing import Final, Literal

import msgspec

from weebill.config.ledger_errors import LedgerError
from weebill.config.secrets import MAX_SECRET_BYTES, REFERENCES

TOPIC: Final = "provider_keys"
"""Followers are sent `KeptKeys`; a question is a `KeyNews`, the answer None."""
MOST_OF_ONE: Final = 8
"""The most keys of a provider for one project, or for the installation."""
MOST: Final = 10_000
"""The most keys in all."""
ID_PREFIX: Final = "pkey_"
_LEAST_SECRET: Final = 8
_MOST_SECRET: Final = 4096
_MOST_SAID: Final = 300
_HINTED: Final = 4
_FILE: Final = ".json"


class BadProviderKeyError(LedgerError):
    """A provider's key cannot be kept as asked; `param` is the field at fault."""

    def __init__(self, message: str, param: str = "key") -> None:
        super().__init__(message)
        self.param = param


class UnknownProviderKeyError(LedgerError):
    """No provider's key has this id."""

    @classmethod
    def of(cls, id_: str) -> UnknownProviderKeyError:
        """Returns the error for an id."""
        return cls(f"There is no provider's key with the id {id_!r}; list them to see their ids.")


KeyStatus = Literal["active", "refused", "disabled"]


class ProviderKey(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's key without its secret. Times are Unix seconds.

    It is of the installation if `project_id` is None. `hint` is the part that is shown, `created_by` who gave it. One
    that is `disabled_at` a time is not used. If the provider refuses it, `refused_at` and `refusal` say since when and
    why. With `fallback`, its project's requests go on with the installation's keys where they fail with this one.
    """

    id: str
    provider: str
    project_id: str | None
    hint: str
    created_at: int
    created_by: str
    fallback: bool = False
    disabled_at: int | None = None
    last_used_at: int | None = None
    refused_at: int | None = None
    refusal: str = ""

    @property
    def status(self) -> KeyStatus:
        """Its state."""
        if self.disabled_at is not None:
            return "disabled"
        return "active" if self.refused_at is None else "refused"


class KeptKey(msgspec.Struct, frozen=True, array_like=True):
    """A provider's key as workers use it."""

    id: str
    provider: str
    project_id: str | None
    secret: str
    fallback: bool = False

    def __repr__(self) -> str:
        # Without the secret, as values end up in logs and tracebacks.
        return f"KeptKey({self.id})"


class KeptKeys(msgspec.Struct, frozen=True):
    """All keys that are in use, in the ledger `source` at a version, oldest first."""

    source: str
    version: int
    keys: tuple[KeptKey, ...]


class KeyNews(msgspec.Struct, frozen=True):
    """A worker's report of keys, by their ids: when each was used last in Unix seconds, and why each is refused.

    `accepted` are those that are not refused any more.
    """

    used: dict[str, int] = {}
    refused: dict[str, str] = {}
    accepted: tuple[str, ...] = ()


def new_key(
    provider: str, project_id: str | None, secret: str, created_by: str, now: float, *, fallback: bool = False
) -> ProviderKey:
    """Returns a key that is not kept yet. Raises BadProviderKeyError for a text that is no key."""
    check_secret(secret)
    if fallback and project_id is None:
        raise BadProviderKeyError("Only a project's own key can fall back on the installation's.", "fallback")
    return ProviderKey(
        id=ID_PREFIX + secrets.token_hex(8),
        provider=provider,
        project_id=project_id,
        hint=f"...{secret[-_HINTED:]}" if len(secret) >= _HINTED * 4 else "...",
        created_at=int(now),
        created_by=created_by,
        fallback=fallback,
    )


def check_secret(secret: str) -> None:
    """Raises BadProviderKeyError for a text that is no key; the message never quotes it."""
    if not _LEAST_SECRET <= len(secret) <= min(_MOST_SECRET, MAX_SECRET_BYTES):
        raise BadProviderKeyError(f"A provider's key has {_LEAST_SECRET} to {_MOST_SECRET} characters.")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise BadProviderKeyError("A provider's key is printable ASCII without spaces.")
    if secret.startswith(REFERENCES) or secret.endswith(_FILE):
        raise BadProviderKeyError("Give the key itself: variables and files are for the configuration alone.")


def said(reason: str) -> str:
    """Returns a provider's reason for a refusal, as long as it is kept."""
    return reason[:_MOST_SAID]
