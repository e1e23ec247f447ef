"""Count: the tokens of a prompt, for the APIs that have an endpoint for it.

Anthropic counts for its own models. For all others the count is an estimate, and no upstream is called.
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
from weebill.gateway.attempting import first_answered
from weebill.gateway.bounds import read_call
from weebill.gateway.meter import NOTHING, Spending, Used
from weebill.gateway.off_loop import off_loop_if
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.stages.decode import own_headers
from weebill.gateway.stages.routed import routed
from weebill.gateway.translation import translator
from weebill.gateway.upstream_call import UpstreamCall
from weebill.gateway.upstreams import MAX_ERROR_BYTES, Upstreams
from weebill.providers.anthropic.relay import count_tokens_request
from weebill.providers.base import JSON, Target, UpstreamRequest
from weebill.routing.deployments import Upstream
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure

Headers = Mapping[bytes, bytes]
Write = Callable[[Call, Target], UpstreamRequest]


@dataclass(frozen=True, slots=True)
class CountEndpoint:
    """An API's endpoint for counting. `decode` reads a request (body, API headers, tail of the path), `answer` writes
    the count. `request` writes the request for an upstream of the dialect `native`, whose answer is passed on.
    """

    name: str
    api: Api
    decode: Callable[[bytes, Headers, str], Call]
    estimate: Callable[[Call], int]
    answer: Callable[[int], bytes]
    native: str = ""
    request: Write | None = None

    def error_body(self, error: ApiError) -> bytes:
        """Returns the error in the API's format."""
        return self.api.error_body(error)


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


class Count:
    """The last stage of a request to count tokens."""

    def __init__(self, recorder: Recorder, upstreams: Upstreams) -> None:
        self._recorder = recorder
        self._upstreams = upstreams

    async def __call__(self, request: Request[CountEndpoint, Call]) -> None:
        """Raises ApiError if there is no answer."""
        exchange, endpoint, meter = request.exchange, request.endpoint, request.meter
        decode = partial(_decoded, endpoint, own_headers(exchange, endpoint.api), request.tail)
        call = await read_call(await exchange.body(), decode, self._upstreams.limits)
        attempts = routed(self._upstreams.router_of(request.caller), request, call)
        await self._upstreams.limiter.admit(request, call)
        counting = partial(_count, self._upstreams, request)
        body = await first_answered(attempts, exchange, meter, counting, self._upstreams.limited_log)
        if meter.sent:
            attempts.succeeded(time.monotonic())
        else:  # an estimate says nothing about a deployment that was not called
            attempts.cancelled()
        self._recorder.settle(meter, 200, "ok")
        exchange.respond(200, JSON + meter.route, body)


class CountCall(UpstreamCall[bytes]):
    """The call of an upstream that counts tokens itself."""

    paid = False

    def __init__(
        self, upstreams: Upstreams, request: Request[CountEndpoint, Call], write: Write, step: Try, spending: Spending
    ) -> None:
        super().__init__(upstreams, request.exchange, step, spending, big=request.call.big, whole=False)
        self.endpoint = request.endpoint
        self.call = request.call
        self.write = write

    def encode(self, upstream: Upstream) -> UpstreamRequest:
        return self.write(self.call, self.step.deployment.target)

    def expected_usage(self, request: UpstreamRequest) -> tuple[Used, int]:
        return NOTHING, 0

    async def read(self, upstream: Upstream, response: Response, request: UpstreamRequest) -> bytes:
        body = await response.read(MAX_ERROR_BYTES)
        self.upstreams.leave(upstream, response)
        return body

    def failure(self, upstream: Upstream, status: int, body: bytes, retry_after: float | None) -> UpstreamFailure:
        translate = translator(self.endpoint.api, self.step.deployment.dialect, upstream.dialects)
        return translate.error(self.call, status, body, retry_after, upstream.name)


async def _count(upstreams: Upstreams, request: Request[CountEndpoint, Call], step: Try, spending: Spending) -> bytes:
    """Returns the upstream's count, or an estimate, in the client's format. Raises one of `failures.FAILED`."""
    endpoint, call = request.endpoint, request.call
    if endpoint.request is None or step.deployment.dialect != endpoint.native:
        spending.upstream = ""
        return endpoint.answer(await off_loop_if(call.big, partial(endpoint.estimate, call)))
    return await CountCall(upstreams, request, endpoint.request, step, spending).open()


def _decoded(endpoint: CountEndpoint, headers: Headers, tail: str, body: bytes) -> Call:
    return endpoint.decode(body, headers, tail)
