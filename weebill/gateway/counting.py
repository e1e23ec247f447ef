"""Counting a prompt's tokens, for the APIs that have an endpoint for it.

Anthropic counts for its own models; for all others it is an estimate, which asks no upstream.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from weebill.apis.anthropic import count as anthropic_count
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.gemini import count as gemini_count
from weebill.apis.gemini.api import GEMINI
from weebill.cache.control import take_control
from weebill.gateway.attempting import deadline_of, first_answered
from weebill.gateway.bounds import read_call
from weebill.gateway.failures import retry_after_seconds, upstream_said
from weebill.gateway.meter import NOTHING, Meter, Spending
from weebill.gateway.metered import ERROR_PATIENCE_S, JSON, MAX_ERROR_BYTES, Metered
from weebill.gateway.off_loop import off_loop_if
from weebill.gateway.translation import translator
from weebill.providers.anthropic.relay import count_tokens_request
from weebill.providers.base import Target, UpstreamRequest
from weebill.routing.foreign import held_to
from weebill.routing.router import Asked
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class CountEndpoint:
    """An API's way to count: how its request is read (body, own headers, the path's tail) and its answer written.

    `request` is what asks a target of the dialect `native` to count; its answer is the client's.
    """

    name: str
    api: Api
    decode: Callable[[bytes, Headers, str], Call]
    estimate: Callable[[Call], int]
    answer: Callable[[int], bytes]
    native: str = ""
    request: Callable[[Call, Target], UpstreamRequest] | None = None


ANTHROPIC_COUNT: Final = CountEndpoint(
    "messages.count_tokens",
    ANTHROPIC,
    lambda body, headers, tail: anthropic_count.decode_count(body, headers),
    anthropic_count.estimate,
    anthropic_count.count_answer,
    "anthropic",
    count_tokens_request,
)
GEMINI_COUNT: Final = CountEndpoint(
    "countTokens",
    GEMINI,
    lambda body, headers, tail: gemini_count.decode_count(body, tail),
    gemini_count.estimate,
    gemini_count.count_answer,
)


class Counting(Metered[CountEndpoint]):
    """Serves these endpoints of one worker."""

    async def _answer(self, exchange: Exchange, endpoint: CountEndpoint, tail: str, meter: Meter) -> None:
        own = endpoint.api.headers
        headers = {name: value for name, value in exchange.headers if name in own}
        body = await exchange.body()
        decode = partial(_decoded, endpoint, headers, tail)
        call = await read_call(body, decode, self._upstreams.limits)
        meter.model_asked = call.model
        take_control(call.fields, None)  # nothing is cached here, and no provider is shown the wish
        router = self._upstreams.router
        asked = Asked(call, meter.key_id, meter.key_name)
        attempts = router.route(asked, time.monotonic(), deadline_of(exchange, meter, router.deadline_s))
        call = held_to(call, attempts.wanted)

        async def open_leg(step: Try, spending: Spending) -> bytes:
            deployment = step.deployment
            if endpoint.request is None or deployment.dialect != endpoint.native:
                spending.upstream = ""
                estimate = partial(endpoint.estimate, call)
                return endpoint.answer(await off_loop_if(call.big, estimate))
            write = partial(endpoint.request, call, deployment.target)
            request = await off_loop_if(call.big, write)
            return await self._asked(exchange, endpoint, call, step, request, spending)

        body = await first_answered(attempts, exchange, meter, open_leg)
        if meter.sent:
            attempts.succeeded(time.monotonic())
        else:  # an estimate says nothing of a deployment that was not asked
            attempts.cancelled()
        self._recorder.settle(meter, 200, "ok")
        exchange.respond(200, JSON + meter.route, body)

    async def _asked(
        self,
        exchange: Exchange,
        endpoint: CountEndpoint,
        call: Call,
        step: Try,
        request: UpstreamRequest,
        spending: Spending,
    ) -> bytes:
        """The upstream's own count. Raises one of `FAILED`."""
        upstream = self._upstreams.enter(step.deployment)
        response: Response | None = None
        try:
            spending.ask(NOTHING, 0)
            response = await self._upstreams.send(exchange, upstream, request, step, whole=False)
            spending.status = response.status
            if response.status == 200:
                return await response.read(MAX_ERROR_BYTES)
            body = await response.read_some(MAX_ERROR_BYTES, ERROR_PATIENCE_S)
            translate = translator(endpoint.api, step.deployment.dialect, upstream.dialects)
            failed = translate.error(call, response.status, body, retry_after_seconds(response), upstream.name)
            raise upstream_said(failed, body, upstream, step.credential, request.path)
        finally:
            self._upstreams.leave(upstream, response)

    def _error_body(self, endpoint: CountEndpoint, error: ApiError) -> bytes:
        return endpoint.api.error_body(error)


def _decoded(endpoint: CountEndpoint, headers: Headers, tail: str, body: bytes) -> Call:
    return endpoint.decode(body, headers, tail)
