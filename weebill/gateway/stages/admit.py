"""Admit: bounds the memory that requests under way hold, for each key and in total."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Generic

from weebill.gateway.memory import Bodies
from weebill.gateway.request import C, E, Request
from weebill.gateway.stages.chain import Stage


class Admit(Generic[E, C]):
    """The stage that reserves room for a request's body until the request ends."""

    def __init__(self, bodies: Bodies, next_stage: Stage[E, C]) -> None:
        self._bodies = bodies
        self._next = next_stage

    def __call__(self, request: Request[E, C]) -> Coroutine[None, None, None]:
        """Later reads of the body raise ApiError 429 or 503 when there is no more room for it."""
        if request.exchange.arrived:  # it came with its head, so it is small
            return self._next(request)
        return self._leased(request)

    async def _leased(self, request: Request[E, C]) -> None:
        lease = self._bodies.lease(request.caller.key.id)
        request.exchange.claim = lease.add
        try:
            await self._next(request)
        finally:
            lease.end()
