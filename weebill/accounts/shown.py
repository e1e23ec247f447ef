"""API keys as scripts and the management API are shown them."""

from __future__ import annotations

import time
from typing import Literal

import msgspec
from msgspec import structs

from weebill.accounts.api_key import ApiKey, KeyRole, KeyUse
from weebill.accounts.scopes import said_preferences

KeyStatus = Literal["active", "expired", "revoked"]
UNUSED = KeyUse()


class KeyTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The sums over a key's requests; cost is in nano-dollars, without requests whose price is not known."""

    requests: int
    failures: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nano: int
    unpriced: int


class KeyShown(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. Times are Unix seconds; scopes that are empty limit nothing."""

    id: str
    name: str
    role: KeyRole
    hint: str
    status: KeyStatus
    project_id: str
    user_id: str | None
    service_account_id: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    previous_until: int | None
    networks: tuple[str, ...]
    models: tuple[str, ...]
    endpoints: tuple[str, ...]
    local_only: bool
    preferences: dict[str, object]
    last_used_at: int | None
    usage: KeyTotals


def status_of(key: ApiKey) -> KeyStatus:
    """Returns what has become of a key."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= time.time() else "active"


def shown(key: ApiKey, use: KeyUse = UNUSED) -> KeyShown:
    """Returns a key with its use, as JSON."""
    usage = structs.asdict(use)
    last_used_at = usage.pop("last_used_at")
    said = {**structs.asdict(key), "preferences": said_preferences(key.preferences)}
    return KeyShown(**said, status=status_of(key), last_used_at=last_used_at, usage=KeyTotals(**usage))
