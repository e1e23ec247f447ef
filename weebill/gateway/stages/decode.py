"""Decode: reads and checks the body of a request to an API that generates; large bodies off the event loop.

The models that it names must be permitted to the key. Its metadata may rate an earlier answer.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Final

from weebill.apis.base import Api
from weebill.gateway.bounds import BIG, check_fields, read_call
from weebill.gateway.feedback import Ratings
from weebill.gateway.labels import labels_of
from weebill.gateway.permits import require_models
from weebill.gateway.request import Request
from weebill.gateway.stages.chain import Stage
from weebill.gateway.upstreams import Upstreams
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.surrogates import mended

_NO_HEADERS: Final[dict[bytes, bytes]] = {}


class Decode:
    """The stage that decodes the body. Raises ApiError 400 or 403 with the name of the field."""

    def __init__(self, upstreams: Upstreams, ratings: Ratings, next_stage: Stage[Api, Call]) -> None:
        self._upstreams = upstreams
        self._ratings = ratings
        self._next = next_stage

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        body = request.exchange.received
        if body is None or len(body) >= BIG:
            return self._once_read(request)
        endpoint = request.endpoint
        headers = own_headers(request.exchange, endpoint) if endpoint.headers else _NO_HEADERS
        call = endpoint.decode(mended(body), headers, request.tail)
        limits = self._upstreams.limits
        if len(call.fields) > limits.fields:
            check_fields(call.fields, limits)
        return self._go_on(request, call)

    async def _once_read(self, request: Request[Api, Call]) -> None:
        """Decodes a body that has yet to arrive, or that is large."""
        headers = own_headers(request.exchange, request.endpoint)
        decode = partial(_decoded, request.endpoint, headers, request.tail)
        call = await read_call(await request.exchange.body(), decode, self._upstreams.limits)
        await self._go_on(request, call)

    def _go_on(self, request: Request[Api, Call], call: Call) -> Coroutine[None, None, None]:
        if self._upstreams.names_served:
            call.as_served = True
        request.meter.model_asked = call.model
        request.meter.stream = call.stream
        request.call = call
        if request.caller.limits is not None:
            require_models(request.caller, call, self._upstreams.router_of(request.caller).directory)
        fields = call.fields
        if "metadata" in fields:
            self._ratings.note(fields["metadata"], request.meter.key_id)
            request.meter.labels = labels_of(fields)
        elif "user" in fields or "safety_identifier" in fields:
            request.meter.labels = labels_of(fields)
        return self._next(request)


def _decoded(endpoint: Api, headers: Mapping[bytes, bytes], tail: str, body: bytes) -> Call:
    return endpoint.decode(mended(body), headers, tail)


def own_headers(exchange: Exchange, api: Api) -> dict[bytes, bytes]:
    """Returns the client's headers that are part of the API."""
    return {name: value for name, value in exchange.headers if name in api.headers}
