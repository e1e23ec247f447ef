"""Holds requests to the limits of their keys, and tells clients of them. The arithmetic is `weebill.limits`."""

from __future__ import annotations

from collections.abc import Coroutine
from time import monotonic, time
from typing import Final

from weebill.config.limits import LimitSettings
from weebill.gateway.request import C, E, Request
from weebill.limits.book import Book
from weebill.limits.bounds import Bound, bound_of
from weebill.limits.headers import ANTHROPIC
from weebill.limits.hold import Hold
from weebill.limits.refusals import refusal, unavailable, unpriced
from weebill.limits.slices import BETWEEN, Allowed, Short
from weebill.process.questions import Unanswered
from weebill.routing.deployments import Deployment
from weebill.wire.call import Call

_ANTHROPICS: Final = frozenset({"messages", "messages.count_tokens"})
# What clients say of how long an answer may become, where they can.
_MOST_WRITTEN: Final = {
    "chat.completions": "`max_tokens` or `max_completion_tokens`",
    "completions": "`max_tokens`",
    "messages": "`max_tokens`",
    "responses": "`max_output_tokens`",
    "generateContent": "`generationConfig.maxOutputTokens`",
    "ollama.chat": "`options.num_predict`",
    "ollama.generate": "`options.num_predict`",
}


class Limiter:
    """Admits the requests of one worker within the slices of its `book`."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._unpriced_is_free = False

    def configure(self, settings: LimitSettings) -> None:
        """Applies reloaded settings."""
        self._unpriced_is_free = settings.unpriced == "free"

    async def admit(self, request: Request[E, C], call: Call) -> None:
        """Has a request take its part of limits of requests. Raises OverLimit, ApiError 503."""
        allowed = request.caller.allowed
        if allowed is not None:
            waiting = self.enter(request, allowed, call)
            if waiting is not None:
                await waiting

    def enter(self, request: Request[E, C], allowed: Allowed, call: Call) -> Coroutine[None, None, None] | None:
        """Does the same; returns what is to be awaited, if anything is."""
        exchange = request.exchange
        began_us = int((time() - (monotonic() - exchange.started_at)) * 1e6)
        others = call.own.models
        names = BETWEEN.join((call.model, *others)) if others else call.model
        hold = self._book.hold(allowed, names, began_us)
        hold.endpoint = request.endpoint.name
        if hold.endpoint in _ANTHROPICS:
            hold.form = ANTHROPIC
        exchange.late_headers = hold.lines
        waiting = hold.enter()
        if waiting is not None:
            return self._enter_later(request, hold, waiting)
        request.meter.hold = hold
        return None

    def nano_of(self, hold: Hold, deployment: Deployment, bound: Bound) -> int:
        """Returns the most that a call costs, in nano-dollars, if that is limited. Raises OverLimit if the price is not
        known.
        """
        spend = hold.grant.spend
        if not spend:
            return 0
        tariff = deployment.price
        if tariff.price is not None:
            return tariff.most_nano(bound.prompt, bound.answer)
        if self._unpriced_is_free:
            return 0
        raise unpriced(spend[0].slices[0].limit, deployment.model)

    async def _enter_later(self, request: Request[E, C], hold: Hold, waiting: Coroutine[None, None, None]) -> None:
        await granted(waiting, hold)
        request.meter.hold = hold


def most_of(deployment: Deployment, body: bytes, *, writes: bool) -> Bound:
    """Returns the most tokens that a call of a deployment may take, with this body."""
    known = deployment.capabilities
    return bound_of(body, known.max_output, known.context) if writes else bound_of(body, 0, None)


async def granted(waiting: Coroutine[None, None, None], hold: Hold) -> None:
    """Waits for what a hold is short of. Raises OverLimit, ApiError 503."""
    try:
        await waiting
    except Short as short:
        raise refusal(short, time(), _MOST_WRITTEN.get(hold.endpoint, "")) from None
    except Unanswered as error:
        raise unavailable() from error
