"""Load: answers a request that says nothing, and only wants a model loaded or let go.

Whoever serves a model keeps it in memory or not by settings of its own, so all that is done is to tell if there is one
of that name.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Final

from weebill.apis.base import Api, LoadsModels
from weebill.gateway.attempting import dropped_line
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.stages.chain import Stage
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import JSON
from weebill.wire.call import Call

_DROPPED: Final = ("keep_alive",)


class Load:
    """The stage for an API with such requests. Raises ApiError 404 for an unknown model."""

    def __init__(self, recorder: Recorder, upstreams: Upstreams, next_stage: Stage[Api, Call]) -> None:
        self._recorder = recorder
        self._upstreams = upstreams
        self._next = next_stage

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        api = request.endpoint
        body = api.without_words(request.call) if isinstance(api, LoadsModels) else None
        return self._next(request) if body is None else self._answer(request, body)

    async def _answer(self, request: Request[Api, Call], body: bytes) -> None:
        call, meter = request.call, request.meter
        self._upstreams.directory.route(call.model, call.own.models)
        if "keep_alive" in call.fields:
            meter.dropped = _DROPPED
        self._recorder.settle(meter, 200, "ok")
        request.exchange.respond(200, JSON + dropped_line(meter.dropped) if meter.dropped else JSON, body)
