"""Relays requests that are not the hot path to the control process over its Unix socket."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Final

from weebill.transport.client import Client, Origin, Response, Timeouts, UpstreamConnectError, UpstreamError
from weebill.transport.duplex import Duplex
from weebill.transport.exchange import Exchange
from weebill.transport.headers import Headers, end_to_end, header_lines
from weebill.wire.errors import ApiError

# The control process streams events for hours, and takes its time for large uploads.
_TIMEOUTS: Final = Timeouts(connect=2.0, first_byte=600.0, idle=inf, total=inf)
_MAX_CONNECTIONS: Final = 4096
_LOOK_S: Final = 0.05

# Set anew on each side. A client's claims about its address are not forwarded.
_REPLACED_IN_REQUEST: Final = frozenset(
    {
        b"content-length",
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
_REPLACED_IN_RESPONSE: Final = frozenset({b"content-length", b"x-request-id"})


class Tunnel:
    """Relays to the control process, upgrades included; `relaying` is the number of exchanges under way."""

    def __init__(self, client: Client, socket_path: str, patience_s: float = 5.0) -> None:
        """While the control process starts, requests wait for it for `patience_s` seconds."""
        self.relaying = 0
        self._path = socket_path
        self._patience_s = patience_s
        self._listens = False
        self._client = client
        self._origin = Origin(path=socket_path, max_connections=_MAX_CONNECTIONS)

    async def relay(self, exchange: Exchange) -> None:
        """Answers the exchange with the control process's answer.

        Raises ApiError 503 `control_unavailable` if it is down, 502 `control_failed` if it breaks off before its answer
        begins; if it breaks off later, the client's connection is cut.
        """
        self.relaying += 1
        try:
            await self._relay(exchange)
        finally:
            self.relaying -= 1

    async def _relay(self, exchange: Exchange) -> None:
        body = exchange.received
        if not self._listens:
            await self._wait()
        try:
            response = await self._client.send(
                self._origin, request_head(exchange), exchange.chunks() if body is None else body, _TIMEOUTS
            )
        except UpstreamConnectError:
            self._listens = False
            raise ApiError(
                503,
                "The control process is not running at the moment; try again.",
                code="control_unavailable",
                retry_after=1,
            ) from None
        except UpstreamError as error:
            raise ApiError(
                502, f"The control process gave no answer: {error.public_message}.", code="control_failed"
            ) from error
        try:
            if response.status == 101:
                await _join(exchange, response)
            else:
                await _relay_response(exchange, response)
        except UpstreamError:
            exchange.abort()
        finally:
            response.close()

    async def _wait(self) -> None:
        """Returns when the control process listens, or does not for too long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while not self._listens:
            try:
                _, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                if loop.time() >= until:
                    return
                await asyncio.sleep(_LOOK_S)
            else:
                writer.close()
                self._listens = True


def request_head(exchange: Exchange) -> bytes:
    """Returns the head of the exchange's request for the control process."""
    fields: Headers = [field for field in end_to_end(exchange.headers) if field[0] not in _REPLACED_IN_REQUEST]
    host = exchange.header(b"host")
    if host is None:
        fields.append((b"host", b"localhost"))
    else:
        fields.append((b"x-forwarded-host", host))
    fields += [
        (b"x-forwarded-for", exchange.peer.encode()),
        (b"x-forwarded-proto", b"https" if exchange.secure else b"http"),
        (b"x-request-id", exchange.request_id.encode()),
    ]
    protocol = exchange.upgrade_to
    if protocol is not None:
        fields += [(b"connection", b"upgrade"), (b"upgrade", protocol)]
    target = b"%b?%b" % (exchange.path, exchange.query) if exchange.query else exchange.path
    return b"%b %b HTTP/1.1\r\n%b" % (exchange.method, target, header_lines(fields))


async def _relay_response(exchange: Exchange, response: Response) -> None:
    length = response.header(b"content-length")
    exchange.start(response.status, _response_lines(response), int(length) if length and length.isdigit() else None)
    async for chunk in response.chunks_as_sent():
        exchange.write(chunk)
        await exchange.drain()
    exchange.finish()


async def _join(exchange: Exchange, response: Response) -> None:
    """Relays the raw streams until either side ends."""
    protocol = response.header(b"upgrade") or b""
    lines = b"connection: upgrade\r\nupgrade: %b\r\n%b" % (protocol, _response_lines(response))
    client, control = exchange.upgrade(lines), response.upgrade()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(client, control))
            group.create_task(_pump(control, client))
    finally:
        client.close()
        control.close()


async def _pump(source: Duplex, sink: Duplex) -> None:
    while data := await source.read():
        sink.write(data)
        await sink.drain()
    # Ends the other direction too: its source is this sink.
    sink.close()


def _response_lines(response: Response) -> bytes:
    return header_lines(field for field in end_to_end(response.headers) if field[0] not in _REPLACED_IN_RESPONSE)
