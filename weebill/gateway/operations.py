"""A request to an endpoint other than generation: embeddings, reranking, images, sound, moderation."""

from __future__ import annotations

import time
from typing import Final

from weebill.gateway.failures import retry_after_seconds, upstream_failure
from weebill.gateway.meter import Meter, nothing_used
from weebill.gateway.metered import MAX_ANSWER_BYTES, MAX_ERROR_BYTES, Metered
from weebill.ledger.records import Outcome
from weebill.providers.operations import operation, unsupported
from weebill.providers.operations.base import Operation, OperationStream, OperationTranslator
from weebill.providers.usage import estimate
from weebill.routing.deployments import Upstream
from weebill.transport.client import Response
from weebill.transport.errors import PoolFull, UpstreamConnectError, UpstreamError
from weebill.transport.exchange import Exchange
from weebill.wire import sse
from weebill.wire.errors import ApiError
from weebill.wire.operations import OperationCall

_ANY_TYPE: Final = b"application/octet-stream"


class Operations(Metered[Operation]):
    """Serves these endpoints of one worker."""

    async def _answer(self, exchange: Exchange, endpoint: Operation, tail: str, meter: Meter) -> None:
        call = endpoint.decode_request(await exchange.body(), exchange.header(b"content-type") or b"")
        meter.model_asked = call.model
        meter.stream = call.stream
        deployment = self._upstreams.directory.resolve(call.model)
        meter.model_served = deployment.model
        meter.upstream = deployment.provider
        meter.price = deployment.price
        translate = operation(endpoint.name, deployment.dialect, deployment.provider)
        if translate is None:
            raise unsupported(endpoint.name, deployment.dialect)
        upstream = self._upstreams.enter(deployment)
        response: Response | None = None
        try:
            request = translate.encode(call, deployment.target)
            meter.blame = "upstream_error"
            meter.usage = lambda: estimate(call)
            response = await self._upstreams.send(exchange, upstream, request)
            if response.status != 200:
                raise await _upstream_error(call, response, translate, upstream, meter)
            content_type = response.header(b"content-type") or _ANY_TYPE
            if translate.streams(call, content_type):
                await self._relay(exchange, response, translate.stream(call, content_type), upstream, meter)
                return
            body = await response.read(MAX_ANSWER_BYTES)
            meter.first_byte_at = time.monotonic()
            answer = translate.decode(call, body, content_type)
            meter.usage = lambda: answer.usage
            self._recorder.settle(meter, 200, "ok")
            exchange.respond(200, answer.headers, answer.body)
        except UpstreamError as failure:
            if isinstance(failure, UpstreamConnectError | PoolFull):
                meter.usage = nothing_used
            error, meter.blame = upstream_failure(failure, upstream.name)
            raise error from failure
        finally:
            self._upstreams.leave(upstream, response)

    def _error_body(self, endpoint: Operation, error: ApiError) -> bytes:
        return error.body()

    async def _relay(
        self, exchange: Exchange, response: Response, stream: OperationStream, upstream: Upstream, meter: Meter
    ) -> None:
        """Pass an answer on piece by piece. Raises ApiError only while nothing has been sent."""
        meter.usage = lambda: stream.usage
        try:
            async for data in response.chunks():
                self._write(exchange, stream, stream.feed(data), meter)
                await exchange.drain()
                if stream.error is not None:
                    raise stream.error
            self._write(exchange, stream, stream.finish(), meter)
        except (ApiError, UpstreamError) as failure:
            if not meter.first_byte_at:
                raise
            self._break_off(exchange, stream, failure, upstream, meter)
            return
        if not meter.first_byte_at:
            meter.first_byte_at = time.monotonic()
            exchange.start(200, stream.headers)
        self._recorder.settle(meter, 200, "ok")
        exchange.finish()

    def _write(self, exchange: Exchange, stream: OperationStream, data: bytes, meter: Meter) -> None:
        if data:
            if not meter.first_byte_at:
                meter.first_byte_at = time.monotonic()
                exchange.start(200, stream.headers)
            exchange.write(data)

    def _break_off(
        self,
        exchange: Exchange,
        stream: OperationStream,
        failure: ApiError | UpstreamError,
        upstream: Upstream,
        meter: Meter,
    ) -> None:
        """End what has begun so that it does not look complete."""
        outcome: Outcome = "upstream_error"
        if isinstance(failure, UpstreamError):
            failure, outcome = upstream_failure(failure, upstream.name)
        self._recorder.settle_unheard(meter, failure.status, outcome)
        if stream.events:
            exchange.write(sse.error_event(failure))
            exchange.finish()
        else:
            exchange.abort()


async def _upstream_error(
    call: OperationCall, response: Response, translate: OperationTranslator, upstream: Upstream, meter: Meter
) -> ApiError:
    """What an answer with another status than 200 means for the client."""
    meter.usage = nothing_used
    body = await response.read(MAX_ERROR_BYTES)
    if 400 <= response.status < 500:
        meter.blame = "rejected"
    retry_after = retry_after_seconds(response)
    return translate.error(call, response.status, body, retry_after, upstream.name)
