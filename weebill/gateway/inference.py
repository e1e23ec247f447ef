"""A request to an inference endpoint, from its key to its usage record."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from weebill.gateway.failures import model_unavailable, overloaded, retry_after_seconds, upstream_failure
from weebill.gateway.meter import Meter, nothing_used
from weebill.ledger.journal import JournalError, JournalWriter
from weebill.ledger.keyring import KeyRing, LedgerUnavailable
from weebill.ledger.records import ApiKey, Outcome
from weebill.providers.base import Answer, AnswerCollector
from weebill.providers.usage import estimate
from weebill.routing.directory import Directory, Upstream
from weebill.telemetry.counters import Counters
from weebill.transport.client import Client, Response
from weebill.transport.errors import PoolFull, UpstreamConnectError, UpstreamError
from weebill.transport.exchange import Exchange
from weebill.transport.status import CLIENT_CLOSED_REQUEST, SHUTTING_DOWN
from weebill.wire import sse
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

JSON: Final = b"content-type: application/json\r\n"
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MAX_ERROR_BYTES: Final = 1024 * 1024
# What has become of a request whose handler was cancelled, by the reason. Any other: the server itself refused it.
_CANCELLED: Final[Mapping[int, Outcome]] = {CLIENT_CLOSED_REQUEST: "client_cancelled", SHUTTING_DOWN: "gateway_error"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An inference endpoint: the name it is metered under, its path below `/v1`, and how its body is read."""

    name: str
    path: bytes
    decode: Callable[[bytes], Call]


class Inference:
    """Serves the inference endpoints of one worker."""

    def __init__(
        self, client: Client, keyring: KeyRing, journal: JournalWriter, counters: Counters, directory: Directory
    ) -> None:
        self._client = client
        self._keyring = keyring
        self._journal = journal
        self._counters = counters
        self._in_flight: Counter[str] = Counter()
        self.directory = directory

    def authenticate(self, exchange: Exchange) -> ApiKey:
        """The caller's key. Raises ApiError 401, or 503 while the ledger cannot be read."""
        header = exchange.header(b"authorization") or b""
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            self._counters.auth_failures.add()
            raise ApiError(401, "No API key. Send it as 'Authorization: Bearer <key>'.", code="missing_api_key")
        try:
            key = self._keyring.authenticate(token.strip())
        except LedgerUnavailable as error:
            raise ApiError(
                503, "Keys cannot be checked right now.", code="ledger_unavailable", retry_after=1
            ) from error
        if key is None:
            self._counters.auth_failures.add()
            raise ApiError(
                401, "The API key is wrong or revoked. `weebill keys create NAME` makes one.", code="invalid_api_key"
            )
        return key

    async def serve(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Answer one request. Raises ApiError for a caller without a key; all else is answered and recorded."""
        key = self.authenticate(exchange)
        if not self._journal.writable():
            raise _unmetered()
        meter = Meter(exchange.request_id, key.id, endpoint.name, exchange.started_at)
        try:
            await self._answer(exchange, endpoint, meter)
        except ApiError as error:
            self._refuse(exchange, meter, error)
        except asyncio.CancelledError:
            status = exchange.cancelled_with
            self._record(meter, status, _CANCELLED.get(status, "rejected"))
            raise
        except Exception:
            self._record(meter, 500, "gateway_error")
            raise

    async def _answer(self, exchange: Exchange, endpoint: Endpoint, meter: Meter) -> None:
        """Decode, route, call. Raises ApiError for what ends without an answer."""
        call = endpoint.decode(await exchange.body())
        meter.model_asked = call.model
        meter.stream = call.stream
        deployment = self.directory.resolve(call.model)
        meter.model_served = deployment.model
        meter.upstream = deployment.provider
        upstream = deployment.upstream
        if upstream is None:
            raise model_unavailable(deployment.model)
        request = upstream.translator.encode(call, deployment.target)
        if self._in_flight[upstream.name] >= upstream.max_in_flight:
            raise overloaded(deployment.model)
        self._in_flight[upstream.name] += 1
        response: Response | None = None
        try:
            meter.blame = "upstream_error"
            meter.usage = lambda: estimate(call)
            head = upstream.head(request) + _forwarded(exchange, upstream)
            response = await self._client.send(upstream.origin, head, request.body, upstream.timeouts)
            if response.status != 200:
                raise await _upstream_error(call, response, upstream, meter)
            if call.stream:
                await self._relay(exchange, response, call, upstream, meter)
            elif (collector := upstream.translator.collect(call)) is not None:
                await self._collect(exchange, response, collector, meter)
            else:
                await self._pass_on(exchange, response, call, upstream, meter)
        except UpstreamError as failure:
            if isinstance(failure, UpstreamConnectError | PoolFull):
                meter.usage = nothing_used
            error, meter.blame = upstream_failure(failure, upstream.name)
            raise error from failure
        finally:
            self._in_flight[upstream.name] -= 1
            if response is not None:
                response.close()

    async def _pass_on(
        self, exchange: Exchange, response: Response, call: Call, upstream: Upstream, meter: Meter
    ) -> None:
        """A complete answer in one piece."""
        body = await response.read(MAX_ANSWER_BYTES)
        meter.first_byte_at = time.monotonic()
        self._hand_over(exchange, upstream.translator.decode(call, body), meter)

    async def _collect(self, exchange: Exchange, response: Response, collector: AnswerCollector, meter: Meter) -> None:
        """A complete answer out of a stream."""
        meter.usage = lambda: collector.usage
        async for data in response.chunks():
            meter.first_byte_at = meter.first_byte_at or time.monotonic()
            collector.feed(data)
            if collector.error is not None:
                raise collector.error
        self._hand_over(exchange, collector.finish(), meter)

    def _hand_over(self, exchange: Exchange, answer: Answer, meter: Meter) -> None:
        """Record a complete answer, then send it."""
        meter.usage = lambda: answer.usage
        self._settle(meter, 200, "ok")
        exchange.respond(200, JSON, answer.body)

    async def _relay(
        self, exchange: Exchange, response: Response, call: Call, upstream: Upstream, meter: Meter
    ) -> None:
        """A stream, event by event. Raises ApiError only while nothing has been sent."""
        stream = upstream.translator.stream(call)
        meter.usage = lambda: stream.usage
        try:
            async for data in response.chunks():
                events = stream.feed(data)
                if events:
                    if not meter.first_byte_at:
                        meter.first_byte_at = time.monotonic()
                        exchange.start(200, sse.HEADERS)
                    exchange.write(events)
                    await exchange.drain()
                if stream.error is not None:
                    raise stream.error
            end = stream.finish()
        except (ApiError, UpstreamError) as failure:
            if not meter.first_byte_at:
                raise
            self._break_off(exchange, failure, upstream, meter)
            return
        if not meter.first_byte_at:
            meter.first_byte_at = time.monotonic()
            exchange.start(200, sse.HEADERS)
        self._end(exchange, end, 200, "ok", meter)

    def _break_off(
        self, exchange: Exchange, failure: ApiError | UpstreamError, upstream: Upstream, meter: Meter
    ) -> None:
        """End a stream that has begun with an error event."""
        outcome: Outcome = "upstream_error"
        if isinstance(failure, UpstreamError):
            failure, outcome = upstream_failure(failure, upstream.name)
        self._end(exchange, sse.error_event(failure), failure.status, outcome, meter)

    def _end(self, exchange: Exchange, end: bytes, status: int, outcome: Outcome, meter: Meter) -> None:
        """Record a stream, then end it; one that cannot be recorded does not end cleanly."""
        try:
            self._settle(meter, status, outcome)
        except ApiError as error:
            end = sse.error_event(error)
        exchange.write(end)
        exchange.finish()

    def _refuse(self, exchange: Exchange, meter: Meter, error: ApiError) -> None:
        """Record and answer a request that ends in an error."""
        try:
            self._settle(meter, error.status, meter.blame)
        except ApiError as unmetered:
            error = unmetered
        exchange.fail(error)

    def _record(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Settle where there is nobody left to tell that it failed."""
        try:
            self._settle(meter, status, outcome)
        except ApiError as error:
            log.error("a usage record was lost: %s", error)

    def _settle(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Write the usage record, once. Raises ApiError 503 if it cannot be written."""
        record = meter.settle(status, outcome)
        if record is None:
            return
        self._counters.of_request(record.endpoint, status, record.upstream, outcome, record.model_served).count(
            record.total_us, record.first_byte_us, record.prompt_tokens, record.cached_tokens, record.completion_tokens
        )
        try:
            self._journal.append(record)
        except JournalError as error:
            self._counters.journal_failures.add()
            raise _unmetered() from error


def _forwarded(exchange: Exchange, upstream: Upstream) -> bytes:
    """The client's headers that this upstream is configured to be given."""
    wanted = upstream.forward_headers
    if not wanted:
        return b""
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in exchange.headers if name in wanted)


async def _upstream_error(call: Call, response: Response, upstream: Upstream, meter: Meter) -> ApiError:
    """What an answer with another status than 200 means for the client."""
    meter.usage = nothing_used
    body = await response.read(_MAX_ERROR_BYTES)
    if 400 <= response.status < 500:
        meter.blame = "rejected"
    retry_after = retry_after_seconds(response.header(b"retry-after"))
    return upstream.translator.error(call, response.status, body, retry_after, upstream.name)


def _unmetered() -> ApiError:
    return ApiError(503, "Usage cannot be recorded right now.", code="metering_unavailable", retry_after=1)
