"""The upstream client: keep-alive pools per origin."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import msgspec

from weebill.transport.duplex import Duplex
from weebill.transport.errors import (
    PoolFull,
    UpstreamConnectError,
    UpstreamCut,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
)

__all__ = [
    "Client",
    "Origin",
    "PoolFull",
    "Response",
    "Timeouts",
    "UpstreamConnectError",
    "UpstreamCut",
    "UpstreamError",
    "UpstreamProtocolError",
    "UpstreamTimeout",
]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where an upstream listens, and how many connections it may be given.

    Make one per upstream and keep it: it is the key of the pool. `path` is a Unix socket's (then `host` and
    `port` are not used).
    """

    scheme: str = "http"
    host: str = ""
    port: int = 0
    path: str = ""
    max_connections: int = 1024

    @classmethod
    def parse(cls, base_url: str, max_connections: int = 1024) -> tuple[Origin, str]:
        """An `http(s)://` URL as its origin and its path prefix ("" or "/v1", no trailing slash); ValueError if it is none."""
        raise NotImplementedError


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: to get a connection, to the response's head, between body bytes, for the whole exchange."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 120.0
    total: float = 900.0


class Response:
    """An upstream's answer, its head complete."""

    __slots__ = ("headers", "status")

    status: int
    headers: list[tuple[bytes, bytes]]

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        raise NotImplementedError

    async def read(self, limit: int) -> bytes:
        """The whole body; UpstreamProtocolError beyond `limit` bytes."""
        raise NotImplementedError

    def chunks(self) -> AsyncIterator[bytes]:
        """What arrived since last time; ends only if the framing says complete, else raises UpstreamCut."""
        raise NotImplementedError

    def close(self) -> None:
        """Idempotent; an incomplete answer's socket is closed at once."""
        raise NotImplementedError

    def upgrade(self) -> Duplex:
        """The raw byte stream after a 101."""
        raise NotImplementedError


class Client:
    """Sends requests to upstreams over pooled connections."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None, idle_expiry_s: float = 15.0) -> None:
        raise NotImplementedError

    async def send(
        self, origin: Origin, head: bytes, body: bytes | AsyncIterator[bytes], timeouts: Timeouts
    ) -> Response:
        """Send a request and wait for the response's head.

        `head` is the request line and header lines (`host` included), each ended by CRLF, without framing
        headers and without the blank line. Raises UpstreamConnectError, UpstreamTimeout, UpstreamProtocolError,
        UpstreamCut or PoolFull.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close every connection; answers under way are cut."""
        raise NotImplementedError
