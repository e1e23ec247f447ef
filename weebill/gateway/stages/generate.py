"""Generate: calls the upstreams that serve a request's name, and sends the answer to the client.

1. The name is routed, which gives `Attempts`: whom to call next, and what follows a failure.
2. Upstreams are called until one answers (`attempting`), or two at once if hedging is asked for (`hedging`).
3. The answer is sent (`answering`). A stream that breaks off is resumed elsewhere, if that is asked for (`resuming`).
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from functools import partial

from weebill.apis.base import Api
from weebill.gateway.answering import Answering
from weebill.gateway.attempting import Open, deadline_of, first_answered
from weebill.gateway.failures import client_error
from weebill.gateway.generation_call import GenerationCall, Translators
from weebill.gateway.hedging import hedged
from weebill.gateway.meter import Spending
from weebill.gateway.off_loop import with_requirements
from weebill.gateway.opened import CompleteResponse, OpenedResponse, StreamingResponse
from weebill.gateway.request import Request
from weebill.gateway.resuming import ResumableAnswer, ResumableStream, only_continuing
from weebill.gateway.translation import failure as failure_event
from weebill.gateway.translation import translator
from weebill.gateway.upstreams import Upstreams
from weebill.routing.attempts import Attempts
from weebill.routing.openrouter import with_preferences
from weebill.routing.router import Router, RouteRequest
from weebill.routing.steps import Try
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure


class Generate:
    """The last stage of a request to an API that generates."""

    def __init__(self, upstreams: Upstreams, answering: Answering) -> None:
        self._upstreams = upstreams
        self._answering = answering

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        """Raises ApiError if there is no answer."""
        router, meter, call = self._upstreams.router_of(request.caller), request.meter, request.call
        conversation, of_key = request.endpoint.conversation, request.caller.preferences
        asked = RouteRequest(call, meter.key_id, meter.key_name, conversation, of_key=of_key)
        deadline = deadline_of(request.exchange, meter, router.deadline_s)
        if call.big:
            return self._serve_big(request, router, asked, deadline)
        return self.serve(request, router.route(asked, time.monotonic(), deadline))

    async def _serve_big(
        self, request: Request[Api, Call], router: Router, asked: RouteRequest, deadline: float
    ) -> None:
        route = partial(router.route, asked, time.monotonic(), deadline)
        await self.serve(request, await with_requirements(asked.needs, route))

    async def serve(self, request: Request[Api, Call], attempts: Attempts) -> None:
        """Answers with the first of the `attempts` that succeeds. Raises ApiError."""
        exchange, api, meter = request.exchange, request.endpoint, request.meter
        wanted = attempts.wanted
        call = request.call = with_preferences(request.call, wanted)
        resumable = ResumableAnswer(api, call) if wanted.resume and call.stream else None
        opening = self.opening(request, partial(translator, api) if resumable is None else resumable.translator, call)
        limited_log = self._upstreams.limited_log
        opened: OpenedResponse
        if wanted.hedge:
            opened, attempts = await hedged(
                attempts, exchange, meter, opening, limited_log, self.give_up, stream=call.stream
            )
        else:
            opened = await first_answered(attempts, exchange, meter, opening, limited_log)
        if isinstance(opened, StreamingResponse) and isinstance(opened.stream, ResumableStream):
            # With hedging there were several; this is the one of the stream that won.
            resumable = opened.stream.resumable
            opening = self.opening(request, resumable.translator, call)
        while True:
            try:
                failure = await self.answer(request, opened, attempts, resumable)
            finally:
                self.give_up(opened)
            if failure is None or resumable is None:
                return
            going_on = await self._resumed(request, failure, resumable, attempts, opening)
            if going_on is None:
                return
            opened = going_on

    def opening(self, request: Request[Api, Call], translators: Translators, call: Call) -> Open[OpenedResponse]:
        """Returns a function that calls upstreams for `call`, which may differ from the request's own."""
        return partial(_open, self._upstreams, request, translators, call)

    def answer(
        self,
        request: Request[Api, Call],
        opened: OpenedResponse,
        attempts: Attempts,
        resumable: ResumableAnswer | None = None,
    ) -> Coroutine[None, None, ApiError | UpstreamFailure | None]:
        """Sends the answer. Returns the failure that it broke off with, if `resumable` can continue elsewhere."""
        if isinstance(opened, CompleteResponse):
            return self._answering.complete(request, opened.answer, attempts)
        api = request.endpoint
        return self._answering.streamed(
            request,
            opened,
            attempts,
            api.stream_headers(request.call),
            partial(failure_event, api, opened.stream),
            None if resumable is None else resumable.can_resume,
        )

    def give_up(self, opened: OpenedResponse) -> None:
        """Releases an answer of which nothing more is read."""
        self._upstreams.leave(opened.upstream, opened.response)

    async def _resumed(
        self,
        request: Request[Api, Call],
        failure: ApiError | UpstreamFailure,
        resumable: ResumableAnswer,
        attempts: Attempts,
        opening: Open[OpenedResponse],
    ) -> StreamingResponse | None:
        """Returns a stream that continues the answer that broke off with `failure`; None if no deployment can."""
        exchange, meter = request.exchange, request.meter
        first_byte_at, blame, dropped = meter.first_byte_at, meter.blame, meter.dropped
        exchange.tally = None
        attempts.failed(failure, time.monotonic())
        resumable.resume()
        continuing = partial(only_continuing, opening)
        try:
            opened = await first_answered(attempts, exchange, meter, continuing, self._upstreams.limited_log)
        except ApiError:
            meter.first_byte_at = first_byte_at
            await self._answering.broken_off(request, client_error(failure), blame, resumable.fail)
            return None
        meter.first_byte_at = first_byte_at
        # Both upstreams have answered.
        meter.dropped = tuple(dict.fromkeys((*dropped, *meter.dropped)))
        exchange.write(resumable.mark(meter.upstream))
        assert isinstance(opened, StreamingResponse)  # noqa: S101 - a stream was asked for
        return opened


def _open(
    upstreams: Upstreams,
    request: Request[Api, Call],
    translators: Translators,
    call: Call,
    step: Try,
    spending: Spending,
) -> Coroutine[None, None, OpenedResponse]:
    return GenerationCall(upstreams, request.exchange, request.endpoint, translators, call, step, spending).open()
