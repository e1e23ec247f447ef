"""Requests whose answer may have been given before."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial

from weebill.apis.base import Api
from weebill.cache.answers import BYPASS, UPSTREAM, AnswerCache, Lookup
from weebill.gateway.authentication import Authenticator
from weebill.gateway.meter import Meter
from weebill.gateway.metered import JSON, Recorder, Upstreams
from weebill.gateway.off_loop import off_loop
from weebill.gateway.responses import ResponseState
from weebill.gateway.selection import Selector
from weebill.gateway.shadows import Shadows
from weebill.gateway.virtual import VirtualInference
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import ApiError


class CachedInference(VirtualInference):
    """`VirtualInference` behind a cache of answers."""

    def __init__(
        self,
        authenticator: Authenticator,
        recorder: Recorder,
        upstreams: Upstreams,
        selector: Selector,
        shadows: Shadows,
        cache: AnswerCache,
        state: ResponseState | None = None,
    ) -> None:
        super().__init__(authenticator, recorder, upstreams, selector, shadows, state)
        self._cache = cache

    def _serve(self, exchange: Exchange, api: Api, call: Call, meter: Meter) -> Coroutine[None, None, None]:
        if not self._cache.settings.enabled and "cache" not in call.fields:
            return super()._serve(exchange, api, call, meter)
        names = self._stands_for(call)
        if call.big:
            return self._look_up_big(exchange, api, call, meter, names)
        return self._serve_by(exchange, api, call, meter, self._lookup(exchange, api, call, meter, names))

    async def _look_up_big(self, exchange: Exchange, api: Api, call: Call, meter: Meter, names: str) -> None:
        lookup = await off_loop(partial(self._lookup, exchange, api, call, meter, names))
        await self._serve_by(exchange, api, call, meter, lookup)

    def _lookup(self, exchange: Exchange, api: Api, call: Call, meter: Meter, names: str) -> Lookup:
        control = exchange.header(b"cache-control")
        return self._cache.lookup(call, api, names, meter.key_id, control, call.own.provider)

    def _serve_by(
        self, exchange: Exchange, api: Api, call: Call, meter: Meter, lookup: Lookup
    ) -> Coroutine[None, None, None]:
        """Answer by what is known of a request."""
        if not lookup.header:
            return super()._serve(exchange, api, call, meter)
        if self._selector.compares(self._upstreams.directory.stands_for(call.model)):
            # What is compared has to be made anew each time.
            exchange.add_headers(BYPASS)
            return super()._serve(exchange, api, call, meter)
        return self._serve_looked_up(exchange, api, call, meter, lookup)

    def _stands_for(self, call: Call) -> str:
        """What the request's names lead to now: when that changes, by a reload or a promotion, so does the question."""
        names = (call.model, *call.own.models)
        try:
            route = self._upstreams.router.directory.route(call.model, call.own.models)
        except ApiError:  # routing says so, too
            return "\n".join(names)
        deployments = (each.deployment.key for each in route.candidates)
        return "\n".join((*names, *deployments, *self._selector.promotions))

    async def _serve_looked_up(self, exchange: Exchange, api: Api, call: Call, meter: Meter, lookup: Lookup) -> None:
        known = await lookup.find()
        exchange.add_headers(lookup.header)
        if known is not None:
            meter.upstream, meter.model_served = UPSTREAM, known.model
            meter.used = known
            self._recorder.settle(meter, 200, "ok")
            exchange.respond(200, api.stream_headers(call) if call.stream else JSON, known.data)
            return
        exchange.tap = lookup.add
        await super()._serve(exchange, api, call, meter)
        # Who stood in for another once shall not do so for as long as the cache remembers.
        if meter.outcome == "ok" and not meter.attempts:
            lookup.keep(meter.used.usage, meter.model_served)
