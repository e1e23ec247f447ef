"""What all metered endpoints share: a key before anything, a record after everything, exactly one."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Final, Generic, Protocol, TypeVar

from msgspec import structs

from weebill.config.limits import LimitSettings
from weebill.config.schema import ServerSettings
from weebill.gateway.authentication import Authenticator, Caller
from weebill.gateway.failures import lacks_endpoint, model_unavailable, overloaded, unmetered
from weebill.gateway.memory import Answers, Bodies, Lease
from weebill.gateway.meter import Meter
from weebill.gateway.places import Places
from weebill.providers.base import UpstreamRequest
from weebill.providers.llamacpp.slots import slots_of
from weebill.routing.credentials import Signer
from weebill.routing.deployments import Deployment, Upstream
from weebill.routing.directory import Directory
from weebill.routing.router import Router
from weebill.routing.steps import Try
from weebill.telemetry.counters import Counters
from weebill.transport.client import Client, Response, Timeouts
from weebill.transport.errors import PoolFull, cancelled_unsent
from weebill.transport.exchange import Exchange
from weebill.transport.origin import Origin
from weebill.transport.status import CLIENT_CLOSED_REQUEST, SHUTTING_DOWN
from weebill.usage.journal import JournalError, JournalWriter
from weebill.usage.records import Outcome
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure

JSON: Final = b"content-type: application/json\r\n"
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ERROR_BYTES: Final = 1024 * 1024
ERROR_PATIENCE_S: Final = 5.0
"""How long the body of an error may take once its head is there."""
RESPONSES_PATH: Final = b"/responses"
COMPLETIONS_PATH: Final = b"/completions"
_RESPONSES: Final = "openai-responses"
_LIMITS: Final = LimitSettings()
# What has become of a request whose handler was cancelled, by the reason. Any other: the server itself refused it.
_CANCELLED: Final[Mapping[int, Outcome]] = {CLIENT_CLOSED_REQUEST: "client_cancelled", SHUTTING_DOWN: "gateway_error"}

log = logging.getLogger(__name__)


class Recorder:
    """Writes the usage records of one worker, and counts them."""

    def __init__(self, journal: JournalWriter, counters: Counters) -> None:
        self.journal = journal
        self._counters = counters

    @property
    def recording(self) -> bool:
        """Whether usage can be recorded at present."""
        return self.journal.writable()

    def require_writable(self) -> None:
        """Raise ApiError 503 while nothing can be recorded: what cannot be metered is not served."""
        if not self.journal.writable():
            raise unmetered()

    def settle(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Write the usage record, once. Raises ApiError 503 if it cannot be written."""
        record = meter.settle(status, outcome)
        if record is None:
            return
        self._counters.of_request(meter.endpoint, status, meter.upstream, outcome, meter.model_served).count(
            record.total_us, record.first_byte_us, record.prompt_tokens, record.cached_tokens, record.completion_tokens
        )
        try:
            self.journal.append(record, meter.slot)
        except JournalError as error:
            self._counters.journal_failures.add()
            raise unmetered() from error

    def settle_unheard(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Settle where there is nobody left to tell that it failed."""
        try:
            self.settle(meter, status, outcome)
        except ApiError as error:
            log.error("a usage record was lost: %s", error)


class Upstreams:
    """Calls upstreams, and knows how many calls each has under way; one for all endpoints of a worker.

    `settings` say what all answers have in common, `limits` what a request may hold; `bodies` is their memory, and
    `answers` that of what upstreams say. Of the workers, this is the one of that `index`.
    """

    def __init__(
        self,
        client: Client,
        router: Router,
        settings: ServerSettings,
        limits: LimitSettings = _LIMITS,
        index: int = 0,
    ) -> None:
        self._client = client
        self._index = index
        self._places: dict[Origin, Places] = {}
        # Which of them are held for which answers: by whom, and how many.
        self._placed: dict[Response, tuple[Places, str, int]] = {}
        self.router = router
        self.settings = settings
        # Whether answers name the model that served them rather than the one that was asked for.
        self.names_served = settings.model_in_answers == "served"
        self.limits = limits
        self.bodies = Bodies(limits)
        self.answers = Answers(limits)
        self._without_responses: set[str] = set()  # upstreams that have turned out not to have that endpoint
        self._without_completions: set[str] = set()
        self._in_flight: dict[str, int] = {}

    @property
    def directory(self) -> Directory:
        """The names that there are."""
        return self.router.directory

    def configure(self, settings: ServerSettings, limits: LimitSettings) -> None:
        """Go by settings that were loaded anew, and find out again what upstreams can do."""
        self.settings = settings
        self.names_served = settings.model_in_answers == "served"
        self.limits = limits
        self.bodies.configure(limits)
        self.answers.configure(limits)
        self._without_responses.clear()
        self._without_completions.clear()

    def spoken(self, deployment: Deployment, upstream: Upstream) -> tuple[str, frozenset[str]]:
        """The dialect of a deployment, and all that its upstream speaks, as far as is known by now."""
        if upstream.name not in self._without_responses:
            return deployment.dialect, upstream.dialects
        dialect = "openai" if deployment.dialect == _RESPONSES else deployment.dialect
        return dialect, upstream.dialects - {_RESPONSES}

    def as_known(self, deployment: Deployment, upstream: Upstream) -> Deployment:
        """A deployment without what its upstream has turned out not to have."""
        if upstream.name not in self._without_completions:
            return deployment
        target = deployment.target
        quirks = structs.replace(target.quirks, completions=False)
        return replace(deployment, target=structs.replace(target, quirks=quirks))

    def learns(self, upstream: Upstream, path: bytes, status: int, failure: BaseException) -> bool:
        """Whether a failed call has shown that an upstream lacks an API: then the same can be asked otherwise."""
        if not isinstance(failure, UpstreamFailure) or not lacks_endpoint(failure.failure, status):
            return False
        if path == COMPLETIONS_PATH and upstream.name not in self._without_completions:
            self._without_completions.add(upstream.name)
            log.info("an upstream has no Completions API; it is asked for chats", extra={"upstream": upstream.name})
            return True
        self._without_completions.discard(upstream.name)
        known = upstream.name in self._without_responses
        if path == RESPONSES_PATH and not known:
            self._without_responses.add(upstream.name)
            log.info(
                "an upstream has no Responses API; it is asked for Chat Completions", extra={"upstream": upstream.name}
            )
            return True
        if known:
            # It has none of the two: something else is wrong, and may be mended.
            self._without_responses.discard(upstream.name)
        return False

    def enter(self, deployment: Deployment) -> Upstream:
        """A place among the calls to a deployment's upstream; `leave` gives it back. Raises ApiError 503."""
        upstream = deployment.upstream
        if upstream is None:
            raise model_unavailable(deployment.model)
        name = upstream.name
        in_flight = self._in_flight.get(name, 0)
        if in_flight >= upstream.max_in_flight and not upstream.slots:  # those share them out
            raise overloaded(deployment.model)
        self._in_flight[name] = in_flight + 1
        return upstream

    def leave(self, upstream: Upstream, response: Response | None) -> None:
        """The call is over; what is unread of its answer is given up."""
        self._in_flight[upstream.name] -= 1
        if response is not None:
            response.close()
            if upstream.slots and (placed := self._placed.pop(response, None)) is not None:
                places, key, count = placed
                places.give_back(key, count)

    def whole(self, response: Response) -> Coroutine[object, object, bytes]:
        """The body of an answer in one piece. Raises UpstreamError, or ApiError 503 if there is no room for it."""
        response.room = self.answers.room()
        return response.read(MAX_ANSWER_BYTES)

    def send(
        self, exchange: Exchange, upstream: Upstream, request: UpstreamRequest, step: Try, *, whole: bool
    ) -> Coroutine[object, object, Response]:
        """Send a request and wait for the answer's head, which comes late if it is to be in one piece (`whole`).

        Raises UpstreamError, or ApiError where signing fails.
        """
        head = upstream.head(request, step.credential)
        timeouts = upstream.whole_timeouts if whole else upstream.timeouts
        if upstream.forward_headers:
            head += _forwarded(exchange, upstream.forward_headers)
        if upstream.slots:
            return self._send_placed(exchange, upstream, request, head, timeouts, step.patience_s)
        if upstream.signer is not None:
            return self._send_signed(upstream, upstream.signer, request, head, timeouts, step.patience_s)
        return self._client.send(upstream.origin, head, request.body, timeouts, step.patience_s)

    async def _send_placed(
        self,
        exchange: Exchange,
        upstream: Upstream,
        request: UpstreamRequest,
        head: bytes,
        timeouts: Timeouts,
        patience_s: float,
    ) -> Response:
        """Send once there are slots for whoever asks; `leave` gives them back."""
        caller = exchange.head.memo
        key = caller.key.id if isinstance(caller, Caller) else ""
        places = self._places.get(upstream.origin)
        if places is None:
            places = self._shared_out(upstream)
        try:
            async with asyncio.timeout(min(patience_s, timeouts.first_byte)) as limit:
                count = await places.take(key, slots_of(request))
        except TimeoutError:
            if not limit.expired():
                raise
            raise PoolFull("it has been at work on others' requests all the time") from None
        try:
            response = await self._client.send(upstream.origin, head, request.body, timeouts, patience_s)
        except BaseException:
            places.give_back(key, count)
            raise
        self._placed[response] = (places, key, count)
        return response

    def _shared_out(self, upstream: Upstream) -> Places:
        """This worker's part of an upstream's slots: at least one, be it another's, too."""
        for origin in [origin for origin, places in self._places.items() if places.idle]:
            del self._places[origin]  # of a host that may be gone
        part = len(range(self._index, upstream.slots, self.settings.workers)) or 1
        places = self._places[upstream.origin] = Places(part, upstream.max_in_flight - upstream.slots)
        return places

    async def _send_signed(
        self,
        upstream: Upstream,
        signer: Signer,
        request: UpstreamRequest,
        head: bytes,
        timeouts: Timeouts,
        patience_s: float,
    ) -> Response:
        try:
            head += await signer.lines(upstream.path + request.path, request)
        except asyncio.CancelledError:
            raise cancelled_unsent() from None
        return await self._client.send(upstream.origin, head, request.body, timeouts, patience_s)


class Endpoint(Protocol):
    """What a metered endpoint is known by."""

    @property
    def name(self) -> str:
        """What its requests are recorded under."""


Kind = TypeVar("Kind", bound=Endpoint)


class Metered(ABC, Generic[Kind]):
    """Serves metered endpoints of one kind."""

    def __init__(self, authenticator: Authenticator, recorder: Recorder, upstreams: Upstreams) -> None:
        self._authenticator = authenticator
        self._recorder = recorder
        self._upstreams = upstreams

    async def serve(self, exchange: Exchange, endpoint: Kind, tail: str = "") -> None:
        """Answer one request; `tail` is what follows the endpoint's path. A caller without a key leaves no record."""
        try:
            caller = self._authenticator.caller(exchange)
            self._recorder.require_writable()
        except ApiError as error:
            self._respond(exchange, endpoint, error)
            return
        key = caller.key
        journal = self._recorder.journal
        meter = Meter(
            exchange.request_id, key.id, endpoint.name, exchange.started_at, key.name, caller.timeout_s, journal
        )
        lease: Lease | None = None
        if not exchange.arrived:
            lease = self._upstreams.bodies.lease(key.id)
            exchange.claim = lease.add
        try:
            await self._answer(exchange, endpoint, tail, meter)
        except ApiError as error:
            self._refuse(exchange, endpoint, meter, error)
        except RecursionError:
            self._refuse(exchange, endpoint, meter, _too_deep())
        except asyncio.CancelledError:
            status = exchange.cancelled_with
            self._recorder.settle_unheard(meter, status, _CANCELLED.get(status, "rejected"))
            raise
        except Exception:
            self._recorder.settle_unheard(meter, 500, "gateway_error")
            raise
        finally:
            if lease is not None:
                lease.end()

    @abstractmethod
    async def _answer(self, exchange: Exchange, endpoint: Kind, tail: str, meter: Meter) -> None:
        """Decode, route, call, answer. Raises ApiError for what ends without an answer."""

    @abstractmethod
    def _error_body(self, endpoint: Kind, error: ApiError) -> bytes:
        """An error in the endpoint's format."""

    def _refuse(self, exchange: Exchange, endpoint: Kind, meter: Meter, error: ApiError) -> None:
        """Record and answer a request that ends in an error."""
        try:
            self._recorder.settle(meter, error.status, meter.blame)
        except ApiError as unmetered:
            error = unmetered
        self._respond(exchange, endpoint, error, meter.route)

    def _respond(self, exchange: Exchange, endpoint: Kind, error: ApiError, route: bytes = b"") -> None:
        error.request_id = exchange.request_id
        exchange.respond(error.status, error.headers() + route, self._error_body(endpoint, error))


def _forwarded(exchange: Exchange, wanted: frozenset[bytes]) -> bytes:
    """The client's headers that an upstream is configured to be given."""
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in exchange.headers if name in wanted)


def _too_deep() -> ApiError:
    return ApiError(400, "The request is nested too deeply.", code="nested_too_deeply")
