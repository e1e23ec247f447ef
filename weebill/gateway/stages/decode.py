"""Decode: the request of an API that generates, read and checked. What is large is read off the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from weebill.apis.base import Api
from weebill.gateway.bounds import BIG, bounded, check_fields
from weebill.gateway.off_loop import off_loop
from weebill.gateway.request import Request
from weebill.gateway.stages.chain import Following
from weebill.gateway.upstreams import Upstreams
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.surrogates import mended

_NO_HEADERS: Final[dict[bytes, bytes]] = {}


class Decode:
    """The stage that knows what is asked. Raises ApiError 400 that names the field."""

    def __init__(self, upstreams: Upstreams, following: Following[Api, Call]) -> None:
        self._upstreams = upstreams
        self._following = following

    async def __call__(self, request: Request[Api, Call]) -> None:
        exchange, endpoint, meter = request.exchange, request.endpoint, request.meter
        headers = _own_headers(exchange, endpoint) if endpoint.headers else _NO_HEADERS
        body = exchange.received
        if body is None:
            body = await exchange.body()
        limits = self._upstreams.limits
        if len(body) < BIG:  # as `read_call`, but for the costs of another coroutine
            call = endpoint.decode(mended(body), headers, request.tail)
            if len(call.fields) > limits.fields:
                check_fields(call.fields, limits)
        else:
            call = await off_loop(partial(bounded, body, partial(_decoded, endpoint, headers, request.tail), limits))
        if self._upstreams.names_served:
            call.as_served = True
        meter.model_asked = call.model
        meter.stream = call.stream
        request.call = call
        await self._following(request)


def _decoded(endpoint: Api, headers: Mapping[bytes, bytes], tail: str, body: bytes) -> Call:
    return endpoint.decode(mended(body), headers, tail)


def _own_headers(exchange: Exchange, api: Api) -> dict[bytes, bytes]:
    """The client's headers that belong to the API's requests."""
    return {name: value for name, value in exchange.headers if name in api.headers}
