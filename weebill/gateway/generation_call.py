"""One call of an upstream that generates."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import msgspec

from weebill.apis.base import Api
from weebill.gateway.authentication import caller_of
from weebill.gateway.bounds import BIG
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.image_parts import may_have_images, place_of
from weebill.gateway.meter import Spending, Used
from weebill.gateway.off_loop import off_loop, off_loop_if
from weebill.gateway.opened import CompleteResponse, OpenedResponse, collect, read_beginning
from weebill.gateway.own_fields import encoded
from weebill.gateway.translation import from_events
from weebill.gateway.upstream_call import UpstreamCall
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import Answer, Translator, UpstreamRequest
from weebill.providers.given_images import images_of
from weebill.providers.usage import Estimate
from weebill.routing.deployments import Upstream
from weebill.routing.steps import Try
from weebill.transport.client import Response
from weebill.transport.exchange import Exchange
from weebill.wire import sse
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.surrogates import as_utf8

# Returns the translator for a deployment, by its dialect and all the dialects that its upstream speaks.
Translators = Callable[[str, frozenset[str]], Translator]


class GenerationCall(UpstreamCall[OpenedResponse]):
    """A `call` of an `api`, translated by one of the `translators`."""

    translate: Translator
    spoken: tuple[str, frozenset[str]]

    def __init__(
        self,
        upstreams: Upstreams,
        exchange: Exchange,
        api: Api,
        translators: Translators,
        call: Call,
        step: Try,
        spending: Spending,
    ) -> None:
        super().__init__(upstreams, exchange, step, spending, big=call.big, whole=not call.stream)
        self.api = api
        self.translators = translators
        self.call = call

    async def prepare(self, upstream: Upstream) -> None:
        """Has the images of the request decoded, or read for a model that sees none. Raises ApiError.

        They are held beside the body, and counted as that is.
        """
        call, deployment = self.call, self.step.deployment
        if not may_have_images(call):
            return
        drops = call.drops(deployment.target.on_unsupported)
        if drops and not call.drop_params:
            # As it is encoded.
            call = call.replaced(own=msgspec.structs.replace(call.own, drop_params=True))
        try:
            asked = await off_loop_if(call.big, partial(self.api.conversation, call))
        except ApiError:
            return  # what is wrong is said when it is encoded
        images = list(dict.fromkeys(images_of(asked)))
        if not images:
            return
        place = partial(place_of, call=call, otherwise=self.api.fields().get("turns", "messages"))
        inputs = deployment.capabilities.inputs
        sees = inputs is not None and "image" in inputs
        fitted = await self.upstreams.images.fitted(
            images, deployment.model, place, caller_of(self.exchange).key.id, sees=sees, drops=drops
        )
        if self.exchange.claim is not None:
            self.exchange.claim(fitted.size)
        self.call = self.call.replaced()
        self.call.images = fitted.given
        self.images_read, self.dropped = fitted.read, fitted.dropped
        self.big = True  # images that were decoded may be long, however short they were

    def encode(self, upstream: Upstream) -> UpstreamRequest:
        deployment = self.upstreams.with_known_limits(self.step.deployment, upstream)
        self.spoken = self.upstreams.spoken(deployment, upstream)
        self.translate = self.translators(*self.spoken)
        return encoded(self.translate, self.call, deployment, self.upstreams.directory)

    def expected_usage(self, request: UpstreamRequest) -> tuple[Used, int]:
        return Estimate(self.call), self.call.prompt_bytes()

    async def read(self, upstream: Upstream, response: Response, request: UpstreamRequest) -> OpenedResponse:
        call, translate, spending = self.call, self.translate, self.spending
        if call.stream:
            stream = translate.stream(call, request)
            opened = await read_beginning(upstream, response, stream, spending, self.upstreams.answers, big=call.big)
            if isinstance(opened.stream, BridgeStream):
                spending.dropped += tuple(opened.stream.dropped)
            return opened
        collector = translate.collect(call, request)
        if collector is None:
            body = response.body or await self.upstreams.whole(response)
            spending.first_byte_at = time.monotonic()
            big = len(body) >= BIG or call.big  # the answer may repeat the request
            try:
                if not big:
                    answer = translate.decode(call, request, as_utf8(body))
                else:
                    answer = await off_loop(partial(_decoded, translate, call, request, body))
                    self.upstreams.bodies.note(len(body))
            except UpstreamFailure:
                if not sse.is_streamed(body):
                    raise
                read = partial(from_events, translate, self.api, *self.spoken, call, request, body)
                answer = await off_loop_if(big, read)
        else:
            answer = await collect(response, collector, spending, self.upstreams.answers)
        spending.used = answer
        spending.dropped += answer.dropped
        return CompleteResponse(upstream, response, answer)

    def failure(self, upstream: Upstream, status: int, body: bytes, retry_after: float | None) -> UpstreamFailure:
        return self.translate.error(self.call, status, body, retry_after, upstream.name)

    def retries_in_other_form(self, upstream: Upstream, path: bytes, status: int, failure: BaseException) -> bool:
        """True if the upstream turns out to lack the Responses API, and is to be asked by Chat Completions."""
        return self.upstreams.notes_missing_api(upstream, path, status, failure)


def _decoded(translate: Translator, call: Call, request: UpstreamRequest, body: bytes) -> Answer:
    return translate.decode(call, request, as_utf8(sse.bounded(body)))
