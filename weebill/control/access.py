"""Access to the management API, for holders of a key, which must be sent as a bearer token, and who has signed in.

An admin key may do everything; a key that a service account holds may do what the service account's role allows in its
project. People may do what their roles allow; a change by one of them has to come from a page of this installation.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from weebill.accounts.api_key import ApiKey
from weebill.accounts.audit import Author
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.known_key import KnownKey, not_admitted
from weebill.accounts.permissions import PERMISSIONS, Actor, Permission, Target, acting, may, sees
from weebill.control.permits import PERMITS
from weebill.control.refusals import answering
from weebill.control.sign_in.guard import Guard
from weebill.storage.database import Database
from weebill.storage.targets import LEADING, role_of_account, targets_of, unknown
from weebill.wire.errors import ApiError

_SCHEME = "bearer"
_BELONGING: Final = "organization.read"
_HELD: Final = frozenset({"key_id", "limit_id", "subject"})  # ids of what somebody may hold


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
    key = (await _known(keys, token, peer)).key
    if key.role != "admin":
        raise _admin_required(key)
    return key


class Access:
    """Checks each request to a route of `PERMITS`, and tells its handler who asks (`Asking`)."""

    def __init__(self, keys: KeyDirectory, ledger: Database, guard: Guard) -> None:
        self._keys = keys
        self._guard = guard
        self._ledger = ledger

    async def check(self, request: Request) -> None:
        """Raises ApiError 401, 403, or 404 for what the caller may not know of; and LedgerUnavailable."""
        authorization = request.headers.get("authorization")
        token = bearer_token(authorization)
        by_session = authorization is None and self._guard.site(request).cookie()
        found = self._guard.actor(request) if by_session else self._actor(token, peer_of(request.headers))
        actor = request.state.actor = await found
        if not actor.installation:
            await run_in_threadpool(check, self._ledger, actor, permission_of(request), request.path_params)

    async def _actor(self, token: bytes, peer: str) -> Actor:
        """Returns who asks with a key. Raises ApiError 401 or 403, and LedgerUnavailable."""
        known = await _known(self._keys, token, peer)
        author = Author(kind="key", id=known.key.id, name=known.key.name, address=peer)
        if known.key.role == "admin":
            return Actor(author=author, installation=True)
        actor = await run_in_threadpool(self._with_roles, known, author)
        if not actor.roles:
            raise _admin_required(known.key)
        return actor

    def _with_roles(self, known: KnownKey, author: Author) -> Actor:
        account = known.key.service_account_id
        # Such a key is given to somebody for calls of some models.
        is_limited = bool(known.key.models or known.key.endpoints or known.key.local_only)
        if account is None or is_limited:
            return Actor(author=author)
        with answering():
            found = self._ledger.read(lambda connection: role_of_account(connection, account))
        if found is None:
            return Actor(author=author)
        organisation_id, project_id, role = found
        return Actor(author=author, roles={organisation_id: role}, project_id=project_id)


def permission_of(request: Request) -> Permission:
    """Returns the permission that the route of a request needs."""
    return PERMITS[request.scope["route"].named]


def check(ledger: Database, actor: Actor, permission: Permission, ids: Mapping[str, str]) -> None:
    """Checks a permission for what ids lead to, which the handler narrows if there are only lists.

    Something of several organisations may be read with the permission in one of them, and changed with it in all.
    Raises ApiError 403, and 404 for what the actor may not know of; LedgerUnavailable.
    """
    if actor.installation:
        return
    grant = PERMISSIONS[permission]
    if not any(grant):  # admin keys alone have it
        raise denied(permission)
    leading = {name: id_ for name, id_ in ids.items() if name in LEADING}
    if not leading:
        if permission == _BELONGING and actor.user_id is not None:
            return  # also who belongs to none may list them
        if any(role in grant.roles | grant.own for role in actor.roles.values()):
            return
        raise denied(permission)
    actor = acting(actor, permission)
    with answering():
        targets = ledger.read(lambda connection: targets_of(connection, leading))
        # Admin keys, and providers' keys of the installation, are nobody's but the installation's.
        if not any(sees(actor, target) for target in targets):
            raise unknown(leading)
    if not _HELD & leading.keys():
        # A list has the actor's own alone, if no more is allowed.
        targets = [target._replace(user_id=actor.user_id) for target in targets]
    enough = any if permission.endswith(".read") else all
    if not enough(may(actor, permission, target) for target in targets):
        raise denied(permission)


def require(actor: Actor, permission: Permission, target: Target) -> None:
    """Raises ApiError 403 unless the actor has the permission for the target."""
    if not may(actor, permission, target):
        raise denied(permission)


def denied(permission: Permission) -> ApiError:
    """Returns the error for an actor who lacks a permission."""
    return ApiError(403, f"This needs the permission {permission}, which your role lacks.", code="permission_denied")


def _asking(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


Asking = Annotated[Actor, Depends(_asking)]


async def _known(keys: KeyDirectory, token: bytes, peer: str) -> KnownKey:
    """Returns the key with this secret, which may be used. Raises ApiError 401 or 403, and LedgerUnavailable."""
    if not token:
        raise ApiError(401, "Send an admin key as `Authorization: Bearer sk-wb-...`.", code="missing_api_key")
    known = await keys.find(token)
    if known is None:
        raise ApiError(401, "The API key is unknown or revoked.", code="invalid_api_key")
    ended = known.ended(time.time())
    if ended:
        raise ApiError(401, ended, code="invalid_api_key")
    if not known.admits(peer):
        raise ApiError(403, not_admitted(known.key, peer), code="network_not_allowed")
    return known


def _admin_required(key: ApiKey) -> ApiError:
    message = f"The key {key.name!r} has the role {key.role}; this needs an admin key."
    return ApiError(403, message, code="admin_required")
