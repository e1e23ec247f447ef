"""Counting a prompt's tokens, for the APIs that have an endpoint for it: an estimate, which asks no upstream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from weebill.apis import anthropic_count, gemini_count
from weebill.apis.anthropic import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.gemini import GEMINI
from weebill.gateway.meter import Meter
from weebill.gateway.metered import JSON, Metered
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import ApiError


@dataclass(frozen=True, slots=True)
class CountEndpoint:
    """An API's way to count: how its request is read (body and the path's tail) and its answer written."""

    name: str
    api: Api
    decode: Callable[[bytes, str], Call]
    estimate: Callable[[Call], int]
    answer: Callable[[int], bytes]


ANTHROPIC_COUNT: Final = CountEndpoint(
    "messages.count_tokens",
    ANTHROPIC,
    lambda body, tail: anthropic_count.decode_count(body),
    anthropic_count.estimate,
    anthropic_count.count_answer,
)
GEMINI_COUNT: Final = CountEndpoint(
    "countTokens", GEMINI, gemini_count.decode_count, gemini_count.estimate, gemini_count.count_answer
)


class Counting(Metered[CountEndpoint]):
    """Serves these endpoints of one worker."""

    async def _answer(self, exchange: Exchange, endpoint: CountEndpoint, tail: str, meter: Meter) -> None:
        call = endpoint.decode(await exchange.body(), tail)
        meter.model_asked = call.model
        self._upstreams.directory.resolve(call.model)
        body = endpoint.answer(endpoint.estimate(call))
        self._recorder.settle(meter, 200, "ok")
        exchange.respond(200, JSON, body)

    def _error_body(self, endpoint: CountEndpoint, error: ApiError) -> bytes:
        return endpoint.api.error_body(error)
