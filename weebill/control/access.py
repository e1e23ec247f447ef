"""Restricts the management API to holders of an admin key, which must be sent as a bearer token.

There are no cookies, so a page of another site has nothing to abuse in a visitor's browser.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from weebill.accounts.api_key import ApiKey
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.known_key import not_admitted
from weebill.wire.errors import ApiError

_SCHEME = "bearer"


def bearer_token(authorization: str | None) -> bytes:
    """Returns the token of an Authorization header, empty if it has none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip().encode("latin-1", errors="replace") if scheme.lower() == _SCHEME else b""


def peer_of(headers: Mapping[str, str]) -> str:
    """Returns the client's address, which the worker sets that passes the request on; "" if there is none."""
    return headers.get("x-forwarded-for", "")


async def require_admin(keys: KeyDirectory, token: bytes, peer: str) -> ApiKey:
    """Returns the admin key with this secret, which may be used from the client's address.

    Raises ApiError 401 or 403, and LedgerUnavailable.
    """
    if not token:
        raise ApiError(401, "Send an admin key as `Authorization: Bearer sk-wb-...`.", code="missing_api_key")
    known = await keys.find(token)
    if known is None:
        raise ApiError(401, "The API key is unknown or revoked.", code="invalid_api_key")
    key, ended = known.key, known.ended(time.time())
    if ended:
        raise ApiError(401, ended, code="invalid_api_key")
    if not known.admits(peer):
        raise ApiError(403, not_admitted(key, peer), code="network_not_allowed")
    if key.role != "admin":
        raise ApiError(
            403, f"The key {key.name!r} has the role {key.role}; this needs an admin key.", code="admin_required"
        )
    return key
