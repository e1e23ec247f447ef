"""The HTTP/1.1 server of a gateway worker."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from weebill.config.schema import ServerSettings
from weebill.transport.exchange import Exchange, Handler

__all__ = ["Exchange", "Handler", "Server"]


class Server:
    """Serves `handler` on the given listening sockets; one instance per worker."""

    def __init__(self, handler: Handler, settings: ServerSettings) -> None:
        raise NotImplementedError

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accept on these sockets (TLS when the settings name a certificate)."""
        raise NotImplementedError

    def update(self, settings: ServerSettings) -> None:
        """Apply reloaded limits, CORS origins and certificate to what comes from now on."""
        raise NotImplementedError

    async def drain(self, grace_s: float) -> None:
        """Stop accepting, close idle connections, let active requests finish within `grace_s`, cut the rest."""
        raise NotImplementedError
