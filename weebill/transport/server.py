"""The HTTP/1.1 server of a gateway worker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import cast

from weebill.config.schema import ServerSettings
from weebill.transport.connection import ServerConnection
from weebill.transport.exchange import Exchange, Handler
from weebill.transport.limits import CANCEL_GRACE_S
from weebill.transport.server_state import Refusing, ServerState
from weebill.transport.status import SHUTTING_DOWN
from weebill.transport.sweeper import Sweeper
from weebill.transport.tls import server_context
from weebill.wire.errors import ApiError

__all__ = ["Exchange", "Handler", "Refusing", "Server"]


def in_openais_format(
    error: ApiError, path: bytes, fields: Mapping[bytes, bytes], request_id: str
) -> tuple[bytes, bytes]:
    """Returns a refusal in OpenAI's format, for servers without other APIs."""
    return b"", error.body()


class Server:
    """Serves `handler` on the given listening sockets; one for each worker.

    `refusing` writes refusals, by server or handler, in the format of the client's API.
    """

    def __init__(self, handler: Handler, settings: ServerSettings, refusing: Refusing = in_openais_format) -> None:
        self._handler = handler
        self._state = ServerState(settings, refusing)
        self._tls = server_context(settings)
        self._listeners: list[asyncio.Server] = []
        self._sweeper: Sweeper[ServerConnection] = Sweeper(_sweep_interval(settings))

    @property
    def settings(self) -> ServerSettings:
        """The current settings."""
        return self._state.settings

    @property
    def active(self) -> int:
        """The number of running handlers."""
        return self._state.active

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._sweeper.members)

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accepts on these sockets; with TLS if the settings name a certificate."""
        loop = self._state.loop
        for sock in sockets:
            listener = await loop.create_server(
                lambda: cast("asyncio.Protocol", ServerConnection(self._state, self._handler, self._sweeper)),
                sock=sock,
                ssl=self._tls,
                backlog=4096,
                ssl_handshake_timeout=self.settings.header_timeout_s if self._tls else None,
            )
            self._listeners.append(listener)

    def update(self, settings: ServerSettings) -> None:
        """Applies reloaded limits, CORS origins and certificate from now on.

        TLS is switched on or off only by a restart. Raises OSError or ssl.SSLError, and changes nothing, if the
        certificate cannot be loaded.
        """
        if self._tls is not None and settings.tls_cert is not None:
            self._tls.load_cert_chain(settings.tls_cert, settings.tls_key)
        self._state.update(settings)
        self._sweeper.interval = _sweep_interval(settings)

    async def drain(self, grace_s: float) -> None:
        """Stops accepting, closes idle connections, lets active requests finish within `grace_s` seconds, and cuts the
        rest.

        Returns when every handler has ended; a cut one has `CANCEL_GRACE_S` seconds to record usage.
        """
        self._state.draining = True
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
        """Waits until no connection and no handler is left, at most `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._sweeper.members or self._state.active:
                    self._state.changed.clear()
                    await self._state.changed.wait()
        except TimeoutError:
            return


def _sweep_interval(settings: ServerSettings) -> float:
    """Returns an interval that is short for the shortest timeout, and long enough to cost nothing."""
    shortest = min(settings.header_timeout_s, settings.body_timeout_s, settings.idle_timeout_s, settings.send_timeout_s)
    return min(max(shortest / 4, 0.02), 0.5)
