"""Holds requests to the limits of their keys, and tells clients of them. The arithmetic is `weebill.limits`."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Final

from weebill.config.limits import LimitSettings
from weebill.gateway.request import C, E, Request
from weebill.limits.book import Book, Hold
from weebill.limits.bounds import Bound, bound_of, most_nano
from weebill.limits.refusals import Lines, anthropic_lines, lines_of, openai_lines, refusal, unavailable, unpriced
from weebill.limits.slices import BETWEEN, Allowed, Short
from weebill.process.questions import Unanswered
from weebill.routing.deployments import Deployment
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call

_ANTHROPIC: Final = b"/messages"
_REQUESTS: Final = "requests"
_TOKENS: Final = "tokens"


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
        now = time.time()
        began_us = int((now - (time.monotonic() - exchange.started_at)) * 1e6)
        others = call.own.models
        names = BETWEEN.join((call.model, *others)) if others else call.model
        hold = self._book.hold(allowed, names, began_us)
        waiting = hold.enter()
        if waiting is not None:
            return self._enter_later(request, hold, waiting)
        request.meter.hold = hold
        if hold.grant.requests:
            exchange.add_headers(lines_of(_REQUESTS, hold.grant.requests, now, _lines_for(exchange)))
        return None

    async def cover(self, hold: Hold, exchange: Exchange, tokens: int, nano: int) -> None:
        """Reserves what a call may take. Raises OverLimit, ApiError 503."""
        waiting = hold.cover(tokens, nano)
        try:
            if waiting is not None:
                await _granted(waiting)
        finally:
            if not hold.told and hold.grant.tokens:
                hold.told = True
                exchange.add_headers(lines_of(_TOKENS, hold.grant.tokens, time.time(), _lines_for(exchange)))

    def nano_of(self, hold: Hold, deployment: Deployment, bound: Bound) -> int:
        """Returns the most that a call costs, in nano-dollars, if that is limited. Raises OverLimit if the price is not
        known.
        """
        spend = hold.grant.spend
        if not spend:
            return 0
        price = deployment.price.price
        if price is not None:
            return most_nano(price, bound)
        if self._unpriced_is_free:
            return 0
        raise unpriced(spend[0].limit, deployment.model)

    async def _enter_later(self, request: Request[E, C], hold: Hold, waiting: Coroutine[None, None, None]) -> None:
        exchange = request.exchange
        try:
            await _granted(waiting)
            request.meter.hold = hold
        finally:
            if hold.grant.requests:
                exchange.add_headers(lines_of(_REQUESTS, hold.grant.requests, time.time(), _lines_for(exchange)))


def most_of(deployment: Deployment, body: bytes, *, writes: bool) -> Bound:
    """Returns the most tokens that a call of a deployment may take, with this body."""
    known = deployment.capabilities
    if not writes:
        return bound_of(body, 0, None)
    return bound_of(body, known.max_output, known.context)


async def _granted(waiting: Coroutine[None, None, None]) -> None:
    """Raises OverLimit, ApiError 503."""
    try:
        await waiting
    except Short as short:
        raise refusal(short, time.time()) from None
    except Unanswered as error:
        raise unavailable() from error


def _lines_for(exchange: Exchange) -> Lines:
    return anthropic_lines if _ANTHROPIC in exchange.path else openai_lines
