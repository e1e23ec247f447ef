"""Connects to an upstream: directly, or through an HTTP proxy (RFC 9110 section 9.3.6) or a SOCKS5 proxy.

An HTTP proxy tunnels connections to https upstreams (CONNECT), and cannot read them; requests to http upstreams are
sent to the proxy, which forwards them.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from weebill.transport import socks
from weebill.transport.errors import ProxyRefused
from weebill.transport.headers import END_OF_HEAD
from weebill.transport.origin import SOCKS, Origin, Proxy, Trust
from weebill.transport.response import Response
from weebill.transport.tls import ClientContexts

if TYPE_CHECKING:
    from weebill.transport.upstream import UpstreamConnection

_PROXY_AUTHENTICATION_REQUIRED: Final = 407
_PHRASES: Final = {each.value: each.phrase for each in HTTPStatus}
_MOST_BYTES: Final = 65_536
_MOST_SHOWN: Final = 300
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r\n")
_THE_SYSTEMS: Final = Trust()


async def dial(connection: UpstreamConnection, origin: Origin, contexts: ClientContexts) -> None:
    """Connects. Raises OSError, or UpstreamError for a proxy's refusal; nothing is left open then."""
    loop = asyncio.get_running_loop()
    protocol = cast("asyncio.Protocol", connection)
    if origin.path:
        await loop.create_unix_connection(lambda: protocol, origin.path)
        return
    tls = contexts.of(origin.trust) if origin.scheme == "https" else None
    proxy = origin.proxy
    if proxy is None:
        await loop.create_connection(lambda: protocol, origin.host, origin.port, ssl=tls)
        return
    if proxy.scheme in SOCKS:
        await _dial_by_socks(connection, origin, proxy, tls)
        return
    proxy_tls = contexts.of(_THE_SYSTEMS) if proxy.scheme == "https" else None
    if tls is None:
        await loop.create_connection(lambda: protocol, proxy.host, proxy.port, ssl=proxy_tls)
        return
    joining = _Joining(loop)
    transport, _ = await loop.create_connection(lambda: joining, proxy.host, proxy.port, ssl=proxy_tls)
    try:
        transport.write(_connect_request(origin, proxy))
        _require_joined(await joining.answer, origin)
        joined = await loop.start_tls(transport, protocol, tls, server_hostname=origin.host)
    except BaseException:
        transport.abort()
        raise
    connection.connection_made(cast("asyncio.Transport", joined))


async def _dial_by_socks(
    connection: UpstreamConnection, origin: Origin, proxy: Proxy, tls: ssl.SSLContext | None
) -> None:
    loop = asyncio.get_running_loop()
    protocol = cast("asyncio.Protocol", connection)
    said = socks.Joining(loop)
    transport, _ = await loop.create_connection(lambda: said, proxy.host, proxy.port)
    try:
        await socks.join(transport, said, origin, proxy)
        joined: asyncio.BaseTransport | None = transport
        if tls is None:
            transport.set_protocol(protocol)
        else:
            joined = await loop.start_tls(transport, protocol, tls, server_hostname=origin.host)
    except BaseException:
        transport.abort()
        raise
    connection.connection_made(cast("asyncio.Transport", joined))


def forwarded(head: bytes, origin: Origin) -> bytes:
    """Returns the head of a request in the form for a forwarding proxy (RFC 9112 section 3.2.2)."""
    line, _, fields = head.partition(b"\r\n")
    method, _, target = line.partition(b" ")
    authorization = b"" if origin.proxy is None else _authorization(origin.proxy)
    return b"%b http://%b%b\r\n%b%b" % (method, origin.authority.encode(), target, authorization, fields)


def require_forwarded(response: Response, origin: Origin) -> None:
    """Raises ProxyRefused for an answer that can only be the proxy's own."""
    if response.status == _PROXY_AUTHENTICATION_REQUIRED:
        response.close()
        raise ProxyRefused(origin.way, "was refused: 407 Proxy Authentication Required")


class _Joining(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT; `answer` is its head, and any bytes after it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.answer.done() and (END_OF_HEAD in self._received or len(self._received) > _MOST_BYTES):
            self.answer.set_result(self._received)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(ConnectionResetError("it closed the connection without an answer"))


def _connect_request(origin: Origin, proxy: Proxy) -> bytes:
    target = origin.host_and_port.encode()
    return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, _authorization(proxy))


def _authorization(proxy: Proxy) -> bytes:
    return b"proxy-authorization: %b\r\n" % proxy.authorization.encode() if proxy.authorization else b""


def _require_joined(answer: bytes, origin: Origin) -> None:
    """Raises ProxyRefused unless the proxy has connected, and has sent nothing else."""
    head, end, rest = answer.partition(END_OF_HEAD)
    line = _STATUS_LINE.match(head + b"\r\n")
    if line is None or not end:
        raise ProxyRefused(origin.way, "leads nowhere: what answers there is no HTTP proxy", _shown(answer))
    if not line[1].startswith(b"2"):
        status = line[1].decode()
        said = f"{status} {_shown(line[2] or b'')}".strip()
        told = f"was refused: {status} {_PHRASES.get(int(status), '')}".rstrip()
        raise ProxyRefused(origin.way, f"was refused: {said}", _shown(rest), told)
    if rest:
        raise ProxyRefused(origin.way, "leads nowhere: the proxy has sent more than its answer", _shown(rest))


def _shown(text: bytes) -> str:
    """Returns a text for a log's line."""
    words = "".join(letter if letter.isprintable() else " " for letter in text.decode("utf-8", "replace")).split()
    return " ".join(words)[:_MOST_SHOWN]
