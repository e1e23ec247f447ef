"""The task that runs the handler for a connection's requests."""

from __future__ import annotations

import asyncio
import logging

from weebill.transport.exchange import Exchange, Handler
from weebill.transport.server_state import ServerState
from weebill.wire.errors import ApiError

logger = logging.getLogger(__name__)


class Serving:
    """Runs the handler for one exchange after another: a task for each would cost more than many handlers do.

    Cancelling one ends the task, as the connection is of no more use. It does not refer to its connection, which would
    be a cycle for the collector.
    """

    __slots__ = ("_closed", "_due", "_handler", "_server", "_task", "_wake")

    def __init__(self, server: ServerState, handler: Handler) -> None:
        self._server = server
        self._handler = handler
        self._closed = False
        self._due: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None  # while there is nothing to do

    def start(self, exchange: Exchange) -> None:
        """Runs the handler for `exchange` soon; the one before has ended, or is about to."""
        self._due = exchange
        if self._task is None:
            self._task = asyncio.Task(self._run(), loop=self._server.loop)
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        exchange.task = self._task

    def close(self) -> None:
        """Ends after the handler that may still run, such as one that joined raw streams."""
        self._closed = True
        if self._task is not None and self._wake is not None:
            self._task.cancel()

    async def _run(self) -> None:
        pipelined = False
        try:
            while not self._closed:
                exchange = self._due
                if exchange is None:
                    self._wake = self._server.loop.create_future()
                    await self._wake
                    self._wake = None
                    pipelined = False
                else:
                    if pipelined:  # other tasks take turns in between
                        await asyncio.sleep(0)
                    self._due = None
                    await self._serve(exchange)
                    pipelined = True
        finally:
            self._task = self._wake = None

    async def _serve(self, exchange: Exchange) -> None:
        """Runs the handler; whatever it does, the exchange ends."""
        # Counted here, not in `start`: a task that is cancelled before its first step never gets here.
        self._server.active += 1
        try:
            await self._handler(exchange)
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
            exchange.handler_ended()


def end_with(exchange: Exchange, error: ApiError) -> None:
    """Answers with an error, or breaks off an answer that has begun."""
    if exchange.responded:
        exchange.abort()
    else:
        exchange.fail(error)
