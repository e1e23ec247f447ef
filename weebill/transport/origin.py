"""The address of an upstream, the way to it, and its timeouts."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote, urlsplit

import msgspec

SOCKS = ("socks5", "socks5h")
"""Schemes of SOCKS5 proxies; with either, the proxy resolves names."""


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP or SOCKS5 proxy.

    `authorization` is the header value for an HTTP proxy, "" for none; `login` the user and password for a SOCKS5
    proxy. Both are secrets.
    """

    scheme: str = "http"
    host: str
    port: int
    authorization: str = ""
    login: tuple[str, str] | None = None

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Parses a URL, which may contain a user and a password. Raises ValueError if it is invalid."""
        parts = urlsplit(url)
        if parts.scheme not in _PROXY_PORTS or not parts.hostname:
            raise ValueError("not the http, https or socks5 URL of a proxy")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme in SOCKS:
            port = parts.port or _PROXY_PORTS[parts.scheme]
            return cls(scheme="socks5", host=parts.hostname, port=port, login=(user, password) if user else None)
        authorization = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}" if user or password else ""
        port = parts.port or _PROXY_PORTS[parts.scheme]
        return cls(scheme=parts.scheme, host=parts.hostname, port=port, authorization=authorization)

    def __repr__(self) -> str:
        # Without the credentials, as values end up in logs and tracebacks.
        return f"Proxy({self.scheme}://{_host_and_port(self.host, self.port)})"


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The trusted certificates, and the client's own; files in PEM, "" for the system's and for none."""

    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    verify: bool = True


class Origin(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """The address of an upstream, and the most connections to it.

    It is the key of the connection pool. `path` is a Unix socket's; `host` and `port` are then unused. `trust` is for
    https.
    """

    scheme: str = "http"
    host: str = ""
    port: int = 0
    path: str = ""
    max_connections: int = 1024
    proxy: Proxy | None = None
    trust: Trust = Trust()

    @classmethod
    def parse(
        cls, base_url: str, max_connections: int = 1024, proxy: Proxy | None = None, trust: Trust | None = None
    ) -> tuple[Origin, str]:
        """Returns the origin and the path prefix ("" or "/v1", without trailing slash) of an http(s) URL.

        Raises ValueError with the reason if it is invalid.
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
            cls(
                scheme=parts.scheme,
                host=parts.hostname,
                port=port,
                max_connections=max_connections,
                proxy=proxy,
                trust=trust or Trust(),
            ),
            parts.path.rstrip("/"),
        )

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        if self.path:
            return "localhost"
        with_port = self.host_and_port
        return with_port.rpartition(":")[0] if self.port == _DEFAULT_PORTS[self.scheme] else with_port

    @property
    def host_and_port(self) -> str:
        """The target of a proxy's CONNECT."""
        return _host_and_port(self.host, self.port)

    @property
    def way(self) -> str:
        """The address and the proxy, for people."""
        proxy = self.proxy
        through = "" if proxy is None else f" through the proxy {_host_and_port(proxy.host, proxy.port)}"
        return f"{self.path or self.authority}{through}"

    @property
    def forwarded(self) -> bool:
        """True if a proxy forwards the requests themselves, instead of tunnelling connections."""
        proxy = self.proxy
        return proxy is not None and proxy.scheme not in SOCKS and self.scheme == "http" and not self.path


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: to get a connection, to the response's head, between body bytes, for the whole exchange."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 120.0
    total: float = 900.0


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_DEFAULT_PORTS = {"http": 80, "https": 443}
_PROXY_PORTS = {**_DEFAULT_PORTS, **dict.fromkeys(SOCKS, 1080)}
