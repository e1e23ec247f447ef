"""Fetches an image from an address that a client names, from hosts that the configuration allows.

A name is resolved once for each connection, and the address that was checked is the one that is connected to, so that
no second answer of a name server leads elsewhere. Redirects are checked as the first address is. No proxy is used.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from weebill.images.bounds import Rules
from weebill.images.errors import ImageError

_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 3
_HEADERS: Final = {"accept": "image/*", "accept-encoding": "identity", "user-agent": "weebill"}
# Networks that lead back to a private address, or to a machine's own description, although they look public.
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10", "168.63.129.16/32", "192.0.0.0/24"),
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Returns True for an address that anybody on the internet can reach.

    >>> is_public(ipaddress.ip_address("169.254.169.254")), is_public(ipaddress.ip_address("::ffff:10.0.0.1"))
    (False, False)
    """
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None:
        return is_public(mapped)
    hidden = any(address in network for network in _NOT_PUBLIC if network.version == address.version)
    return address.is_global and not address.is_multicast and not hidden


def fetch(url: str, rules: Rules, may_reach: Callable[[Address], bool] = is_public) -> bytes:
    """Returns the bytes at an address; waits in this thread. Raises ImageError."""
    deadline = time.monotonic() + rules.seconds
    for _ in range(_MOST_REDIRECTS + 1):
        parts = _checked(url, rules.hosts)
        found = _answer(parts, rules, may_reach, deadline)
        if isinstance(found, bytes):
            return found
        further = urljoin(url, found)
        if parts.scheme == "https" and not further.startswith("https:"):
            raise ImageError("its address leads from https to an address without")
        url = further
    raise ImageError(f"its address leads on more than {_MOST_REDIRECTS} times")


def allows(hosts: Sequence[str], host: str, port: int, usual: bool) -> bool:
    """Returns True if one of the patterns allows a host: `example.com`, `example.com:8443`, `*.example.com`.

    >>> allows(["*.example.com"], "a.example.com", 443, True), allows(["*.example.com"], "example.com", 443, True)
    (True, False)
    """
    for pattern in hosts:
        name, _, wanted = pattern.lower().partition(":")
        if wanted != str(port) if wanted else not usual:
            continue
        if name == host or (name.startswith("*.") and host.endswith(name[1:])):
            return True
    return False


def _checked(url: str, hosts: Sequence[str]) -> SplitResult:
    """Returns the parts of an address that may be asked. Raises ImageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ImageError("its address is none") from error
    if parts.scheme not in _PORTS or not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
        raise ImageError("its address does not begin with https:// or http://, or is none")
    if parts.username is not None:
        raise ImageError("its address has a user's name in it")
    usual = port is None or port == _PORTS[parts.scheme]
    if not allows(hosts, parts.hostname, port or _PORTS[parts.scheme], usual):
        shown = parts.hostname if usual else f"{parts.hostname}:{port}"
        raise ImageError(
            f"models of this machine get no images from {shown}. Send the image itself, as base64; or the operator "
            "names the host in [local.images] allowed_hosts"
        )
    return parts


def _answer(parts: SplitResult, rules: Rules, may_reach: Callable[[Address], bool], deadline: float) -> bytes | str:
    """Returns the image, or the address to which the answer leads. Raises ImageError."""
    host = parts.hostname or ""
    connection = Pinned(host, parts.port or _PORTS[parts.scheme], parts.scheme == "https", may_reach, deadline)
    # A socket's own timeout begins anew with every byte that a slow host sends.
    ending = threading.Timer(max(0.0, deadline - time.monotonic()), connection.end)
    ending.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers=_HEADERS)
        response = connection.getresponse()
        if response.status in _REDIRECTS and (further := response.getheader("location")):
            return further
        if response.status != http.client.OK:
            raise ImageError(f"{host} answered {response.status}")
        data = response.read(rules.max_bytes + 1)
        if time.monotonic() >= deadline:
            raise TimeoutError  # an end that looks like the image's own
        if len(data) > rules.max_bytes:
            raise ImageError(f"it has more than {rules.max_bytes:,} bytes ([local.images] max_bytes)")
        if response.length:
            raise http.client.IncompleteRead(data, response.length)
        return data
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise ImageError(f"{host} has not sent it within {rules.seconds:g} s") from error
        raise ImageError(f"{host} cannot be reached, or has not sent all of it") from error
    finally:
        ending.cancel()
        connection.close()


class Pinned(http.client.HTTPConnection):
    """A connection to the address that was checked, under the name that was asked for."""

    def __init__(
        self, host: str, port: int, secure: bool, may_reach: Callable[[Address], bool], deadline: float
    ) -> None:
        super().__init__(host, port)
        self._secure = secure
        self._may_reach = may_reach
        self._deadline = deadline
        self._connected: socket.socket | None = None

    def connect(self) -> None:
        """Resolves the name, checks all of its addresses, and connects to the first."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
        if not addresses or not all(map(self._may_reach, addresses)):
            raise ImageError(f"{self.host} is not on the public internet")
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock = self._connected = socket.create_connection((str(addresses[0]), self.port), left)
        if self._secure:
            context = ssl.create_default_context()
            self.sock = self._connected = context.wrap_socket(self.sock, server_hostname=self.host)

    def end(self) -> None:
        """Ends the connection, from another thread: whoever waits for it is told."""
        connected = self._connected
        if connected is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
