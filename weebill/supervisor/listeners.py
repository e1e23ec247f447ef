"""The listening sockets: opened by the supervisor, inherited by workers.

Because the supervisor keeps them open, connections that arrive while a worker is being replaced wait in the
accept queue. On Linux each worker has its own sockets, and the kernel distributes connections among them.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

BACKLOG = 4096
# The workers of a killed supervisor release the port a moment after its death.
_RETRIES = 5
_RETRY_WAIT_S = 0.1


class ListenError(Exception):
    """The address cannot be listened on; `hint` is advice for the operator."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class _Address(NamedTuple):
    family: socket.AddressFamily
    host: str
    scope: tuple[object, ...]  # of IPv6: flow label and zone


class Listeners:
    """The sockets of each worker, all on `port`."""

    def __init__(self, host: str, of_workers: Sequence[Sequence[socket.socket]]) -> None:
        self.host = host
        self.port: int = of_workers[0][0].getsockname()[1]
        self._of_workers = of_workers

    def listen(self) -> None:
        """Begins to queue connections, even before workers accept them."""
        for sockets in self._of_workers:
            for each in sockets:
                each.listen(BACKLOG)

    def fds(self, worker: int) -> tuple[int, ...]:
        """Returns the descriptors of a worker's sockets."""
        return tuple(each.fileno() for each in self._of_workers[worker])

    def close(self) -> None:
        """Closes the sockets; new connections are refused once the workers have closed theirs, too."""
        for sockets in self._of_workers:
            for each in sockets:
                each.close()

    def origin(self, scheme: str) -> str:
        """Returns the URL for programs on this machine, without a path."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return f"{scheme}://{self.host}:{self.port}"
        if address.is_unspecified:
            address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
        return f"{scheme}://{f'[{address}]' if address.version == 6 else address}:{self.port}"


def open_listeners(host: str, port: int, workers: int) -> Listeners:
    """Reserves `host`:`port`; port 0 takes a free one. Raises ListenError."""
    addresses = _resolve(host, port)
    opened: list[socket.socket] = []
    try:
        # Without SO_REUSEPORT first: with it, a second installation would quietly share the port.
        exclusive = _open_all(addresses, port, shared=False, opened=opened)
        if workers == 1:
            return Listeners(host, [exclusive])
        if sys.platform != "linux":
            return Listeners(host, [exclusive] * workers)
        port = exclusive[0].getsockname()[1]
        for each in exclusive:
            each.close()
        return Listeners(host, [_open_all(addresses, port, shared=True, opened=opened) for _ in range(workers)])
    except OSError as error:
        for each in opened:
            each.close()
        raise _explained(error, host, port) from error


def _open_all(
    addresses: Sequence[_Address], port: int, shared: bool, opened: list[socket.socket]
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    for family, host, scope in addresses:
        each = socket.socket(family, socket.SOCK_STREAM)
        opened.append(each)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and len(addresses) > 1:
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bind(each, (host, port, *scope))
        each.setblocking(False)
        # With port 0, the first address determines the port of the others.
        port = each.getsockname()[1]
        sockets.append(each)
    return sockets


def _bind(each: socket.socket, sockaddr: tuple[object, ...]) -> None:
    for _ in range(_RETRIES):
        try:
            return each.bind(sockaddr)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            time.sleep(_RETRY_WAIT_S)
    return each.bind(sockaddr)


def _resolve(host: str, port: int) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise ListenError(
            f"cannot listen on `{host}`: no such host", "set server.host to an address of this machine"
        ) from error
    return list(
        dict.fromkeys(
            _Address(family, str(host), tuple(scope))
            for family, _, _, _, (host, _, *scope) in found
            if family in (socket.AF_INET, socket.AF_INET6)
        )
    )


def _explained(error: OSError, host: str, port: int) -> ListenError:
    match error.errno:
        case errno.EADDRINUSE:
            return ListenError(
                f"port {port} on {host} is in use by another program",
                "choose another port with `--port` (0 takes a free one), or stop that program",
            )
        case errno.EACCES | errno.EPERM:
            return ListenError(
                f"not permitted to listen on port {port} of {host}",
                "choose a port above 1023 with `--port`, or give the process that privilege",
            )
        case errno.EADDRNOTAVAIL:
            return ListenError(
                f"this machine has no address {host}", "set server.host to 127.0.0.1, 0.0.0.0 or an address it has"
            )
        case _:
            return ListenError(
                f"cannot listen on {host} port {port}: {error.strerror}", "check server.host and server.port"
            )
