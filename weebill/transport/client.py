"""The upstream client: HTTP/1.1 over keep-alive connections, one pool for each origin."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine
from math import inf

from weebill.transport.dialing import forwarded, require_forwarded
from weebill.transport.errors import (
    PoolFull,
    ProxyRefused,
    UpstreamConnectError,
    UpstreamCut,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from weebill.transport.limits import CLIENT_SWEEP_S
from weebill.transport.origin import Origin, Proxy, Timeouts, Trust
from weebill.transport.pool import Pool
from weebill.transport.response import Response
from weebill.transport.sweeper import Sweeper
from weebill.transport.tls import ClientContexts
from weebill.transport.upstream import StaleConnectionError, UpstreamConnection

__all__ = [
    "Client",
    "Origin",
    "PoolFull",
    "Proxy",
    "ProxyRefused",
    "Response",
    "Sender",
    "Timeouts",
    "Trust",
    "UpstreamConnectError",
    "UpstreamCut",
    "UpstreamError",
    "UpstreamProtocolError",
    "UpstreamTimeout",
]


class Sender:
    """Is told when a request goes out, which may take a while, or never happen."""

    __slots__ = ()

    def sending(self) -> None:
        """Notes that there is a connection, and that the first byte follows. An exception stops the request."""


class Client:
    """Sends requests to upstreams.

    `tls` replaces the system's trust store. A connection that is idle for `idle_expiry_s` seconds is closed.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, idle_expiry_s: float = 15.0) -> None:
        self._contexts = ClientContexts(tls)
        self._idle_expiry_s = idle_expiry_s
        self._sweeper: Sweeper[UpstreamConnection] = Sweeper(CLIENT_SWEEP_S)
        self._pools: dict[Origin, Pool] = {}

    @property
    def connections(self) -> int:
        """The number of open connections to upstreams."""
        return len(self._sweeper.members)

    def send(
        self,
        origin: Origin,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        timeouts: Timeouts,
        patience_s: float = inf,
        sender: Sender | None = None,
    ) -> Coroutine[object, object, Response]:
        """Sends a request and waits for the response's head, for at most `patience_s` seconds.

        `head` is the request line and header lines (`host` included), each ended by CRLF, without framing headers and
        without the blank line. The `sender` of a request in one piece is told once that it goes out. If the task is
        cancelled, the upstream's socket is closed at once. Raises UpstreamConnectError, UpstreamTimeout,
        UpstreamProtocolError, UpstreamCut or PoolFull.

        A request is sent a second time, on a fresh connection, only if the pooled one was closed by the upstream before
        any byte of the response. A body that is an iterator cannot be sent twice, so it always gets a fresh connection.
        """
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._open_pool(origin)
        if pool.forwards:
            return self._send_forwarded(pool, origin, head, body, timeouts, patience_s, sender)
        return self._send(pool, origin, head, body, timeouts, patience_s, sender)

    async def _send_forwarded(
        self,
        pool: Pool,
        origin: Origin,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        timeouts: Timeouts,
        patience_s: float,
        sender: Sender | None,
    ) -> Response:
        response = await self._send(pool, origin, forwarded(head, origin), body, timeouts, patience_s, sender)
        require_forwarded(response, origin)
        return response

    async def _send(
        self,
        pool: Pool,
        origin: Origin,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        timeouts: Timeouts,
        patience_s: float,
        sender: Sender | None,
    ) -> Response:
        if isinstance(body, bytes):
            connection = pool.take() or await pool.open(timeouts.connect, fresh=False)
            if sender is not None:
                try:
                    sender.sending()
                except BaseException:
                    pool.release(connection)
                    raise
            waiter = connection.begin(head, body, timeouts, patience_s)
            try:
                return await waiter
            except asyncio.CancelledError:
                connection.give_up(waiter)
                raise
            except StaleConnectionError:
                # Without a connection left, the pool was dropped.
                pool = self._pools.get(origin) or self._open_pool(origin)
        connection = await pool.open(timeouts.connect, fresh=True)
        waiter = connection.begin(head, body, timeouts, patience_s)
        try:
            return await waiter
        except asyncio.CancelledError:
            connection.give_up(waiter)
            raise

    def close(self) -> None:
        """Closes every connection; answers under way are cut."""
        for connection in tuple(self._sweeper.members):
            connection.fail(UpstreamCut("the client was closed"))

    def _open_pool(self, origin: Origin) -> Pool:
        pool = Pool(origin, self._contexts, self._idle_expiry_s, self._sweeper, self._forget)
        self._pools[origin] = pool
        return pool

    def _forget(self, pool: Pool) -> None:
        """Drops a pool without connections; its origin may never be called again."""
        # A request that waited may have used the pool after it was dropped.
        if self._pools.get(pool.origin) is pool:
            del self._pools[pool.origin]
