"""A request to generate, of whatever API, from its body to its answer."""

from __future__ import annotations

import time
from typing import Final

from weebill.apis.base import Api
from weebill.gateway.authentication import Authenticator
from weebill.gateway.failures import retry_after_seconds, upstream_failure
from weebill.gateway.meter import Meter, nothing_used
from weebill.gateway.metered import JSON, MAX_ANSWER_BYTES, MAX_ERROR_BYTES, Metered, Recorder, Upstreams
from weebill.gateway.responses import ResponseState
from weebill.gateway.translation import KeepsResponse, translator
from weebill.gateway.translation import failure as failure_event
from weebill.ledger.records import Outcome
from weebill.providers.base import Answer, AnswerCollector, ByteStream, Translator
from weebill.providers.usage import estimate
from weebill.routing.deployments import Upstream
from weebill.transport.client import Response
from weebill.transport.errors import PoolFull, UpstreamConnectError, UpstreamError
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

_NO_HEADERS: Final[dict[bytes, bytes]] = {}


class Inference(Metered[Api]):
    """Serves the generation endpoints of one worker; with `state`, those that build on earlier answers."""

    def __init__(
        self,
        authenticator: Authenticator,
        recorder: Recorder,
        upstreams: Upstreams,
        state: ResponseState | None = None,
    ) -> None:
        super().__init__(authenticator, recorder, upstreams)
        self._state = state

    async def _answer(self, exchange: Exchange, endpoint: Api, tail: str, meter: Meter) -> None:
        headers = _own_headers(exchange, endpoint) if endpoint.headers else _NO_HEADERS
        call = endpoint.decode(await exchange.body(), headers, tail)
        meter.model_asked = call.model
        meter.stream = call.stream
        if self._state is not None:
            call = await self._state.prepare(call, meter.key_id)
        deployment = self._upstreams.directory.resolve(call.model)
        meter.model_served = deployment.model
        meter.upstream = deployment.provider
        meter.price = deployment.price
        upstream = self._upstreams.enter(deployment)
        response: Response | None = None
        try:
            translate = translator(endpoint, deployment.dialect, upstream.dialects)
            request = translate.encode(call, deployment.target)
            meter.blame = "upstream_error"
            meter.usage = lambda: estimate(call)
            response = await self._upstreams.send(exchange, upstream, request)
            if response.status != 200:
                raise await _upstream_error(call, response, translate, upstream, meter)
            if call.stream:
                await self._relay(exchange, response, call, endpoint, translate, upstream, meter)
            else:
                collector = translate.collect(call)
                if collector is None:
                    body = await response.read(MAX_ANSWER_BYTES)
                    meter.first_byte_at = time.monotonic()
                    answer = translate.decode(call, body)
                else:
                    answer = await self._collect(response, collector, meter)
                meter.usage = lambda: answer.usage
                if self._state is not None:
                    await self._state.keep(call, meter.key_id, answer.body)
                self._recorder.settle(meter, 200, "ok")
                exchange.respond(200, JSON, answer.body)
        except UpstreamError as failure:
            if isinstance(failure, UpstreamConnectError | PoolFull):
                meter.usage = nothing_used
            error, meter.blame = upstream_failure(failure, upstream.name)
            raise error from failure
        finally:
            self._upstreams.leave(upstream, response)

    def _error_body(self, endpoint: Api, error: ApiError) -> bytes:
        return endpoint.error_body(error)

    async def _collect(self, response: Response, collector: AnswerCollector, meter: Meter) -> Answer:
        """A complete answer out of a stream. Raises ApiError."""
        meter.usage = lambda: collector.usage
        async for data in response.chunks():
            meter.first_byte_at = meter.first_byte_at or time.monotonic()
            collector.feed(data)
            if collector.error is not None:
                raise collector.error
        return collector.finish()

    async def _relay(
        self,
        exchange: Exchange,
        response: Response,
        call: Call,
        api: Api,
        translate: Translator,
        upstream: Upstream,
        meter: Meter,
    ) -> None:
        """A stream, event by event. Raises ApiError only while nothing has been sent."""
        stream = translate.stream(call)
        meter.usage = lambda: stream.usage
        try:
            async for data in response.chunks():
                events = stream.feed(data)
                if events:
                    if not meter.first_byte_at:
                        meter.first_byte_at = time.monotonic()
                        exchange.start(200, api.stream_headers(call))
                    exchange.write(events)
                    await exchange.drain()
                if stream.error is not None:
                    raise stream.error
            end = stream.finish()
            if self._state is not None and isinstance(stream, KeepsResponse):
                await self._state.keep(call, meter.key_id, stream.response)
        except (ApiError, UpstreamError) as failure:
            if not meter.first_byte_at:
                raise
            self._break_off(exchange, failure, api, stream, upstream, meter)
            return
        if not meter.first_byte_at:
            meter.first_byte_at = time.monotonic()
            exchange.start(200, api.stream_headers(call))
        self._end(exchange, end, 200, "ok", api, stream, meter)

    def _break_off(
        self,
        exchange: Exchange,
        failure: ApiError | UpstreamError,
        api: Api,
        stream: ByteStream,
        upstream: Upstream,
        meter: Meter,
    ) -> None:
        """End a stream that has begun with an error event."""
        outcome: Outcome = "upstream_error"
        if isinstance(failure, UpstreamError):
            failure, outcome = upstream_failure(failure, upstream.name)
        self._end(exchange, failure_event(api, stream, failure), failure.status, outcome, api, stream, meter)

    def _end(
        self, exchange: Exchange, end: bytes, status: int, outcome: Outcome, api: Api, stream: ByteStream, meter: Meter
    ) -> None:
        """Record a stream, then end it; one that cannot be recorded does not end cleanly."""
        try:
            self._recorder.settle(meter, status, outcome)
        except ApiError as error:
            end = failure_event(api, stream, error)
        exchange.write(end)
        exchange.finish()


def _own_headers(exchange: Exchange, api: Api) -> dict[bytes, bytes]:
    """The client's headers that belong to the API's requests."""
    return {name: value for name, value in exchange.headers if name in api.headers}


async def _upstream_error(
    call: Call, response: Response, translate: Translator, upstream: Upstream, meter: Meter
) -> ApiError:
    """What an answer with another status than 200 means for the client."""
    meter.usage = nothing_used
    body = await response.read(MAX_ERROR_BYTES)
    if 400 <= response.status < 500:
        meter.blame = "rejected"
    retry_after = retry_after_seconds(response)
    return translate.error(call, response.status, body, retry_after, upstream.name)
