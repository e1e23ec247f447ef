"""Admit: whether there is room for a request, for as long as it takes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Generic

from weebill.gateway.memory import Bodies
from weebill.gateway.request import C, E, Request
from weebill.gateway.stages.chain import Following


class Admit(Generic[E, C]):
    """The stage that bounds the memory of requests under way: each key's, and all together."""

    def __init__(self, bodies: Bodies, following: Following[E, C]) -> None:
        self._bodies = bodies
        self._following = following

    def __call__(self, request: Request[E, C]) -> Coroutine[None, None, None]:
        """Reading the body of what is admitted raises ApiError 429 or 503 once there is no more room for it."""
        if request.exchange.arrived:  # with its head, and so small
            return self._following(request)
        return self._leased(request)

    async def _leased(self, request: Request[E, C]) -> None:
        lease = self._bodies.lease(request.caller.key.id)
        request.exchange.claim = lease.add
        try:
            await self._following(request)
        finally:
            lease.end()
