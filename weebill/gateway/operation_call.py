"""One call of an upstream for an endpoint other than generation: embeddings, reranking, images, sound, moderation."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import structs
from msgspec.json import encode

from weebill.gateway.bounds import BIG
from weebill.gateway.meter import Spending, Used
from weebill.gateway.off_loop import off_loop_if
from weebill.gateway.opened import CompleteResponse, OpenedResponse, read_beginning
from weebill.gateway.own_fields import with_own_fields
from weebill.gateway.upstream_call import UpstreamCall
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import JSON, Answer, UpstreamRequest
from weebill.providers.naming import named
from weebill.providers.operations import operation, unsupported
from weebill.providers.operations.base import Operation, OperationTranslator
from weebill.providers.usage import Estimate
from weebill.routing.deployments import Upstream
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.exchange import Exchange
from weebill.wire.failure import UpstreamFailure
from weebill.wire.operation_call import OperationCall

_SILENT: Final = frozenset({"embeddings", "rerank", "moderations"})
"""The endpoints whose answers have no tokens."""
_ANY_TYPE: Final = b"application/octet-stream"


class OperationUpstreamCall(UpstreamCall[OpenedResponse]):
    """A `call` of an `endpoint`. Raises ApiError if the deployment's dialect has no such endpoint."""

    def __init__(
        self,
        upstreams: Upstreams,
        exchange: Exchange,
        endpoint: Operation,
        call: OperationCall,
        step: Try,
        spending: Spending,
    ) -> None:
        super().__init__(upstreams, exchange, step, spending, big=call.big, whole=not call.stream)
        deployment = step.deployment
        translate = operation(endpoint.name, deployment.dialect, deployment.catalog)
        if translate is None:
            raise unsupported(endpoint.name, deployment.dialect)
        self.translate: OperationTranslator = translate
        self.endpoint = endpoint
        self.call = call
        self.writes = endpoint.name not in _SILENT

    def encode(self, upstream: Upstream) -> UpstreamRequest:
        deployment = self.step.deployment
        request = self.translate.encode(self.call, deployment.target)
        return with_own_fields(request, self.call, deployment, self.upstreams.directory)

    def expected_usage(self, request: UpstreamRequest) -> tuple[Used, int]:
        return Estimate(self.call), self.call.prompt_bytes()

    async def read(self, upstream: Upstream, response: Response, request: UpstreamRequest) -> OpenedResponse:
        call, translate, spending = self.call, self.translate, self.spending
        content_type = response.header(b"content-type") or _ANY_TYPE
        if translate.streams(call, content_type):
            stream = translate.stream(call, content_type)
            return await read_beginning(
                upstream, response, stream, spending, self.upstreams.answers, events=stream.events
            )
        body = response.body or await self.upstreams.whole(response)
        spending.first_byte_at = time.monotonic()
        name = b"" if self.upstreams.names_served else encode(call.model)
        decode = partial(translate.decode, call, body, content_type)
        answer = await off_loop_if(len(body) >= BIG, partial(in_clients_format, self.endpoint, decode, name))
        self.upstreams.bodies.note(len(body))
        spending.used = answer
        return CompleteResponse(upstream, response, answer)

    def failure(self, upstream: Upstream, status: int, body: bytes, retry_after: float | None) -> UpstreamFailure:
        return self.translate.error(self.call, status, body, retry_after, upstream.name)


def in_clients_format(endpoint: Operation, decode: Callable[[], Answer], name: bytes) -> Answer:
    """Returns a decoded answer in the endpoint's format, with `name` as its model."""
    answer = decode()
    if answer.headers == JSON:
        answer = structs.replace(answer, body=endpoint.rendered(named(answer.body, name)))
    return answer
