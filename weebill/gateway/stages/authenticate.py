"""Authenticate: identifies the caller by its API key. A request without a valid key leaves no usage record."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Generic

from weebill.gateway.authentication import Authenticator
from weebill.gateway.request import C, E, Request
from weebill.gateway.stages.chain import Stage
from weebill.wire.errors import ApiError


class Authenticate(Generic[E, C]):
    """The first stage."""

    def __init__(self, authenticator: Authenticator, next_stage: Stage[E, C]) -> None:
        self._authenticator = authenticator
        self._next = next_stage

    def __call__(self, request: Request[E, C]) -> Coroutine[None, None, None]:
        """Raises ApiError 401."""
        caller = self._authenticator.known(request.exchange)
        if caller is None:
            return self._ask(request)
        request.caller = caller
        return self._next(request)

    async def _ask(self, request: Request[E, C]) -> None:
        """Serves a request whose key is not known yet."""
        try:
            request.caller = await self._authenticator.caller(request.exchange)
            answering = self._next(request)
        except ApiError as error:
            request.refuse(error)
            return
        await answering
