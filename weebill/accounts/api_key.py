"""An API key, as a value."""

from __future__ import annotations

from typing import Literal

import msgspec

KeyRole = Literal["user", "admin"]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. Times are Unix seconds; `hint` is the part shown in lists."""

    id: str
    name: str
    role: KeyRole
    hint: str
    created_at: int
    revoked_at: int | None = None
