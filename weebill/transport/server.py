"""The HTTP/1.1 server of a gateway worker."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

from weebill.config.schema import ServerSettings
from weebill.transport.connection import ServerConnection
from weebill.transport.cors import Cors
from weebill.transport.exchange import Exchange, Handler
from weebill.transport.limits import CANCEL_GRACE_S, MAX_REFUSALS
from weebill.transport.status import SHUTTING_DOWN
from weebill.transport.sweeper import Sweeper
from weebill.transport.tls import server_context
from weebill.wire.errors import ApiError

_LOW: Final = tuple(f"{low:02x}" for low in range(256))

# Header lines and the body of an error, for a path and a head's fields as far as they have been read, and an id.
Refusing = Callable[[ApiError, bytes, Mapping[bytes, bytes], str], tuple[bytes, bytes]]

__all__ = ["Exchange", "Handler", "Refusing", "Server"]


def in_openais_format(
    error: ApiError, path: bytes, fields: Mapping[bytes, bytes], request_id: str
) -> tuple[bytes, bytes]:
    """A refusal as it is where no other API is served."""
    return b"", error.body()


class Server:
    """Serves `handler` on the given listening sockets; one instance per worker.

    `refusing` writes what is refused, here or by the handler, in the format of who asks; `active` counts the handlers
    that run.
    """

    def __init__(self, handler: Handler, settings: ServerSettings, refusing: Refusing = in_openais_format) -> None:
        self.handler = handler
        self.refusing = refusing
        self.settings = settings
        self.cors = Cors(settings.cors_origins)
        self.draining = False
        self.active = 0
        self.loop = asyncio.get_running_loop()
        self._tls = server_context(settings)
        self._listeners: list[asyncio.Server] = []
        self._sweeper: Sweeper[ServerConnection] = Sweeper(_sweep_interval(settings))
        self._request_prefix = "req_" + os.urandom(6).hex()
        self._requests = 0
        self._request_block = ""  # what the ids of 256 requests begin with
        self._changed = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._sweeper.members)

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accept on these sockets; with TLS if the settings name a certificate."""
        for sock in sockets:
            listener = await self.loop.create_server(
                lambda: cast("asyncio.Protocol", ServerConnection(self)),
                sock=sock,
                ssl=self._tls,
                backlog=4096,
                ssl_handshake_timeout=self.settings.header_timeout_s if self._tls else None,
            )
            self._listeners.append(listener)

    def update(self, settings: ServerSettings) -> None:
        """Apply reloaded limits, CORS origins and certificate to what comes from now on.

        Whether TLS is spoken at all is fixed when listening starts. Raises OSError or ssl.SSLError, and changes
        nothing, if the certificate cannot be loaded.
        """
        if self._tls is not None and settings.tls_cert is not None:
            self._tls.load_cert_chain(settings.tls_cert, settings.tls_key)
        self.settings = settings
        self.cors = Cors(settings.cors_origins)
        self._sweeper.interval = _sweep_interval(settings)

    async def drain(self, grace_s: float) -> None:
        """Stop accepting, close idle connections, let active requests finish within `grace_s`, cut the rest.

        Returns when every handler has ended; one that was cut has `CANCEL_GRACE_S` to record what was used.
        """
        self.draining = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in tuple(self._sweeper.members):
            connection.close_if_idle()
        await self._quiet(grace_s)
        for connection in tuple(self._sweeper.members):
            connection.abandon(SHUTTING_DOWN)
        await self._quiet(CANCEL_GRACE_S)

    async def _quiet(self, timeout_s: float) -> None:
        """Wait until no connection and no handler is left, at most `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._sweeper.members or self.active:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    # For the connections

    def next_request_id(self) -> str:
        """Unique among all workers and restarts."""
        low = self._requests & 0xFF
        if not low:
            self._request_block = f"{self._request_prefix}{self._requests >> 8:06x}"
        self._requests += 1
        return self._request_block + _LOW[low]

    def admit(self, connection: ServerConnection) -> None:
        """Take a new connection in, or turn it away as one too many.

        That is told once something has been asked: Go's client drops what comes unasked, by its log as in
        https://github.com/henson/proxypool/issues/45.
        """
        others = len(self._sweeper.members)
        self._sweeper.add(connection)
        if others >= self.settings.max_connections + MAX_REFUSALS:
            connection.cut()
        elif others >= self.settings.max_connections:
            connection.turn_away()

    def forget(self, connection: ServerConnection) -> None:
        """A connection is gone."""
        self._sweeper.discard(connection)
        if self.draining:
            self._changed.set()

    def handler_ended(self) -> None:
        """A handler has returned."""
        self.active -= 1
        if self.draining:
            self._changed.set()


def _sweep_interval(settings: ServerSettings) -> float:
    """Fine enough for the shortest timeout, seldom enough to cost nothing."""
    shortest = min(settings.header_timeout_s, settings.body_timeout_s, settings.idle_timeout_s, settings.send_timeout_s)
    return min(max(shortest / 4, 0.02), 0.5)
