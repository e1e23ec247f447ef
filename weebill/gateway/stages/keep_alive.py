"""Keep alive: sends signs of life in a stream, even before the answer begins."""

from __future__ import annotations

from collections.abc import Coroutine
from math import inf

from weebill.apis.base import Api
from weebill.gateway.answering import Answering
from weebill.gateway.keepalive import KeepAlive, interval_s
from weebill.gateway.request import Request
from weebill.gateway.stages.chain import Stage
from weebill.gateway.upstreams import Upstreams
from weebill.transport.sweeper import Sweeper
from weebill.wire.call import Call
from weebill.wire.errors import ApiError


class KeepingAlive:
    """The stage around all that a stream may wait for."""

    def __init__(self, upstreams: Upstreams, answering: Answering, next_stage: Stage[Api, Call]) -> None:
        self._upstreams = upstreams
        self._answering = answering
        self._next = next_stage
        self._kept: Sweeper[KeepAlive] = Sweeper(interval_s(inf))

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        silence_s = self._upstreams.settings.keepalive_s
        if request.call.stream and silence_s:
            return self._kept_alive(request, silence_s)
        return self._next(request)

    async def _kept_alive(self, request: Request[Api, Call], silence_s: float) -> None:
        exchange, api, call, meter = request.exchange, request.endpoint, request.call, request.meter
        kept = KeepAlive(exchange, api, call, meter, silence_s)
        self._kept.interval = interval_s(silence_s)
        self._kept.add(kept)
        try:
            await self._next(request)
        except ApiError as error:
            if not exchange.responded:
                raise
            await self._answering.broken_off(request, error, meter.blame, api.stream(call).fail)
        finally:
            self._kept.discard(kept)
