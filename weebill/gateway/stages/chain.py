"""How stages follow one another.

A stage is made with what follows it, and called with a request: it gives the coroutine that answers the request. One
with nothing to wait for, and nothing to do afterwards, gives that of what follows, so that it costs one call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Generic

from weebill.gateway.request import C, E, Request
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

Following = Callable[[Request[E, C]], Coroutine[None, None, None]]


class Chain(Generic[E, C]):
    """Stages that answer the requests to endpoints of one kind."""

    def __init__(self, last: Following[E, C], *stages: Callable[[Following[E, C]], Following[E, C]]) -> None:
        """The `stages` are in the order in which they are gone through; `last` answers."""
        for stage in reversed(stages):
            last = stage(last)
        self._first = last

    def serve(self, exchange: Exchange, endpoint: E, tail: str = "") -> Coroutine[None, None, None]:
        """Answer one request; `tail` is what follows the endpoint's path."""
        request: Request[E, C] = Request(exchange, endpoint, tail)
        try:
            return self._first(request)
        except ApiError as error:
            request.refuse(error)
            return _answered()


async def _answered() -> None:
    """Nothing is left to do."""
