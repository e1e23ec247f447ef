"""Load: answers a request that says nothing, and only wants a model loaded or let go.

A model of this machine is loaded, if it is not yet, and kept as long as the request says. All about a provider's models
is up to the settings of whoever serves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final

from weebill.apis.base import Api, LoadsModels, Wordless
from weebill.gateway.attempting import dropped_line
from weebill.gateway.failures import model_unavailable, overloaded
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.stages.chain import Stage
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import JSON
from weebill.routing.deployments import LOCAL, Deployment, Upstream
from weebill.wire.call import Call
from weebill.wire.keep_alive import KEEP_ALIVE, keep_alive_of

_DROPPED: Final = (KEEP_ALIVE,)


class Load:
    """The stage for an API with such requests. Raises ApiError 404 for an unknown model, 503 for one that is down."""

    def __init__(self, recorder: Recorder, upstreams: Upstreams, next_stage: Stage[Api, Call]) -> None:
        self._recorder = recorder
        self._upstreams = upstreams
        self._next = next_stage

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        api = request.endpoint
        wordless = api.without_words(request.call) if isinstance(api, LoadsModels) else None
        return self._next(request) if wordless is None else self._answer(request, wordless)

    async def _answer(self, request: Request[Api, Call], wordless: Wordless) -> None:
        call, meter = request.call, request.meter
        deployment = self._upstreams.directory.route(call.model, call.own.models).first
        if deployment.provider == LOCAL and (wordless.loads or deployment.upstream is not None):
            await self._warm(request, _upstream(deployment), loads=wordless.loads)
        elif deployment.provider != LOCAL and KEEP_ALIVE in call.fields:
            meter.dropped = _DROPPED
        self._recorder.settle(meter, 200, "ok")
        request.exchange.respond(200, JSON + dropped_line(meter.dropped) if meter.dropped else JSON, wordless.body)

    async def _warm(self, request: Request[Api, Call], upstream: Upstream, *, loads: bool) -> None:
        """Notes how long the model is to be kept, and waits until it is loaded, if it is to be.

        Raises ApiError 503 if that fails or takes long, or if as many wait as may: no slots are held.
        """
        warming = self._upstreams.warming
        if loads and upstream.cold and warming.waiting(upstream.engine) >= upstream.max_in_flight:
            raise overloaded(upstream.engine)
        self._upstreams.keep(request.exchange, upstream, keep_alive_of(request.call.fields))
        warming.begin(upstream.engine)
        try:
            if loads and upstream.cold:
                async with asyncio.timeout(upstream.timeouts.first_byte):
                    await warming.warm(upstream)
        except TimeoutError:
            raise model_unavailable(upstream.engine) from None
        finally:
            warming.end(upstream.engine)
            self._upstreams.rest(request.exchange, upstream)


def _upstream(deployment: Deployment) -> Upstream:
    if deployment.upstream is None:
        raise model_unavailable(deployment.model)
    return deployment.upstream
