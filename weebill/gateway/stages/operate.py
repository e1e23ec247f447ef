"""Operate: answers a request to an endpoint other than generation."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import cast

from weebill.gateway.answering import Answering
from weebill.gateway.attempting import first_answered
from weebill.gateway.bounds import read_call
from weebill.gateway.meter import Spending
from weebill.gateway.opened import CompleteResponse, OpenedResponse
from weebill.gateway.operation_parts import open_operation
from weebill.gateway.request import Request
from weebill.gateway.stages.routed import routed
from weebill.gateway.upstreams import Upstreams
from weebill.providers.operations.base import Operation, OperationStream
from weebill.routing.steps import Try
from weebill.wire import sse
from weebill.wire.operation_call import OperationCall
from weebill.wire.operations_form import is_form


class Operate:
    """The last stage of such a request."""

    def __init__(self, upstreams: Upstreams, answering: Answering) -> None:
        self._upstreams = upstreams
        self._answering = answering

    async def __call__(self, request: Request[Operation, OperationCall]) -> None:
        """Raises ApiError if there is no answer."""
        exchange, endpoint, meter = request.exchange, request.endpoint, request.meter
        body = await exchange.body()
        content_type = exchange.header(b"content-type") or b""
        decode = partial(_decoded, endpoint, content_type)
        call = await read_call(body, decode, self._upstreams.limits, is_json=not is_form(content_type))
        meter.stream = call.stream
        attempts = routed(self._upstreams.router_of(request.caller), request, call)
        await self._upstreams.limiter.admit(request, call)
        opening = partial(_open, self._upstreams, request)
        opened = await first_answered(attempts, exchange, meter, opening, self._upstreams.limited_log)
        try:
            if isinstance(opened, CompleteResponse):
                await self._answering.complete(request, opened.answer, attempts)
                return
            stream = cast("OperationStream", opened.stream)  # translators of operations give no other
            fail = sse.error_event if stream.events else None
            await self._answering.streamed(request, opened, attempts, stream.headers, fail, events=stream.events)
        finally:
            self._upstreams.leave(opened.upstream, opened.response)


def _decoded(endpoint: Operation, content_type: bytes, body: bytes) -> OperationCall:
    return endpoint.decode_request(body, content_type)


def _open(
    upstreams: Upstreams, request: Request[Operation, OperationCall], step: Try, spending: Spending
) -> Coroutine[None, None, OpenedResponse]:
    return open_operation(upstreams, request.exchange, request.endpoint, request.call, step, spending)
