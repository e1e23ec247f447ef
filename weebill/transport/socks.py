"""Connects through a SOCKS5 proxy (RFC 1928), with user and password if it wants them (RFC 1929).

Names are resolved by the proxy.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from weebill.transport.errors import ProxyRefused
from weebill.transport.origin import Origin, Proxy

_VERSION: Final = 5
_SIGN_IN_VERSION: Final = 1
_OPEN: Final = 0
_BY_PASSWORD: Final = 2
_CONNECT: Final = b"\x05\x01\x00"
_IPV4, _NAME, _IPV6 = 1, 3, 4
_LENGTHS: Final = {_IPV4: 4, _IPV6: 16}
_PORT: Final = 2
_LONGEST: Final = 255
_MOST_BYTES: Final = 4096
_REPLIES: Final = {
    1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
    5: "connection refused", 6: "time to live expired", 7: "command not supported", 8: "kind of address not supported",
}  # fmt: skip


class Joining(asyncio.Protocol):
    """Reads a proxy's answers, by as many bytes as are asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received = bytearray()
        self._over = False
        self._waiter: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._over = self._over or len(self._received) > _MOST_BYTES
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._wake()

    async def take(self, count: int) -> bytes:
        """Returns the next bytes. Raises ConnectionResetError if there are not that many."""
        while len(self._received) < count:
            if self._over:
                raise ConnectionResetError("it closed the connection without an answer")
            self._waiter = self._loop.create_future()
            await self._waiter
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    @property
    def rest(self) -> bytes:
        """The bytes that have come and were not taken."""
        return bytes(self._received)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def join(transport: asyncio.WriteTransport, said: Joining, origin: Origin, proxy: Proxy) -> None:
    """Makes the proxy connect to `origin`. Raises ProxyRefused, OSError, or UnicodeError for an invalid name."""
    target = _address(origin.host) + origin.port.to_bytes(_PORT)
    methods = bytes([_OPEN, _BY_PASSWORD] if proxy.login else [_OPEN])
    transport.write(bytes([_VERSION, len(methods)]) + methods)
    version, method = await said.take(2)
    if version != _VERSION:
        raise ProxyRefused(origin.way, "leads nowhere: what answers there is no SOCKS5 proxy")
    if method == _BY_PASSWORD and proxy.login:
        user, password = (word.encode() for word in proxy.login)
        transport.write(bytes([_SIGN_IN_VERSION, len(user)]) + user + bytes([len(password)]) + password)
        if (await said.take(2))[1]:
            raise ProxyRefused(origin.way, "was refused: user or password")
    elif method != _OPEN:
        wanted = "other credentials than a password" if proxy.login else "credentials"
        raise ProxyRefused(origin.way, f"was refused: the proxy wants {wanted}")
    transport.write(_CONNECT + target)
    version, reply, _, kind = await said.take(4)
    if version != _VERSION or (kind not in _LENGTHS and kind != _NAME and not reply):
        raise ProxyRefused(origin.way, "leads nowhere: what answers there is no SOCKS5 proxy")
    if reply:
        raise ProxyRefused(origin.way, f"was refused: {_REPLIES.get(reply, f'reply {reply}')}")
    length = _LENGTHS[kind] if kind in _LENGTHS else (await said.take(1))[0]
    await said.take(length + _PORT)
    if said.rest:
        raise ProxyRefused(origin.way, "leads nowhere: the proxy has sent more than its answer")


def _address(host: str) -> bytes:
    """Encodes a host for a request: an address as such, anything else as a name."""
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        name = host.encode("ascii") if host.isascii() else host.encode("idna")
        if not 0 < len(name) <= _LONGEST:
            raise UnicodeError(f"a name of {len(name)} bytes") from None
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
