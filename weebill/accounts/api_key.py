"""An API key, as a value, and how its text is told from others."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

KeyRole = Literal["user", "admin"]

KEY_PREFIX: Final = "sk-wb-"
MAX_KEY_BYTES: Final = 128


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. Times are Unix seconds; `hint` is the part shown in lists."""

    id: str
    name: str
    role: KeyRole
    hint: str
    created_at: int
    revoked_at: int | None = None
