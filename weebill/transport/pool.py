"""The keep-alive connections of one origin.

1. A request takes the idle connection that was used last, so that surplus ones expire (`take`).
2. Without one, it opens a connection; at the limit it waits for one that comes free (`open`).
3. A free connection goes to the first waiter, else it is idle (`release`); a closed one leaves its slot to the first
   waiter (`discard`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from weebill.transport.dialing import dial
from weebill.transport.errors import PoolFull, UpstreamConnectError, UpstreamCut, UpstreamTimeout, cancelled_unsent
from weebill.transport.limits import MAX_WAITERS
from weebill.transport.origin import Origin
from weebill.transport.sweeper import Sweeper
from weebill.transport.tls import ClientContexts
from weebill.transport.upstream import Owner, UpstreamConnection


class Pool(Owner):
    """At most `origin.max_connections` connections.

    `on_empty` is called when no connection and no waiter is left. `forwards` is True if a proxy forwards the requests.
    """

    __slots__ = (
        "_contexts", "_idle", "_loop", "_on_empty", "_size", "_sweeper", "_waiters", "forwards", "origin",
    )  # fmt: skip

    def __init__(
        self,
        origin: Origin,
        contexts: ClientContexts,
        idle_expiry_s: float,
        sweeper: Sweeper[UpstreamConnection],
        on_empty: Callable[[Pool], None],
    ) -> None:
        super().__init__(idle_expiry_s)
        self.origin = origin
        self.forwards = origin.forwarded
        self._contexts = contexts
        self._sweeper = sweeper
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._idle: list[UpstreamConnection] = []
        # Open connections, and attempts to open one.
        self._size = 0
        # Each waiter gets a connection that came free, or None: the right to open one.
        self._waiters: deque[asyncio.Future[UpstreamConnection | None]] = deque()

    def take(self) -> UpstreamConnection | None:
        """Returns an idle connection, if there is one."""
        return self._idle.pop() if self._idle else None

    async def open(self, timeout_s: float, *, fresh: bool) -> UpstreamConnection:
        """Opens a connection within `timeout_s` seconds; at the limit, waits for one to come free, which is used unless
        `fresh`.

        Raises UpstreamConnectError, UpstreamTimeout("connect") or PoolFull; if cancelled, the exception of
        `cancelled_unsent`.
        """
        waiting = False
        try:
            async with asyncio.timeout(timeout_s):
                while self._size >= self.origin.max_connections and not self._idle:
                    waiting = True
                    connection = await self._wait()
                    waiting = False
                    if connection is None:
                        return await self._connect()
                    if connection.closed:  # closed after it came free, before this task ran
                        continue
                    if not fresh:
                        return connection
                    self._idle.append(connection)
                self._size += 1
                if self._size > self.origin.max_connections:
                    self._idle[0].fail(UpstreamCut("evicted"))
                return await self._connect()
        except asyncio.CancelledError:
            raise cancelled_unsent() from None
        except TimeoutError:
            if waiting:
                raise PoolFull(
                    f"all {self.origin.max_connections} connections to {self.origin.authority} are in use",
                    "all connections to it are in use",
                ) from None
            raise UpstreamTimeout("connect") from None

    def release(self, connection: UpstreamConnection) -> None:
        """Takes back a connection that is free for the next exchange."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def discard(self, connection: UpstreamConnection, *, idle: bool) -> None:
        """Drops a closed connection; `idle` if it was free."""
        if idle and connection in self._idle:
            self._idle.remove(connection)
        self._sweeper.discard(connection)
        self._free_slot()

    def _free_slot(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._size -= 1
        if not self._size:
            self._on_empty(self)

    async def _wait(self) -> UpstreamConnection | None:
        if len(self._waiters) >= MAX_WAITERS:
            message = f"{MAX_WAITERS} requests wait for a connection to {self.origin.authority}"
            raise PoolFull(message, "too many requests wait for a connection to it")
        waiter: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # It was served at the very moment of giving up: pass it on.
                connection = waiter.result()
                if connection is None:
                    self._free_slot()
                elif not connection.closed:
                    self.release(connection)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    async def _connect(self) -> UpstreamConnection:
        """Connects in a slot that is counted already; frees it on failure."""
        origin = self.origin
        connection = UpstreamConnection(self, self._loop)
        try:
            await dial(connection, origin, self._contexts)
            connection.open()
        except BaseException as error:
            self._free_slot()
            if isinstance(error, (OSError, UnicodeError)):
                raise UpstreamConnectError.of(origin.way, error) from error
            raise
        self._sweeper.add(connection)
        return connection
