"""One call of an upstream, whatever it is asked for.

1. A place among the calls to the upstream is taken.
2. The request is written in the upstream's dialect, off the event loop where it is big.
3. Word is left of what it may cost, and it is sent.
4. An answer is read: all of it, or up to the first content of a stream.
5. Any other status is read for what it says, and raised.
6. Whoever gets the answer gives the place back (`Upstreams.leave`); a call that fails has done so.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from functools import partial
from typing import Final, Generic, TypeVar

from weebill.gateway.failures import retry_after_seconds, upstream_said
from weebill.gateway.meter import NOTHING, Spending, Used
from weebill.gateway.off_loop import off_loop
from weebill.gateway.upstreams import ERROR_PATIENCE_S, MAX_ERROR_BYTES, Upstreams
from weebill.providers.base import UpstreamRequest
from weebill.routing.deployments import Upstream
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.errors import unsent
from weebill.transport.exchange import Exchange
from weebill.wire.failure import UpstreamFailure

R = TypeVar("R")

# The statuses that come with an answer; not all servers have chosen theirs with care.
_ANSWERED: Final = frozenset({200, 201, 202, 203})


class UpstreamCall(Generic[R], metaclass=ABCMeta):
    """A call for one attempt (`step`), which gives an `R`; kinds of endpoints say what is written and read.

    `big` is whether the request is worked on off the event loop, `whole` whether the answer is to be in one piece.
    """

    def __init__(
        self, upstreams: Upstreams, exchange: Exchange, step: Try, spending: Spending, *, big: bool, whole: bool
    ) -> None:
        self.upstreams = upstreams
        self.exchange = exchange
        self.step = step
        self.spending = spending
        self.big = big
        self.whole = whole

    @abstractmethod
    def encode(self, upstream: Upstream) -> UpstreamRequest:
        """The request. Raises ApiError for what the deployment cannot be asked."""

    @abstractmethod
    def likely(self, request: UpstreamRequest) -> tuple[Used, int]:
        """What will have been used if nothing comes back, and how many bytes the prompt has."""

    @abstractmethod
    async def read(self, upstream: Upstream, response: Response, request: UpstreamRequest) -> R:
        """The answer. Raises one of `failures.FAILED`."""

    @abstractmethod
    def failure(self, upstream: Upstream, status: int, body: bytes, retry_after: float | None) -> UpstreamFailure:
        """What another status means, in the dialect's words."""

    def asks_otherwise(self, upstream: Upstream, path: bytes, status: int, failure: BaseException) -> bool:
        """Tells whether the same may be asked in another way, now that it has failed so."""
        return False

    async def open(self) -> R:
        """Call the upstream until there is something to answer with. Raises one of `failures.FAILED`."""
        spending = self.spending
        upstream = self.upstreams.enter(self.step.deployment)
        response: Response | None = None
        path = b""
        try:
            request = await off_loop(partial(self.encode, upstream)) if self.big else self.encode(upstream)
            spending.dropped = request.dropped
            path = request.path
            used, prompt_bytes = self.likely(request)
            spending.ask(used, prompt_bytes)
            response = await self.upstreams.send(
                self.exchange, upstream, request, self.step, spending, whole=self.whole
            )
            spending.status = response.status
            if response.status not in _ANSWERED:
                raise await self._refused(upstream, response, path)
            return await self.read(upstream, response, request)
        except BaseException as failure:
            if response is None and unsent(failure):
                spending.used = NOTHING
            self.upstreams.leave(upstream, response)
            if response is None or not self.asks_otherwise(upstream, path, response.status, failure):
                raise
        return await self.open()

    async def _refused(self, upstream: Upstream, response: Response, path: bytes) -> UpstreamFailure:
        """What the upstream says with another status."""
        self.spending.used = NOTHING
        # What it says may break off; that it refuses has been said by then.
        body = await response.read_some(MAX_ERROR_BYTES, ERROR_PATIENCE_S)
        if 400 <= response.status < 500:
            self.spending.blame = "rejected"
        failed = self.failure(upstream, response.status, body, retry_after_seconds(response))
        return upstream_said(failed, body, upstream, self.step.credential, path)
