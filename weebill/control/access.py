"""Restricts the management API to holders of an admin key, which must be sent as a bearer token.

There are no cookies, so a page of another site has nothing to abuse in a visitor's browser.
"""

from __future__ import annotations

from weebill.accounts.api_key import ApiKey
from weebill.accounts.keyring import KeyDirectory
from weebill.wire.errors import ApiError

_SCHEME = "bearer"


def bearer_token(authorization: str | None) -> bytes:
    """Returns the token of an Authorization header, empty if it has none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip().encode("latin-1", errors="replace") if scheme.lower() == _SCHEME else b""


async def require_admin(keys: KeyDirectory, token: bytes) -> ApiKey:
    """Returns the admin key with this secret. Raises ApiError 401 or 403, and LedgerUnavailable."""
    if not token:
        raise ApiError(401, "Send an admin key as `Authorization: Bearer sk-wb-...`.", code="missing_api_key")
    key = await keys.find(token)
    if key is None:
        raise ApiError(401, "The API key is unknown or revoked.", code="invalid_api_key")
    if key.role != "admin":
        raise ApiError(
            403, f"The key {key.name!r} has the role {key.role}; this needs an admin key.", code="admin_required"
        )
    return key
