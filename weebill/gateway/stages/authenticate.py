"""Authenticate: identifies the caller by its API key, which may be used at the request's endpoint and from its address.

Other requests leave no usage record.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Generic

from weebill.gateway.authentication import Authenticator
from weebill.gateway.permits import require_endpoint
from weebill.gateway.request import C, E, Request
from weebill.gateway.stages.chain import Stage
from weebill.wire.errors import ApiError


class Authenticate(Generic[E, C]):
    """The first stage."""

    def __init__(self, authenticator: Authenticator, next_stage: Stage[E, C]) -> None:
        self._authenticator = authenticator
        self._next = next_stage

    def __call__(self, request: Request[E, C]) -> Coroutine[None, None, None]:
        """Raises ApiError 401 or 403."""
        caller = self._authenticator.known(request.exchange)
        if caller is None:
            return self._ask(request)
        if caller.limits is not None:
            require_endpoint(caller, request.endpoint.name)
        request.caller = caller
        return self._next(request)

    async def _ask(self, request: Request[E, C]) -> None:
        """Serves a request whose key is not known yet."""
        try:
            caller = request.caller = await self._authenticator.caller(request.exchange)
            require_endpoint(caller, request.endpoint.name)
            answering = self._next(request)
        except ApiError as error:
            request.refuse(error)
            return
        await answering
