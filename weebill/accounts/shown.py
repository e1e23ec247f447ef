"""API keys as scripts and the management API are shown them."""

from __future__ import annotations

import time
from typing import Literal

from msgspec import structs

from weebill.accounts.api_key import ApiKey, KeyUse
from weebill.accounts.scopes import said_preferences

KeyStatus = Literal["active", "expired", "revoked"]
UNUSED = KeyUse()


def status_of(key: ApiKey) -> KeyStatus:
    """Returns what has become of a key."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= time.time() else "active"


def shown(key: ApiKey, use: KeyUse = UNUSED) -> dict[str, object]:
    """Returns a key with its use, as JSON."""
    usage = structs.asdict(use)
    last_used_at = usage.pop("last_used_at")
    said = {**structs.asdict(key), "preferences": said_preferences(key.preferences)}
    return {**said, "status": status_of(key), "last_used_at": last_used_at, "usage": usage}
