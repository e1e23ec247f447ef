"""Load: answers a request that says nothing, and only wants a model loaded or let go.

A model of this machine is loaded, if it is not yet. How long it stays, and all else about a provider's models, is up to
the settings of whoever serves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final

from weebill.apis.base import Api, LoadsModels, Wordless
from weebill.gateway.attempting import dropped_line
from weebill.gateway.failures import model_unavailable
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.stages.chain import Stage
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import JSON
from weebill.routing.deployments import LOCAL, Deployment, Upstream
from weebill.wire.call import Call

_DROPPED: Final = ("keep_alive",)


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
        if wordless.loads and deployment.provider == LOCAL:
            await self._warm(_upstream(deployment))
        if "keep_alive" in call.fields:
            meter.dropped = _DROPPED
        self._recorder.settle(meter, 200, "ok")
        request.exchange.respond(200, JSON + dropped_line(meter.dropped) if meter.dropped else JSON, wordless.body)

    async def _warm(self, upstream: Upstream) -> None:
        """Waits until the model is loaded, and counts it as used. Raises ApiError 503 if that fails or takes long."""
        warming = self._upstreams.warming
        warming.begin(upstream.engine)
        try:
            if upstream.cold:
                async with asyncio.timeout(upstream.timeouts.first_byte):
                    await warming.warm(upstream)
        except TimeoutError:
            raise model_unavailable(upstream.engine) from None
        finally:
            warming.end(upstream.engine)


def _upstream(deployment: Deployment) -> Upstream:
    if deployment.upstream is None:
        raise model_unavailable(deployment.model)
    return deployment.upstream
