"""An API key, as a value, and what processes tell each other of keys."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

KeyRole = Literal["user", "admin"]

KEY_PREFIX: Final = "sk-wb-"
MAX_KEY_BYTES: Final = 128
TOPIC: Final = "keys"
"""Who is asked about a key gets its digest, and gives the active `ApiKey` or None."""

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
    """What is new among the keys of the ledger `source`, up to a version.

    `changed` are the digests of keys that were made or revoked; None where any may have been.
    """

    source: str
    version: int
    changed: list[bytes] | None = None


def may_be_key(token: bytes) -> bool:
    """Tells whether a text may be that of a key."""
    return token.startswith(_PREFIX) and len(token) <= MAX_KEY_BYTES
