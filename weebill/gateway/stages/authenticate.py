"""Authenticate: whose request it is, by its API key. A request without a key leaves no record."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Generic

from weebill.gateway.authentication import Authenticator
from weebill.gateway.request import C, E, Request
from weebill.gateway.stages.chain import Following
from weebill.wire.errors import ApiError


class Authenticate(Generic[E, C]):
    """The stage before all others."""

    def __init__(self, authenticator: Authenticator, following: Following[E, C]) -> None:
        self._authenticator = authenticator
        self._following = following

    def __call__(self, request: Request[E, C]) -> Coroutine[None, None, None]:
        """Raises ApiError 401."""
        caller = self._authenticator.known(request.exchange)
        if caller is None:
            return self._ask(request)
        request.caller = caller
        return self._following(request)

    async def _ask(self, request: Request[E, C]) -> None:
        """The way of a request whose key is not known yet."""
        try:
            request.caller = await self._authenticator.caller(request.exchange)
            following = self._following(request)
        except ApiError as error:
            request.refuse(error)
            return
        await following
