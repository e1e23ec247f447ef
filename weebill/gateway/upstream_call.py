"""One call of an upstream, for any kind of endpoint.

1. A place among the upstream's concurrent calls is taken.
2. The request is encoded in the upstream's dialect, off the event loop if it is big.
3. What it may take of its key's limits is reserved.
4. The request's intent is written to the journal, and the request is sent.
5. A successful answer is read: all of it, or a stream up to its first content.
6. An error answer is read and raised.
7. The place is given back (`Upstreams.leave`): by the receiver of the answer, or here if the call fails.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from functools import partial
from typing import Final, Generic, TypeVar

from weebill.gateway.failures import retry_after_seconds, upstream_said
from weebill.gateway.limiter import granted, most_of
from weebill.gateway.meter import NOTHING, Spending, Used
from weebill.gateway.off_loop import off_loop
from weebill.gateway.upstreams import ERROR_PATIENCE_S, MAX_ERROR_BYTES, Upstreams
from weebill.limits.hold import Hold
from weebill.providers.base import UpstreamRequest
from weebill.routing.deployments import Upstream
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.errors import unsent
from weebill.transport.exchange import Exchange
from weebill.wire.failure import UpstreamFailure

R = TypeVar("R")

# Statuses that carry an answer; not all servers choose theirs with care.
_ANSWERED: Final = frozenset({200, 201, 202, 203})


class UpstreamCall(Generic[R], metaclass=ABCMeta):
    """A call for one attempt (`step`), which returns an `R`; subclasses encode the request and read the answer.

    `big` requests are encoded off the event loop; `whole` answers arrive in one piece, not as a stream.
    """

    paid = True
    """False if no call costs anything."""
    writes = True
    """False if the answer has no tokens."""

    def __init__(
        self, upstreams: Upstreams, exchange: Exchange, step: Try, spending: Spending, *, big: bool, whole: bool
    ) -> None:
        self.upstreams = upstreams
        self.exchange = exchange
        self.step = step
        self.spending = spending
        self.big = big
        self.whole = whole
        # Of preparing the request: what was passed over, and the images that were read for the model.
        self.dropped: tuple[str, ...] = ()
        self.images_read = 0

    async def prepare(self, upstream: Upstream) -> None:
        """Prepares the request for a model of this machine. Raises ApiError."""

    @abstractmethod
    def encode(self, upstream: Upstream) -> UpstreamRequest:
        """Returns the request. Raises ApiError if the deployment cannot be asked for it."""

    @abstractmethod
    def expected_usage(self, request: UpstreamRequest) -> tuple[Used, int]:
        """Returns the usage to record if nothing comes back, and the prompt's size in bytes."""

    @abstractmethod
    async def read(self, upstream: Upstream, response: Response, request: UpstreamRequest) -> R:
        """Returns the answer. Raises one of `failures.FAILED`."""

    @abstractmethod
    def failure(self, upstream: Upstream, status: int, body: bytes, retry_after: float | None) -> UpstreamFailure:
        """Returns the failure that an error status and its body mean in the dialect."""

    def retries_in_other_form(self, upstream: Upstream, path: bytes, status: int, failure: BaseException) -> bool:
        """True if the failed request should be sent again in another form."""
        return False

    async def open(self) -> R:
        """Calls the upstream until there is something to answer with. Raises one of `failures.FAILED`."""
        spending = self.spending
        upstream = self.upstreams.enter(self.step.deployment)
        response: Response | None = None
        path = b""
        nano = 0
        try:
            if upstream.engine:
                await self.prepare(upstream)
            request = await off_loop(partial(self.encode, upstream)) if self.big else self.encode(upstream)
            spending.dropped = self.dropped + request.dropped
            spending.images_read = self.images_read
            path = request.path
            used, prompt_bytes = self.expected_usage(request)
            if spending.hold is not None and self.paid:
                nano = await self._covered(spending.hold, request.body)
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
            if nano and spending.hold is not None and spending.used is NOTHING:
                spending.hold.uncover(nano)
            self.upstreams.leave(upstream, response)
            if response is None or not self.retries_in_other_form(upstream, path, response.status, failure):
                raise
        return await self.open()

    async def _covered(self, hold: Hold, body: bytes) -> int:
        """Reserves the most that the call may take of the key's limits; returns that in nano-dollars.

        Raises OverLimit, ApiError 503.
        """
        deployment, upstreams = self.step.deployment, self.upstreams
        if self.big:
            bound = await off_loop(partial(most_of, deployment, body, writes=self.writes))
        else:
            bound = most_of(deployment, body, writes=self.writes)
        nano = upstreams.limiter.nano_of(hold, deployment, bound)
        waiting = hold.cover(bound.prompt + bound.answer, nano)
        if waiting is not None:
            await granted(waiting, hold)
        return nano

    async def _refused(self, upstream: Upstream, response: Response, path: bytes) -> UpstreamFailure:
        """Reads an error answer, and returns the failure."""
        self.spending.used = NOTHING
        # The body may break off; the status alone says that it is an error.
        body = await response.read_some(MAX_ERROR_BYTES, ERROR_PATIENCE_S)
        if 400 <= response.status < 500:
            self.spending.blame = "rejected"
        failed = self.failure(upstream, response.status, body, retry_after_seconds(response))
        return upstream_said(failed, body, upstream, self.step.credential, path)
