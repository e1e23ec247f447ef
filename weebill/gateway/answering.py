"""Sends answers to clients, complete or event by event.

The record is written before the last bytes are sent, so an answer that cannot be recorded does not end as complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from weebill.apis.base import KeepsResponse
from weebill.gateway.attempting import log_attempts
from weebill.gateway.bounds import BIG
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.failures import FAILED, client_error, upstream_failure
from weebill.gateway.memory import Answers
from weebill.gateway.off_loop import off_loop, off_loop_if
from weebill.gateway.opened import StreamingResponse, finished, over, relay_rest
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import C, E, Request
from weebill.providers.base import Answer
from weebill.routing.attempts import Attempts
from weebill.transport.errors import UpstreamError
from weebill.usage.records import Outcome
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure

# Returns the bytes that end a stream which has begun and failed.
Fail = Callable[[ApiError], bytes]


class Answering:
    """Sends answers, and has each recorded."""

    def __init__(self, recorder: Recorder, answers: Answers) -> None:
        """`answers` bounds the memory of answers under way."""
        self._recorder = recorder
        self._answers = answers

    async def complete(self, request: Request[E, C], answer: Answer, attempts: Attempts) -> None:
        """Sends a complete answer. Raises ApiError 503 if it cannot be stored or recorded."""
        exchange, meter = request.exchange, request.meter
        attempts.succeeded(time.monotonic(), meter.first_byte_at, answer.usage.completion_tokens)
        if attempts.log:
            log_attempts(attempts, exchange, meter, meter.upstream)
        if request.state is not None:
            await request.state.keep(request.call, meter.key_id, answer.body)
        self._recorder.settle(meter, 200, "ok")
        exchange.respond(200, answer.headers + meter.route, answer.body)
        if len(answer.body) >= BIG:
            await exchange.drain()  # it takes memory until the client has it

    async def streamed(
        self,
        request: Request[E, C],
        opened: StreamingResponse,
        attempts: Attempts,
        headers: bytes,
        fail: Fail | None,
        can_resume: Callable[[], bool] | None = None,
        *,
        events: bool = True,
    ) -> ApiError | UpstreamFailure | None:
        """Sends a stream event by event; `headers` are its header lines, and `events` is False for a stream of bytes.

        If it breaks off, it is ended with `fail`; but if `can_resume`, nothing is sent and the failure is returned.
        """
        exchange, meter, stream = request.exchange, request.meter, opened.stream
        attempts.answering()
        if not exchange.responded:
            exchange.start(200, headers + meter.route)
        tally = meter.tally()
        exchange.write(opened.held)
        opened.held = b""
        exchange.tally = tally
        try:
            await exchange.drain()
            end = b""
            # In a local variable: mypy would take `stream.error` for None from here on, and mypyc would enforce that.
            beginning = stream.error
            if beginning is not None:
                raise beginning
            if opened.chunks is not None:
                if not over(opened.response, stream):
                    await relay_rest(exchange, opened.response, stream, opened.chunks, self._answers, events=events)
                big = request.call.big
                end = await off_loop(partial(finished, stream, events)) if big else finished(stream, events)
                opened.response.release()
            attempts.succeeded(time.monotonic(), opened.first_at, stream.usage.completion_tokens, stream=True)
        except FAILED as failure:
            outcome: Outcome = "upstream_error"
            if isinstance(failure, UpstreamError):
                failure, outcome = upstream_failure(failure, meter.upstream)
            if can_resume is not None and can_resume():
                meter.blame = outcome
                return failure
            attempts.broke_off(failure, time.monotonic())
            log_attempts(attempts, exchange, meter, "none")
            await self.broken_off(request, client_error(failure), outcome, fail)
            return None
        except BaseException:
            attempts.cancelled()
            raise
        log_attempts(attempts, exchange, meter, meter.upstream)
        if isinstance(stream, BridgeStream):
            meter.dropped = tuple(dict.fromkeys((*meter.dropped, *stream.dropped)))
        try:
            if request.state is not None and isinstance(stream, KeepsResponse):
                await request.state.keep(request.call, meter.key_id, stream.response)
            self._recorder.settle(meter, 200, "ok")
        except ApiError as error:
            await self.broken_off(request, error, "upstream_error", fail)
            return None
        exchange.write(end)
        exchange.finish()
        return None

    async def broken_off(self, request: Request[E, C], error: ApiError, outcome: Outcome, fail: Fail | None) -> None:
        """Records a stream that failed, and ends it so that it does not look complete: with `fail`, else by a reset."""
        exchange = request.exchange
        try:
            self._recorder.settle(request.meter, error.status, outcome)
        except ApiError as unmetered:
            error = unmetered
        if fail is None:
            exchange.abort()
            return
        # Some APIs repeat the request in that event.
        exchange.write(await off_loop_if(request.call.big, partial(fail, error)))
        exchange.finish()
