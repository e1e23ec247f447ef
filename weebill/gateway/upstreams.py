"""The upstreams of one worker: sends requests, and limits and counts the calls under way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from math import inf
from typing import Final

from msgspec import structs

from weebill.config.limits import LimitSettings
from weebill.config.schema import LocalSettings, ServerSettings
from weebill.gateway.authentication import Caller, caller_of
from weebill.gateway.failures import lacks_endpoint, model_unavailable, overloaded
from weebill.gateway.fatal_requests import FatalRequests
from weebill.gateway.images import LocalImages
from weebill.gateway.limiter import Limiter
from weebill.gateway.memory import Answers, Bodies
from weebill.gateway.meter import Spending
from weebill.gateway.rate_limited_log import RateLimitedLog
from weebill.gateway.slots import SlotQueue
from weebill.gateway.turns import Turns
from weebill.gateway.warming import Warming
from weebill.providers.base import UpstreamRequest
from weebill.providers.llamacpp.slots import slots_of
from weebill.routing.credentials import Signer
from weebill.routing.deployments import Deployment, Upstream
from weebill.routing.directory import Directory
from weebill.routing.own_keys import Routers
from weebill.routing.router import Router
from weebill.routing.steps import Try
from weebill.transport.client import Client, Origin, Response, Sender, Timeouts
from weebill.transport.errors import PoolFull, UpstreamConnectError, UpstreamLost, cancelled_unsent
from weebill.transport.exchange import Exchange
from weebill.wire.failure import UpstreamFailure

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ERROR_BYTES: Final = 1024 * 1024
ERROR_PATIENCE_S: Final = 5.0
"""Seconds for the body of an error after its head."""
RESPONSES_PATH: Final = b"/responses"
COMPLETIONS_PATH: Final = b"/completions"
_RESPONSES: Final = "openai-responses"
_LIMITS: Final = LimitSettings()
_LOCAL: Final = LocalSettings()

log = logging.getLogger(__name__)


class Upstreams:
    """Sends requests to upstreams, and counts the calls under way at each; one object for all endpoints of a worker.

    `settings` apply to all answers, `limits` to a request's body. `bodies` bounds the memory of requests, `answers`
    that of answers. `limited_log` is for failures. `index` is this worker's number; `local` are the settings for models
    of this machine.
    """

    def __init__(
        self,
        client: Client,
        router: Router,
        settings: ServerSettings,
        limiter: Limiter,
        limits: LimitSettings = _LIMITS,
        index: int = 0,
        local: LocalSettings = _LOCAL,
    ) -> None:
        self._client = client
        self._index = index
        self._slot_queues: dict[str, SlotQueue] = {}  # by the host's name
        # The slots that each answer holds: the queue, the key and the number; the request's body and the host.
        self._held_slots: dict[Response, tuple[SlotQueue, str, int, bytes, Origin]] = {}
        self._fatal = FatalRequests()
        self.router = router
        self.routers = Routers(router, router.settings)
        self.watched: dict[str, float] = {}  # when each of these credentials was used last, in Unix seconds
        self.settings = settings
        # Answers name the model that served them, instead of the name that was asked for.
        self.names_served = settings.model_in_answers == "served"
        self.limits = limits
        self.limiter = limiter
        limiter.configure(limits)
        self.bodies = Bodies(limits)
        self.answers = Answers(limits)
        self.limited_log = RateLimitedLog()
        self.warming = Warming(router)
        self.turns = Turns()
        self.images = LocalImages(local.images)
        self._local = local
        self._without_responses: set[str] = set()  # upstreams that turned out not to have that endpoint
        self._without_completions: set[str] = set()
        self._in_flight: dict[str, int] = {}

    @property
    def directory(self) -> Directory:
        """The names that are served."""
        return self.router.directory

    def router_of(self, caller: Caller) -> Router:
        """Returns the router for a caller's requests. Raises ApiError 503 while its project's keys are not known."""
        return self.routers.of(caller.key.project_id)

    def watch(self, credentials: Iterable[str]) -> None:
        """Notes from now on when these credentials are used."""
        self.watched = {each: self.watched.get(each, 0.0) for each in credentials}

    def configure(self, settings: ServerSettings, limits: LimitSettings, local: LocalSettings) -> None:
        """Applies reloaded settings, and forgets what upstreams turned out not to have."""
        self._local = local
        self.settings = settings
        self.names_served = settings.model_in_answers == "served"
        self.limits = limits
        self.limiter.configure(limits)
        self.bodies.configure(limits)
        self.answers.configure(limits)
        self._without_responses.clear()
        self._without_completions.clear()

    def spoken(self, deployment: Deployment, upstream: Upstream) -> tuple[str, frozenset[str]]:
        """Returns the deployment's dialect, and all dialects that its upstream speaks, as far as known."""
        if upstream.whose not in self._without_responses:
            return deployment.dialect, upstream.dialects
        dialect = "openai" if deployment.dialect == _RESPONSES else deployment.dialect
        return dialect, upstream.dialects - {_RESPONSES}

    def with_known_limits(self, deployment: Deployment, upstream: Upstream) -> Deployment:
        """Returns the deployment without the features that its upstream turned out not to have."""
        if upstream.whose not in self._without_completions:
            return deployment
        target = deployment.target
        quirks = structs.replace(target.quirks, completions=False)
        return replace(deployment, target=structs.replace(target, quirks=quirks))

    def notes_missing_api(self, upstream: Upstream, path: bytes, status: int, failure: BaseException) -> bool:
        """True if a failed call has shown that the upstream lacks an API; the request can then be sent in
        another form.
        """
        if not isinstance(failure, UpstreamFailure) or not lacks_endpoint(failure.failure, status):
            return False
        if path == COMPLETIONS_PATH and upstream.whose not in self._without_completions:
            self._without_completions.add(upstream.whose)
            log.info("an upstream has no Completions API; it is asked for chats", extra={"upstream": upstream.name})
            return True
        self._without_completions.discard(upstream.whose)
        known = upstream.whose in self._without_responses
        if path == RESPONSES_PATH and not known:
            self._without_responses.add(upstream.whose)
            log.info(
                "an upstream has no Responses API; it is asked for Chat Completions", extra={"upstream": upstream.name}
            )
            return True
        if known:
            # It has neither of the two, so something else is wrong, and may be repaired.
            self._without_responses.discard(upstream.whose)
        return False

    def enter(self, deployment: Deployment) -> Upstream:
        """Takes a place among the calls to the deployment's upstream; `leave` gives it back. Raises ApiError 503."""
        upstream = deployment.upstream
        if upstream is None:
            raise model_unavailable(deployment.model)
        name = upstream.name
        in_flight = self._in_flight.get(name, 0)
        if in_flight >= upstream.max_in_flight and not upstream.slots:  # slots have a queue of their own
            raise overloaded(deployment.model)
        self._in_flight[name] = in_flight + 1
        if upstream.engine:
            self.warming.begin(upstream.engine)
        return upstream

    def leave(self, upstream: Upstream, response: Response | None) -> None:
        """Ends a call; the unread part of its answer is dropped."""
        self._in_flight[upstream.name] -= 1
        if upstream.engine:
            self.warming.end(upstream.engine)
        if response is not None:
            held = self._held_slots.pop(response, None) if upstream.slots else None
            if held is not None:
                queue, key, count, body, host = held
                if response.inbox is not None and isinstance(response.inbox.failure, UpstreamLost):
                    self._died(upstream.engine, body, host)
                elif response.inbox is None or response.inbox.ended:
                    self._fatal.answered(upstream.engine, body)
                queue.give_back(key, count)
                self.warming.rest(upstream.engine, key)
            response.close()

    def keep(self, exchange: Exchange, upstream: Upstream, seconds: float | None) -> None:
        """Notes how long a local model is to be kept after a request, None for the usual time.

        It is bounded, but for keys of admins: nobody else holds memory for longer than the settings say.
        """
        local, key = self._local, caller_of(exchange).key
        if seconds is None:
            seconds = local.keep_alive_s
        elif key.role != "admin":
            seconds = min(seconds, max(local.most_keep_alive_s, local.keep_alive_s))
        self.warming.keep(upstream.engine, key.id, seconds)

    def rest(self, exchange: Exchange, upstream: Upstream) -> None:
        """Notes that a request that used a local model has ended."""
        self.warming.rest(upstream.engine, caller_of(exchange).key.id)

    def kept_s(self, upstream: Upstream) -> float:
        """Returns the seconds for which a local model will be kept, if nobody uses it again; `inf` without end.

        That is the longest of all names of its host, here and in other workers.
        """
        if upstream.stays:
            return inf
        known = (each.upstream for each in self.directory.deployments.values())
        of_host = (each.engine for each in known if each is not None and each.host == upstream.host)
        left = [left for name in of_host if (left := self.warming.left(name)) is not None]
        if (elsewhere := self.warming.left_elsewhere(upstream.host)) is not None:
            left.append(elsewhere)
        return max(left, default=self._local.keep_alive_s)

    def whole(self, response: Response) -> Coroutine[object, object, bytes]:
        """Reads the whole body of an answer. Raises UpstreamError, or ApiError 503 if there is no memory for it."""
        response.room = self.answers.room()
        return response.read(MAX_ANSWER_BYTES)

    def send(
        self,
        exchange: Exchange,
        upstream: Upstream,
        request: UpstreamRequest,
        step: Try,
        spending: Spending,
        *,
        whole: bool,
    ) -> Coroutine[object, object, Response]:
        """Sends a request, and waits for the head of the answer, which comes late for an answer in one piece (`whole`).

        Raises UpstreamError, or ApiError if signing fails or nothing can be recorded.
        """
        if upstream.slots:
            return self._send_in_slot(exchange, upstream, request, step.patience_s, spending, whole=whole)
        if step.credential.id in self.watched:
            self.watched[step.credential.id] = time.time()
        head = upstream.head(request, step.credential)
        timeouts = upstream.whole_timeouts if whole else upstream.timeouts
        if upstream.forward_headers:
            head += _forwarded(exchange, upstream.forward_headers)
        if upstream.signer is not None:
            return self._send_signed(upstream, upstream.signer, request, head, timeouts, step.patience_s, spending)
        return self._client.send(upstream.origin, head, request.body, timeouts, step.patience_s, spending)

    async def _send_in_slot(
        self,
        exchange: Exchange,
        upstream: Upstream,
        request: UpstreamRequest,
        patience_s: float,
        spending: Spending,
        *,
        whole: bool,
    ) -> Response:
        """Waits for a local model to be loaded, and for its slots, then sends; `leave` gives the slots back.

        A request that a host has not answered at all, as it was dead or dying when it came, is sent to the next one.
        """
        key = caller_of(exchange).key.id
        timeouts = upstream.whole_timeouts if whole else upstream.timeouts
        self._fatal.check(upstream.engine, request.body)
        self.keep(exchange, upstream, request.keep_s)
        queue = self._slot_queue(upstream)
        going = _Going(spending)
        count = 0
        try:
            async with asyncio.timeout(min(patience_s, timeouts.first_byte)) as limit:
                count = await queue.take(key, slots_of(request), upstream.adapters)
                upstream = await self.warming.warm(upstream)
            try:
                response = await self._send_to_host(upstream, request, timeouts, patience_s, going)
            except UpstreamConnectError:
                if going.went:
                    # On a connection that was used before, a death looks like a stale one; it may have been its cause.
                    self._died(upstream.engine, request.body, upstream.origin)
                    self._fatal.check(upstream.engine, request.body)
                    going.went = False
                async with asyncio.timeout_at(limit.when()) as limit:
                    await self.warming.hear_of_death(upstream)
                    upstream = await self.warming.warm(upstream)
                response = await self._send_to_host(upstream, request, timeouts, patience_s, going)
        except BaseException as error:
            if isinstance(error, UpstreamLost) or (going.went and isinstance(error, UpstreamConnectError)):
                self._died(upstream.engine, request.body, upstream.origin)
            if count:
                queue.give_back(key, count)
                self.warming.rest(upstream.engine, key)
            if isinstance(error, TimeoutError) and limit.expired():
                raise PoolFull("it has been at work on others' requests, or loading, all the time") from None
            raise
        self._held_slots[response] = (queue, key, count, request.body, upstream.origin)
        return response

    def _died(self, model: str, body: bytes, host: Origin) -> None:
        """Notes that a host died with a request, unless it was told to end."""
        if self.warming.serves(model, host):
            self._fatal.died(model, body, host)
            self.warming.lose(model, host)

    def _send_to_host(
        self, upstream: Upstream, request: UpstreamRequest, timeouts: Timeouts, patience_s: float, going: _Going
    ) -> Coroutine[object, object, Response]:
        body = _adapted(request, upstream)
        return self._client.send(upstream.origin, upstream.head(request), body, timeouts, patience_s, going)

    def _slot_queue(self, upstream: Upstream) -> SlotQueue:
        """Returns the queue for this worker's part of the upstream's slots; at least one, maybe shared.

        A host that is loaded again may have other slots; they count once the requests from before have ended. It may
        also have its first adapters.
        """
        part = len(range(self._index, upstream.slots, self.settings.workers)) or 1
        queue = self._slot_queues.get(upstream.host)
        if queue is None or (queue.total != part and queue.idle):
            for host in [host for host, known in self._slot_queues.items() if known.idle]:
                del self._slot_queues[host]  # the model may be gone
                self.turns.forget(host)
            queue = self._slot_queues[upstream.host] = SlotQueue(part, upstream.max_in_flight - upstream.slots)
        if upstream.added and self.settings.workers > 1:
            queue.take_turns(self.turns.at(upstream.host))
        return queue

    async def _send_signed(
        self,
        upstream: Upstream,
        signer: Signer,
        request: UpstreamRequest,
        head: bytes,
        timeouts: Timeouts,
        patience_s: float,
        spending: Spending,
    ) -> Response:
        try:
            head += await signer.lines(upstream.path + request.path, request)
        except asyncio.CancelledError:
            raise cancelled_unsent() from None
        return await self._client.send(upstream.origin, head, request.body, timeouts, patience_s, spending)


def _adapted(request: UpstreamRequest, upstream: Upstream) -> bytes:
    """Returns the body, an object, with the choice among the adapters of the host that it goes to."""
    return request.body[:-1] + upstream.added + b"}" if upstream.added else request.body


class _Going(Sender):
    """Passes on that a request goes out, and remembers it."""

    __slots__ = ("_spending", "went")

    def __init__(self, spending: Spending) -> None:
        self._spending = spending
        self.went = False

    def sending(self) -> None:
        self._spending.sending()
        self.went = True


def _forwarded(exchange: Exchange, wanted: frozenset[bytes]) -> bytes:
    """Returns the client's headers that are configured to be forwarded."""
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in exchange.headers if name in wanted)
