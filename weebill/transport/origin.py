"""Where an upstream is, and how long it may take."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec


class Origin(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Where an upstream listens, and how many connections it may be given.

    It is the key of the connection pool. `path` is a Unix socket's; `host` and `port` are then not used.
    """

    scheme: str = "http"
    host: str = ""
    port: int = 0
    path: str = ""
    max_connections: int = 1024

    @classmethod
    def parse(cls, base_url: str, max_connections: int = 1024) -> tuple[Origin, str]:
        """The origin and the path prefix ("" or "/v1", without trailing slash) of an http(s) URL.

        Raises ValueError with the reason if it is none.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(f"{base_url!r} does not begin with http:// or https://")
        if not parts.hostname:
            raise ValueError(f"{base_url!r} names no host")
        if parts.query or parts.fragment or parts.username or parts.password:
            raise ValueError("a base URL has no user, query or fragment")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        return (
            cls(scheme=parts.scheme, host=parts.hostname, port=port, max_connections=max_connections),
            parts.path.rstrip("/"),
        )

    @property
    def authority(self) -> str:
        """What goes into the Host header."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: to get a connection, to the response's head, between body bytes, for the whole exchange."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 120.0
    total: float = 900.0


_DEFAULT_PORTS = {"http": 80, "https": 443}
