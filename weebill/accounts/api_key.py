"""An API key as a value, and the messages about keys between processes."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from weebill.accounts.tenants import DEFAULT_ORGANISATION, DEFAULT_PROJECT
from weebill.config.routing import Preferences
from weebill.limits.limit import Limit

KeyRole = Literal["user", "admin"]

KEY_PREFIX: Final = "sk-wb-"
MAX_KEY_BYTES: Final = 128
TOPIC: Final = "keys"
"""A question about a key is a secret's digest; the answer is a `FoundKey`, or None."""

_PREFIX: Final = KEY_PREFIX.encode()


class KeyScopes(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a key, and its preferences; what is empty limits nothing.

    `expires_at` is Unix seconds. `networks` are those that it may be used from, as CIDR. `models` are names that
    requests may ask for, in which `*` is any text; `endpoints` are named as in usage records. Requests of a key that is
    `local_only` stay on this machine. `preferences` are for requests that do not say otherwise.
    """

    expires_at: int | None = None
    networks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    local_only: bool = False
    preferences: Preferences = Preferences()


class ApiKey(KeyScopes, frozen=True, kw_only=True):
    """An API key without its secret. Times are Unix seconds; `hint` is the part shown in lists.

    The secret that it had before its last rotation is valid until `previous_until`, None if it had none. It belongs to
    a project; a user or a service account may hold it.
    """

    id: str
    name: str
    role: KeyRole
    hint: str
    created_at: int
    revoked_at: int | None = None
    previous_until: int | None = None
    project_id: str = DEFAULT_PROJECT
    user_id: str | None = None
    service_account_id: str | None = None


class FoundKey(msgspec.Struct, frozen=True):
    """The key with a secret, which may be used; `until` is the end of the secret itself, if it was replaced.

    `organisation_id` is that of the key's project, `limits` are those that its requests are held to.
    """

    key: ApiKey
    until: int | None = None
    organisation_id: str = DEFAULT_ORGANISATION
    limits: tuple[Limit, ...] = ()


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """The use of a key so far; the sums are those of `weebill.usage.totals.UsageTotal`.

    `last_used_at` is the beginning of its latest request in Unix seconds, None if it is not known.
    """

    last_used_at: int | None = None
    requests: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_nano: int = 0
    unpriced: int = 0


class KeyChanges(msgspec.Struct, frozen=True):
    """The changes to keys in the ledger `source`, up to a version.

    `changed` has the ids of keys that were created or changed, or let in or shut out with their project, organisation
    or holder, each with the digests of its present secrets; None if any key may have changed.
    """

    source: str
    version: int
    changed: dict[str, list[bytes]] | None = None


def may_be_key(token: bytes) -> bool:
    """True if a text has the form of a key."""
    return token.startswith(_PREFIX) and len(token) <= MAX_KEY_BYTES
