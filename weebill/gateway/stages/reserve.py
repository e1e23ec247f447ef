"""Reserve: has a request take its part of the limits of its key, if that has any."""

from __future__ import annotations

from collections.abc import Coroutine

from weebill.apis.base import Api
from weebill.gateway.limiter import Limiter
from weebill.gateway.request import Request
from weebill.gateway.stages.chain import Stage
from weebill.wire.call import Call


class Reserve:
    """The stage before anything is looked up or asked. Raises OverLimit, ApiError 503."""

    def __init__(self, limiter: Limiter, next_stage: Stage[Api, Call]) -> None:
        self._limiter = limiter
        self._next = next_stage

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        allowed = request.caller.allowed
        if allowed is None:
            return self._next(request)
        waiting = self._limiter.enter(request, allowed, request.call)
        return self._next(request) if waiting is None else self._later(request, waiting)

    async def _later(self, request: Request[Api, Call], waiting: Coroutine[None, None, None]) -> None:
        await waiting
        await self._next(request)
