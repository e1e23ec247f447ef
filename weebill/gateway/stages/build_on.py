"""Build on: puts the earlier conversation before a request of the Responses API, and has its answer stored."""

from __future__ import annotations

from weebill.apis.base import Api
from weebill.gateway.request import Request
from weebill.gateway.responses import ResponseState
from weebill.gateway.stages.chain import Stage
from weebill.wire.call import Call


class BuildOn:
    """The stage for an API with state. Raises ApiError 404 if the earlier response is not stored."""

    def __init__(self, state: ResponseState, next_stage: Stage[Api, Call]) -> None:
        self._state = state
        self._next = next_stage

    async def __call__(self, request: Request[Api, Call]) -> None:
        request.call = await self._state.prepare(request.call, request.meter.key_id)
        request.state = self._state
        await self._next(request)
