"""The chain of stages.

A stage is constructed with its successor. Called with a request, it returns the coroutine that answers the request. A
stage that awaits nothing returns its successor's coroutine directly, which saves a coroutine for each request.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Generic

from weebill.gateway.request import C, E, Request
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

Stage = Callable[[Request[E, C]], Coroutine[None, None, None]]


class Chain(Generic[E, C]):
    """Stages that answer the requests to endpoints of one kind."""

    def __init__(self, last: Stage[E, C], *stages: Callable[[Stage[E, C]], Stage[E, C]]) -> None:
        """`stages` are in the order of passing; `last` answers."""
        for stage in reversed(stages):
            last = stage(last)
        self._first = last

    def serve(self, exchange: Exchange, endpoint: E, tail: str = "") -> Coroutine[None, None, None]:
        """Answers one request; `tail` is the part of the URL below the endpoint's path."""
        request: Request[E, C] = Request(exchange, endpoint, tail)
        try:
            return self._first(request)
        except ApiError as error:
            request.refuse(error)
            return _answered()


async def _answered() -> None:
    """Does nothing: the request has been answered."""
