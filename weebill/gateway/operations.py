"""A request to an endpoint other than generation: embeddings, reranking, images, sound, moderation."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec import structs
from msgspec.json import encode

from weebill.cache.control import take_control
from weebill.gateway.attempting import deadline_of, first_answered, tell
from weebill.gateway.bounds import BIG, read_call
from weebill.gateway.failures import FAILED, client_error, retry_after_seconds, upstream_failure, upstream_said
from weebill.gateway.legs import passed_on
from weebill.gateway.meter import NOTHING, Meter, Spending
from weebill.gateway.metered import ERROR_PATIENCE_S, JSON, MAX_ERROR_BYTES, Metered
from weebill.gateway.off_loop import off_loop_if
from weebill.gateway.own_fields import with_own_fields
from weebill.providers.naming import named
from weebill.providers.operations import operation, unsupported
from weebill.providers.operations.base import Operation, OperationAnswer, OperationStream, OperationTranslator
from weebill.providers.upstream_request import UpstreamRequest
from weebill.providers.usage import Estimate
from weebill.routing.attempts import Attempts
from weebill.routing.deployments import Deployment, Upstream
from weebill.routing.directory import Directory
from weebill.routing.foreign import held_to
from weebill.routing.router import Asked
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.errors import UpstreamError, unsent
from weebill.transport.exchange import Exchange
from weebill.usage.records import Outcome
from weebill.wire import sse
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.operation_call import OperationCall
from weebill.wire.operations_form import is_form

_ANY_TYPE: Final = b"application/octet-stream"


@dataclass(slots=True)
class _Whole:
    """A complete answer."""

    upstream: Upstream
    response: Response
    answer: OperationAnswer


@dataclass(slots=True)
class _Begun:
    """A stream that has begun: `held` is the first for the client, `chunks` the rest; None if it is over."""

    upstream: Upstream
    response: Response
    stream: OperationStream
    held: bytes
    chunks: AsyncIterator[bytes] | None = None


Leg = _Whole | _Begun


class Operations(Metered[Operation]):
    """Serves these endpoints of one worker."""

    async def _answer(self, exchange: Exchange, endpoint: Operation, tail: str, meter: Meter) -> None:
        body = await exchange.body()
        content_type = exchange.header(b"content-type") or b""
        decode = partial(_decoded, endpoint, content_type)
        call = await read_call(body, decode, self._upstreams.limits, is_json=not is_form(content_type))
        meter.model_asked = call.model
        meter.stream = call.stream
        take_control(call.fields, None)  # nothing is cached here, and no provider is shown the wish
        router = self._upstreams.router
        asked = Asked(call, meter.key_id, meter.key_name)
        attempts = router.route(asked, time.monotonic(), deadline_of(exchange, meter, router.deadline_s))
        call = held_to(call, attempts.wanted)

        leg: Leg = await first_answered(attempts, exchange, meter, partial(self._open, exchange, endpoint, call))
        try:
            if isinstance(leg, _Begun):
                await self._relay(exchange, leg, attempts, meter)
                return
            answer = leg.answer
            attempts.succeeded(time.monotonic())
            tell(attempts, exchange, meter, meter.upstream)
            self._recorder.settle(meter, 200, "ok")
            exchange.respond(200, answer.headers + meter.route, answer.body)
            if len(answer.body) >= BIG:
                await exchange.drain()  # it takes memory until the client has it
        finally:
            self._upstreams.leave(leg.upstream, leg.response)

    async def _open(
        self, exchange: Exchange, endpoint: Operation, call: OperationCall, step: Try, spending: Spending
    ) -> Leg:
        """Call an upstream until it has answered, or a stream has begun to. Raises one of FAILED."""
        deployment = step.deployment
        translate = operation(endpoint.name, deployment.dialect, deployment.catalog)
        if translate is None:
            raise unsupported(endpoint.name, deployment.dialect)
        upstream = self._upstreams.enter(deployment)
        response: Response | None = None
        try:
            request = await off_loop_if(
                call.big, partial(_encoded, translate, call, deployment, self._upstreams.directory)
            )
            spending.dropped = request.dropped
            spending.ask(Estimate(call), call.prompt_bytes())
            response = await self._upstreams.send(exchange, upstream, request, step, whole=not call.stream)
            spending.status = response.status
            if response.status != 200:
                raise await _upstream_error(call, response, translate, upstream, step, request.path, spending)
            content_type = response.header(b"content-type") or _ANY_TYPE
            if translate.streams(call, content_type):
                return await _begun(upstream, response, translate.stream(call, content_type), spending)
            body = response.body or await self._upstreams.whole(response)
            spending.first_byte_at = time.monotonic()
            name = b"" if self._upstreams.names_served else encode(call.model)
            read = partial(_decoded_answer, endpoint, translate, call, body, content_type, name)
            answer = await off_loop_if(len(body) >= BIG, read)
            self._upstreams.bodies.note(len(body))
            spending.used = answer
            return _Whole(upstream, response, answer)
        except BaseException as failure:
            if response is None and unsent(failure):
                spending.used = NOTHING
            self._upstreams.leave(upstream, response)
            raise

    def _error_body(self, endpoint: Operation, error: ApiError) -> bytes:
        return endpoint.error_body(error)

    async def _relay(self, exchange: Exchange, leg: _Begun, attempts: Attempts, meter: Meter) -> None:
        """Pass an answer on piece by piece."""
        stream = leg.stream
        attempts.answering()
        exchange.start(200, stream.headers + meter.route)
        tally = meter.tally()
        exchange.write(leg.held)
        exchange.tally = tally
        try:
            await exchange.drain()
            if leg.chunks is not None:
                await passed_on(exchange, leg.response, stream, leg.chunks, events=stream.events)
                exchange.write(stream.finish())
                leg.response.release()
            attempts.succeeded(time.monotonic())
        except FAILED as failure:
            self._break_off(exchange, stream, failure, attempts, meter)
            return
        except BaseException:
            attempts.cancelled()
            raise
        tell(attempts, exchange, meter, meter.upstream)
        self._recorder.settle(meter, 200, "ok")
        exchange.finish()

    def _break_off(
        self,
        exchange: Exchange,
        stream: OperationStream,
        failure: ApiError | UpstreamFailure | UpstreamError,
        attempts: Attempts,
        meter: Meter,
    ) -> None:
        """End what has begun so that it does not look complete."""
        outcome: Outcome = "upstream_error"
        if isinstance(failure, UpstreamError):
            failure, outcome = upstream_failure(failure, meter.upstream)
        attempts.broke_off(failure, time.monotonic())
        tell(attempts, exchange, meter, "none")
        error = client_error(failure)
        self._recorder.settle_unheard(meter, error.status, outcome)
        if stream.events:
            exchange.write(sse.error_event(error))
            exchange.finish()
        else:
            exchange.abort()


def _decoded(endpoint: Operation, content_type: bytes, body: bytes) -> OperationCall:
    return endpoint.decode_request(body, content_type)


def _encoded(
    translate: OperationTranslator, call: OperationCall, deployment: Deployment, directory: Directory
) -> UpstreamRequest:
    return with_own_fields(translate.encode(call, deployment.target), call, deployment, directory)


def _decoded_answer(
    endpoint: Operation,
    translate: OperationTranslator,
    call: OperationCall,
    body: bytes,
    content_type: bytes,
    name: bytes,
) -> OperationAnswer:
    """An answer in the endpoint's format, that calls its model `name`."""
    answer = translate.decode(call, body, content_type)
    if answer.headers == JSON:
        answer = structs.replace(answer, body=endpoint.rendered(named(answer.body, name)))
    return answer


async def _begun(upstream: Upstream, response: Response, stream: OperationStream, spending: Spending) -> _Begun:
    """A stream up to the first that is for the client. Raises one of FAILED."""
    spending.used = stream
    chunks = response.chunks()
    async for data in chunks:
        held = stream.feed(data)
        if stream.error is not None:
            raise stream.error
        if held:
            spending.first_byte_at = time.monotonic()
            return _Begun(upstream, response, stream, held, chunks)
    held = stream.finish()
    spending.first_byte_at = time.monotonic()
    return _Begun(upstream, response, stream, held)


async def _upstream_error(
    call: OperationCall,
    response: Response,
    translate: OperationTranslator,
    upstream: Upstream,
    step: Try,
    path: bytes,
    spending: Spending,
) -> UpstreamFailure:
    """Reads an answer with another status than 200."""
    spending.used = NOTHING
    # What it says may break off; that it refuses has been said by then.
    body = await response.read_some(MAX_ERROR_BYTES, ERROR_PATIENCE_S)
    if 400 <= response.status < 500:
        spending.blame = "rejected"
    failed = translate.error(call, response.status, body, retry_after_seconds(response), upstream.name)
    return upstream_said(failed, body, upstream, step.credential, path)
