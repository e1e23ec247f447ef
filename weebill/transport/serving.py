"""The task that runs the handler for a connection's requests."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

if TYPE_CHECKING:
    from weebill.transport.connection import ServerConnection

logger = logging.getLogger(__name__)


class Serving:
    """Runs the handler for one exchange after another: a task for each would cost more than many a handler does.

    Who cancels one ends them all, for its connection is of no more use.
    """

    __slots__ = ("_connection", "_due", "_task", "_wake")

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._due: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None  # while there is nothing to do

    def start(self, exchange: Exchange) -> None:
        """Run the handler for `exchange` soon; that for the one before has ended, or is about to."""
        self._due = exchange
        if self._task is None:
            self._task = asyncio.Task(self._run(), loop=self._connection.server.loop)
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        exchange.task = self._task

    def close(self) -> None:
        """No more will come."""
        if self._task is not None and self._wake is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                exchange = self._due
                if exchange is None:
                    self._wake = self._connection.server.loop.create_future()
                    await self._wake
                    self._wake = None
                else:
                    self._due = None
                    await self._serve(exchange)
        finally:
            self._task = self._wake = None

    async def _serve(self, exchange: Exchange) -> None:
        """Run the handler; whatever it does, the exchange ends."""
        server = self._connection.server
        # Counted here and not where it was started: one that is cancelled before its first step never gets here.
        server.active += 1
        try:
            await server.handler(exchange)
            if not exchange.complete:
                if exchange.responded:
                    exchange.abort()
                else:
                    raise RuntimeError("the handler has given no answer")
        except asyncio.CancelledError:
            exchange.abort()
            raise
        except ApiError as error:
            end_with(exchange, error)
        except Exception:
            logger.exception("request failed", extra={"request_id": exchange.request_id})
            end_with(exchange, ApiError(500, "Internal error; see the server's log.", code="internal_error"))
        finally:
            self._connection.handler_ended(exchange)


def end_with(exchange: Exchange, error: ApiError) -> None:
    """Answer with an error, or break off an answer that has begun."""
    if exchange.responded:
        exchange.abort()
    else:
        exchange.fail(error)
