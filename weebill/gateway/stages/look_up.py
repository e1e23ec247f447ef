"""Look up: answers from the cache, if caching is asked for and the same request was answered before."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial

from weebill.apis.base import Api
from weebill.cache.answers import BYPASS, UPSTREAM, AnswerCache, Lookup
from weebill.gateway.authentication import Caller
from weebill.gateway.off_loop import off_loop
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.selection import Selector
from weebill.gateway.stages.chain import Stage
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import JSON
from weebill.wire.call import Call
from weebill.wire.errors import ApiError


class LookUp:
    """The stage that reads and fills the cache of answers."""

    def __init__(
        self,
        recorder: Recorder,
        upstreams: Upstreams,
        selector: Selector,
        cache: AnswerCache,
        next_stage: Stage[Api, Call],
    ) -> None:
        self._recorder = recorder
        self._upstreams = upstreams
        self._selector = selector
        self._cache = cache
        self._next = next_stage

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        call = request.call
        if not self._cache.settings.enabled and "cache" not in call.fields:
            return self._next(request)
        names = self._resolved_names(request.caller, call)
        if call.big:
            return self._look_up_big(request, names)
        return self._serve(request, self._lookup(request, names))

    async def _look_up_big(self, request: Request[Api, Call], names: str) -> None:
        await self._serve(request, await off_loop(partial(self._lookup, request, names)))

    def _lookup(self, request: Request[Api, Call], names: str) -> Lookup:
        call = request.call
        control = request.exchange.header(b"cache-control")
        return self._cache.lookup(call, request.endpoint, names, request.meter.key_id, control, call.own.provider)

    def _serve(self, request: Request[Api, Call], lookup: Lookup) -> Coroutine[None, None, None]:
        """Answers from the cache if `lookup` finds something."""
        if not lookup.header:
            return self._next(request)
        if self._selector.compares(self._upstreams.directory.resolve_pattern(request.call.model)):
            # Answers that are compared in an experiment are made anew each time.
            request.exchange.add_headers(BYPASS)
            return self._next(request)
        return self._serve_looked_up(request, lookup)

    def _resolved_names(self, caller: Caller, call: Call) -> str:
        """Returns the deployments behind the request's names. They are part of the cache key, so a reload or a
        promotion makes it another request. Answers that a project's own keys have paid for are its own.
        """
        routers, project_id = self._upstreams.routers, caller.key.project_id
        whose = (f"\0{project_id}",) if routers.has_own(project_id) else ()
        names = (*whose, call.model, *call.own.models)
        try:
            route = self._upstreams.router_of(caller).directory.route(call.model, call.own.models)
        except ApiError:  # routing raises the same error later
            return "\n".join(names)
        deployments = (each.deployment.key for each in route.candidates)
        return "\n".join((*names, *deployments, *self._selector.promotions))

    async def _serve_looked_up(self, request: Request[Api, Call], lookup: Lookup) -> None:
        exchange, meter, call = request.exchange, request.meter, request.call
        known = await lookup.find()
        exchange.add_headers(lookup.header)
        if known is not None:
            meter.upstream, meter.model_served = UPSTREAM, known.model
            meter.used = known
            self._recorder.settle(meter, 200, "ok")
            exchange.respond(200, request.endpoint.stream_headers(call) if call.stream else JSON, known.data)
            return
        exchange.tap = lookup.add
        await self._next(request)
        # An answer after failed attempts is not cached: the deployment that stood in should not do so as long as the
        # cache lasts.
        if meter.outcome == "ok" and not meter.attempts:
            lookup.keep(meter.used.usage, meter.model_served)
