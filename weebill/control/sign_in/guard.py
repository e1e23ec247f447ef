"""Finds who sends a request with a session's cookie."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import HTTPConnection

from weebill.accounts.people import manages_installation
from weebill.accounts.permissions import Actor
from weebill.accounts.sign_in import Present, SignIns, by_user
from weebill.control.answers import available
from weebill.control.overview import Overview
from weebill.control.sign_in.cookies import SAFE, Site
from weebill.wire.errors import ApiError

_CHANGES: Final = "POST"


class Guard:
    """Checks cookies. Methods raise LedgerUnavailable."""

    def __init__(self, overview: Overview, sign_ins: SignIns) -> None:
        self._overview = overview
        self._sign_ins = sign_ins

    def site(self, request: HTTPConnection) -> Site:
        """Returns the installation as the request addresses it."""
        return Site(request, self._overview.settings.accounts)

    async def present(self, request: HTTPConnection) -> Present | None:
        """Returns who has signed in, None if nobody has."""
        token = self.site(request).cookie()
        if not token:
            return None
        with available():
            idle_s = self._overview.settings.accounts.session_idle_s
            return await asyncio.to_thread(self._sign_ins.present, token, idle_s)

    async def signed_in(self, request: HTTPConnection) -> Present:
        """Returns who has signed in. Raises ApiError 401, and 403 for a change that is of another site's page."""
        present = await self.present(request)
        if present is None:
            raise ApiError(401, "Sign in first.", code="not_signed_in")
        # A WebSocket has no method, and browsers open those of other sites without asking.
        if request.scope.get("method", _CHANGES) not in SAFE:
            self.site(request).require_own(header=request.scope["type"] == "http")
        return present

    async def actor(self, request: HTTPConnection) -> Actor:
        """Returns who acts with a session. Raises ApiError 401, 403."""
        present = await self.signed_in(request)
        return Actor(
            author=by_user(present.user, self.site(request).visitor),
            installation=manages_installation(present.roles),
            roles=present.roles,
            archived=present.archived,
            user_id=present.user.id,
        )
