"""A call for embeddings of many texts, of which an upstream is asked for a part at a time.

Each part takes its place among the upstream's calls anew, so others have their turn in between. If the client leaves,
the upstream is asked for no more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from msgspec.json import encode

from weebill.gateway.bounds import BIG
from weebill.gateway.meter import Spending, Used
from weebill.gateway.off_loop import off_loop_if
from weebill.gateway.opened import CompleteResponse, OpenedResponse
from weebill.gateway.operation_call import OperationUpstreamCall, in_clients_format
from weebill.gateway.own_fields import with_own_fields
from weebill.gateway.upstream_call import UpstreamCall
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import UpstreamRequest
from weebill.providers.operations.base import Operation
from weebill.providers.operations.parts import InParts, Vectors
from weebill.providers.usage import Estimate
from weebill.routing.deployments import Upstream
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.exchange import Exchange
from weebill.wire.failure import UpstreamFailure
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage


async def open_operation(
    upstreams: Upstreams, exchange: Exchange, endpoint: Operation, call: OperationCall, step: Try, spending: Spending
) -> OpenedResponse:
    """Calls the upstream, once or for each part, until there is something to answer with. Raises one of
    `failures.FAILED`.
    """
    whole = OperationUpstreamCall(upstreams, exchange, endpoint, call, step, spending)
    translate = whole.translate
    if not isinstance(translate, InParts):
        return await whole.open()
    parts = await off_loop_if(call.big, partial(translate.parts, call, step.deployment.target))
    if len(parts) == 1:
        return await whole.open()
    return await _joined(whole, translate, parts)


async def _joined(whole: OperationUpstreamCall, translate: InParts, parts: Sequence[OperationCall]) -> CompleteResponse:
    upstreams, spending = whole.upstreams, whole.spending
    found: list[Vectors] = []
    last: _PartAnswer | None = None
    try:
        for part in parts:
            if last is not None:
                upstreams.leave(last.upstream, last.response)
                last = None
            last = await _PartCall(whole, translate, part, found).open()
            found.append(last.vectors)
        assert last is not None  # noqa: S101 - there are several
        spending.first_byte_at = time.monotonic()
        name = b"" if upstreams.names_served else encode(whole.call.model)
        decode = partial(translate.joined, whole.call, found)
        answer = await off_loop_if(True, partial(in_clients_format, whole.endpoint, decode, name))
    except BaseException:
        if last is not None:
            upstreams.leave(last.upstream, last.response)
        raise
    spending.used = answer
    return CompleteResponse(last.upstream, last.response, answer)


class _PartAnswer:
    """The vectors of a part. The receiver leaves the upstream."""

    __slots__ = ("response", "upstream", "vectors")

    def __init__(self, upstream: Upstream, response: Response, vectors: Vectors) -> None:
        self.upstream = upstream
        self.response = response
        self.vectors = vectors


class _PartCall(UpstreamCall[_PartAnswer]):
    """A call for one part of `whole`, after those that were `found`."""

    def __init__(
        self, whole: OperationUpstreamCall, translate: InParts, part: OperationCall, found: Sequence[Vectors]
    ) -> None:
        super().__init__(whole.upstreams, whole.exchange, whole.step, whole.spending, big=False, whole=True)
        self._whole = whole
        self._translate = translate
        self._part = part
        self._found = found

    def encode(self, upstream: Upstream) -> UpstreamRequest:
        deployment = self.step.deployment
        request = self._whole.translate.encode(self._part, deployment.target)
        return with_own_fields(request, self._part, deployment, self.upstreams.directory)

    def expected_usage(self, request: UpstreamRequest) -> tuple[Used, int]:
        return _SoFar(self._found, self._part), self._part.prompt_bytes()

    async def read(self, upstream: Upstream, response: Response, request: UpstreamRequest) -> _PartAnswer:
        body = response.body or await self.upstreams.whole(response)
        vectors = await off_loop_if(len(body) >= BIG, partial(self._translate.decode_part, body))
        self.upstreams.bodies.note(len(body))
        return _PartAnswer(upstream, response, vectors)

    def failure(self, upstream: Upstream, status: int, body: bytes, retry_after: float | None) -> UpstreamFailure:
        return self._whole.translate.error(self._part, status, body, retry_after, upstream.name)


class _SoFar:
    """The usage of the parts that were answered, and the likely one of the part under way."""

    __slots__ = ("_found", "_part")

    def __init__(self, found: Sequence[Vectors], part: OperationCall) -> None:
        self._found = found
        self._part = part

    @property
    def usage(self) -> Usage:
        tokens = sum(each.usage.prompt_tokens for each in self._found if each.usage is not None)
        return Usage(prompt_tokens=tokens + Estimate(self._part).usage.prompt_tokens)
