"""An API key as a value, and the messages about keys between processes."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

KeyRole = Literal["user", "admin"]

KEY_PREFIX: Final = "sk-wb-"
MAX_KEY_BYTES: Final = 128
TOPIC: Final = "keys"
"""A question about a key is its digest; the answer is the active `ApiKey` or None."""

_PREFIX: Final = KEY_PREFIX.encode()


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. Times are Unix seconds; `hint` is the part shown in lists."""

    id: str
    name: str
    role: KeyRole
    hint: str
    created_at: int
    revoked_at: int | None = None


class KeyChanges(msgspec.Struct, frozen=True):
    """The changes to keys in the ledger `source`, up to a version.

    `changed` has the digests of keys that were created or revoked; None if any key may have changed.
    """

    source: str
    version: int
    changed: list[bytes] | None = None


def may_be_key(token: bytes) -> bool:
    """True if a text has the form of a key."""
    return token.startswith(_PREFIX) and len(token) <= MAX_KEY_BYTES
