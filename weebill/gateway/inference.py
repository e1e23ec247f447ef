"""A request to generate, of whatever API, from its body to its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from math import inf
from typing import Final

from weebill.apis.base import Api, KeepsResponse
from weebill.gateway.attempting import Open, deadline_of, first_answered, tell
from weebill.gateway.authentication import Authenticator
from weebill.gateway.bounds import BIG, bounded, check_fields
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.failures import FAILED, client_error, retry_after_seconds, upstream_failure, upstream_said
from weebill.gateway.hedging import hedged
from weebill.gateway.keepalive import KeepAlive, interval_s
from weebill.gateway.legs import Begun, Leg, Whole, begun, collected, over, passed_on
from weebill.gateway.meter import NOTHING, Meter, Spending
from weebill.gateway.metered import (
    ERROR_PATIENCE_S,
    JSON,
    MAX_ERROR_BYTES,
    Metered,
    Recorder,
    Upstreams,
)
from weebill.gateway.off_loop import off_loop, off_loop_if, once_known
from weebill.gateway.own_fields import encoded
from weebill.gateway.responses import ResponseState
from weebill.gateway.resuming import Story, StoryStream, only_continuing
from weebill.gateway.translation import failure as failure_event
from weebill.gateway.translation import from_events, translator
from weebill.providers.base import Answer, Translator, UpstreamRequest
from weebill.providers.usage import Estimate
from weebill.routing.attempts import Attempts
from weebill.routing.deployments import Upstream
from weebill.routing.foreign import held_to
from weebill.routing.router import Asked
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.errors import UpstreamError, unsent
from weebill.transport.exchange import Exchange
from weebill.transport.sweeper import Sweeper
from weebill.usage.records import Outcome
from weebill.wire import sse
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.surrogates import as_utf8, mended

# What translates for a deployment, by its dialect and all that its upstream speaks.
Translators = Callable[[str, frozenset[str]], Translator]

_NO_HEADERS: Final[dict[bytes, bytes]] = {}
# The statuses that come with an answer; not all servers have chosen theirs with care.
_ANSWERED: Final = frozenset({200, 201, 202, 203})


class Inference(Metered[Api]):
    """Serves the generation endpoints of one worker; with `state`, those that build on earlier answers."""

    def __init__(
        self,
        authenticator: Authenticator,
        recorder: Recorder,
        upstreams: Upstreams,
        state: ResponseState | None = None,
    ) -> None:
        super().__init__(authenticator, recorder, upstreams)
        self._state = state
        self._kept: Sweeper[KeepAlive] = Sweeper(interval_s(inf))

    async def _answer(self, exchange: Exchange, endpoint: Api, tail: str, meter: Meter) -> None:
        headers = _own_headers(exchange, endpoint) if endpoint.headers else _NO_HEADERS
        body = exchange.received
        if body is None:
            body = await exchange.body()
        limits = self._upstreams.limits
        if len(body) < BIG:  # as `read_call`, but for the costs of another coroutine
            call = endpoint.decode(mended(body), headers, tail)
            if len(call.fields) > limits.fields:
                check_fields(call.fields, limits)
        else:
            call = await off_loop(partial(bounded, body, partial(_decoded, endpoint, headers, tail), limits))
        if self._upstreams.names_served:
            call.as_served = True
        meter.model_asked = call.model
        meter.stream = call.stream
        if self._state is not None:
            call = await self._state.prepare(call, meter.key_id)
        silence_s = self._upstreams.settings.keepalive_s
        if call.stream and silence_s:
            await self._serve_kept(exchange, endpoint, call, meter, silence_s)
        else:
            await self._serve(exchange, endpoint, call, meter)

    async def _serve_kept(self, exchange: Exchange, api: Api, call: Call, meter: Meter, silence_s: float) -> None:
        """Answer with a stream that gives signs of life, even before there is anything to answer with."""
        kept = KeepAlive(exchange, api, call, meter, silence_s)
        self._kept.interval = interval_s(silence_s)
        self._kept.add(kept)
        try:
            await self._serve(exchange, api, call, meter)
        except ApiError as error:
            if not exchange.responded:
                raise
            fail = api.stream(call).fail
            self._end(exchange, fail(error), error.status, meter.blame, fail, meter)
        finally:
            self._kept.discard(kept)

    def _serve(self, exchange: Exchange, api: Api, call: Call, meter: Meter) -> Coroutine[None, None, None]:
        """Route, call, answer. Raises ApiError for what ends without an answer."""
        router = self._upstreams.router
        asked = Asked(call, meter.key_id, meter.key_name, api.conversation)
        deadline = deadline_of(exchange, meter, router.deadline_s)
        if call.big:
            return self._serve_big(exchange, api, call, asked, deadline, meter)
        return self._serve_routed(exchange, api, call, router.route(asked, time.monotonic(), deadline), meter)

    async def _serve_big(
        self, exchange: Exchange, api: Api, call: Call, asked: Asked, deadline: float, meter: Meter
    ) -> None:
        route = partial(self._upstreams.router.route, asked, time.monotonic(), deadline)
        await self._serve_routed(exchange, api, call, await once_known(asked.needs, route), meter)

    async def _serve_routed(self, exchange: Exchange, api: Api, call: Call, attempts: Attempts, meter: Meter) -> None:
        wanted = attempts.wanted
        call = held_to(call, wanted)
        story = Story(api, call) if wanted.resume and call.stream else None
        translators: Translators = partial(translator, api) if story is None else story.translator
        open_leg = partial(self._open, exchange, api, translators, call)
        leg: Leg
        if wanted.hedge:
            leg, attempts = await hedged(attempts, exchange, meter, open_leg, self._give_up, stream=call.stream)
        else:
            leg = await first_answered(attempts, exchange, meter, open_leg)
        if isinstance(leg, Begun) and isinstance(leg.stream, StoryStream):
            # That of the one who answers, of all that were asked.
            story = leg.stream.story
            open_leg = partial(self._open, exchange, api, story.translator, call)
        while True:
            failure = None
            try:
                if isinstance(leg, Whole):
                    await self._respond_whole(exchange, leg.answer, call, attempts, meter)
                else:
                    failure = await self._relay(exchange, leg, call, api, attempts, meter, story)
            finally:
                self._give_up(leg)
            if failure is None or story is None:
                return
            going_on = await self._resumed(exchange, failure, story, attempts, meter, open_leg)
            if going_on is None:
                return
            leg = going_on

    async def _open(
        self, exchange: Exchange, api: Api, translators: Translators, call: Call, step: Try, spending: Spending
    ) -> Leg:
        """Call an upstream until it has answered, or a stream has begun to. Raises one of FAILED."""
        deployment = step.deployment
        upstream = self._upstreams.enter(deployment)
        response: Response | None = None
        path = b""
        try:
            deployment = self._upstreams.as_known(deployment, upstream)
            spoken = self._upstreams.spoken(deployment, upstream)
            translate = translators(*spoken)
            directory = self._upstreams.directory
            if call.big:  # as `off_loop_if`, but for the costs of another coroutine
                request = await off_loop(partial(encoded, translate, call, deployment, directory))
            else:
                request = encoded(translate, call, deployment, directory)
            spending.dropped = request.dropped
            path = request.path
            spending.ask(Estimate(call), len(request.body))
            response = await self._upstreams.send(exchange, upstream, request, step, whole=not call.stream)
            spending.status = response.status
            if response.status not in _ANSWERED:
                raise await _upstream_error(call, response, translate, upstream, step, request.path, spending)
            if call.stream:
                leg = await begun(upstream, response, translate.stream(call, request), spending)
                if isinstance(leg.stream, BridgeStream):
                    spending.dropped += tuple(leg.stream.dropped)
                return leg
            collector = translate.collect(call, request)
            if collector is None:
                body = response.body or await self._upstreams.whole(response)
                spending.first_byte_at = time.monotonic()
                big = len(body) >= BIG or call.big  # what was asked may come back in the answer
                try:
                    if not big:
                        answer = translate.decode(call, request, as_utf8(body))
                    else:
                        answer = await off_loop(partial(_decoded_answer, translate, call, request, body))
                        self._upstreams.bodies.note(len(body))
                except UpstreamFailure:
                    if not sse.is_streamed(body):
                        raise
                    answer = await off_loop_if(big, partial(from_events, translate, api, *spoken, call, request, body))
            else:
                answer = await collected(response, collector, spending)
            spending.used = answer
            spending.dropped += answer.dropped
            return Whole(upstream, response, answer)
        except BaseException as failure:
            if response is None and unsent(failure):
                spending.used = NOTHING
            self._upstreams.leave(upstream, response)
            if response is None or not self._upstreams.learns(upstream, path, response.status, failure):
                raise
            return await self._open(exchange, api, translators, call, step, spending)

    def _give_up(self, leg: Leg) -> None:
        self._upstreams.leave(leg.upstream, leg.response)

    async def _respond_whole(
        self, exchange: Exchange, answer: Answer, call: Call, attempts: Attempts, meter: Meter
    ) -> None:
        attempts.succeeded(time.monotonic(), meter.first_byte_at, answer.usage.completion_tokens)
        if attempts.log:
            tell(attempts, exchange, meter, meter.upstream)
        if self._state is not None:
            await self._state.keep(call, meter.key_id, answer.body)
        self._recorder.settle(meter, 200, "ok")
        exchange.respond(200, JSON + meter.route, answer.body)
        if len(answer.body) >= BIG:
            await exchange.drain()  # it takes memory until the client has it

    def _error_body(self, endpoint: Api, error: ApiError) -> bytes:
        return endpoint.error_body(error)

    async def _relay(
        self,
        exchange: Exchange,
        leg: Begun,
        call: Call,
        api: Api,
        attempts: Attempts,
        meter: Meter,
        story: Story | None = None,
    ) -> ApiError | UpstreamFailure | None:
        """A stream that has begun, event by event. What it broke off with, where the `story` can go on elsewhere."""
        stream = leg.stream
        fail = partial(failure_event, api, stream)
        attempts.answering()
        if not exchange.responded:
            exchange.start(200, api.stream_headers(call) + meter.route)
        tally = meter.tally()
        exchange.write(as_utf8(leg.held))
        exchange.tally = tally
        try:
            await exchange.drain()
            end = b""
            # By a name of its own: mypy would think `stream.error` None from here on, and mypyc would hold it to that.
            beginning = stream.error
            if beginning is not None:
                raise beginning
            if leg.chunks is not None:
                if not over(leg.response, stream):
                    await passed_on(exchange, leg.response, stream, leg.chunks, events=True)
                end = as_utf8(stream.finish())
                leg.response.release()
            attempts.succeeded(time.monotonic(), leg.first_at, stream.usage.completion_tokens, stream=True)
        except FAILED as failure:
            outcome: Outcome = "upstream_error"
            if isinstance(failure, UpstreamError):
                failure, outcome = upstream_failure(failure, meter.upstream)
            if story is not None and story.can_go_on:
                meter.blame = outcome
                return failure
            attempts.broke_off(failure, time.monotonic())
            tell(attempts, exchange, meter, "none")
            error = client_error(failure)
            self._end(exchange, fail(error), error.status, outcome, fail, meter)
            return None
        except BaseException:
            attempts.cancelled()
            raise
        tell(attempts, exchange, meter, meter.upstream)
        if isinstance(stream, BridgeStream):
            meter.dropped = tuple(dict.fromkeys((*meter.dropped, *stream.dropped)))
        try:
            if self._state is not None and isinstance(stream, KeepsResponse):
                await self._state.keep(call, meter.key_id, stream.response)
        except ApiError as failure:
            self._end(exchange, fail(failure), failure.status, "upstream_error", fail, meter)
            return None
        self._end(exchange, end, 200, "ok", fail, meter)
        return None

    async def _resumed(
        self,
        exchange: Exchange,
        failure: ApiError | UpstreamFailure,
        story: Story,
        attempts: Attempts,
        meter: Meter,
        open_leg: Open[Leg],
    ) -> Begun | None:
        """Another stream that goes on with a story that broke off with `failure`; None if nobody does."""
        first_byte_at, blame, dropped = meter.first_byte_at, meter.blame, meter.dropped
        exchange.tally = None
        attempts.failed(failure, time.monotonic())
        story.go_on()
        try:
            leg = await first_answered(attempts, exchange, meter, partial(only_continuing, open_leg))
        except ApiError:
            meter.first_byte_at = first_byte_at
            error = client_error(failure)
            self._end(exchange, story.fail(error), error.status, blame, story.fail, meter)
            return None
        meter.first_byte_at = first_byte_at
        # Both have answered.
        meter.dropped = tuple(dict.fromkeys((*dropped, *meter.dropped)))
        exchange.write(story.mark(meter.upstream))
        assert isinstance(leg, Begun)  # noqa: S101 - a stream was asked for
        return leg

    def _end(
        self,
        exchange: Exchange,
        end: bytes,
        status: int,
        outcome: Outcome,
        fail: Callable[[ApiError], bytes],
        meter: Meter,
    ) -> None:
        """Record a stream, then end it; one that cannot be recorded does not end cleanly, but as `fail` says."""
        try:
            self._recorder.settle(meter, status, outcome)
        except ApiError as error:
            end = fail(error)
        exchange.write(end)
        exchange.finish()


def _decoded(endpoint: Api, headers: Mapping[bytes, bytes], tail: str, body: bytes) -> Call:
    return endpoint.decode(mended(body), headers, tail)


def _decoded_answer(translate: Translator, call: Call, request: UpstreamRequest, body: bytes) -> Answer:
    return translate.decode(call, request, as_utf8(sse.bounded(body)))


def _own_headers(exchange: Exchange, api: Api) -> dict[bytes, bytes]:
    """The client's headers that belong to the API's requests."""
    return {name: value for name, value in exchange.headers if name in api.headers}


async def _upstream_error(
    call: Call,
    response: Response,
    translate: Translator,
    upstream: Upstream,
    step: Try,
    path: bytes,
    spending: Spending,
) -> UpstreamFailure:
    """Reads an answer with a status of another kind."""
    spending.used = NOTHING
    # What it says may break off; that it refuses has been said by then.
    body = await response.read_some(MAX_ERROR_BYTES, ERROR_PATIENCE_S)
    if 400 <= response.status < 500:
        spending.blame = "rejected"
    failed = translate.error(call, response.status, body, retry_after_seconds(response), upstream.name)
    return upstream_said(failed, body, upstream, step.credential, path)
