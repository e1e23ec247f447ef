"""The other end of a connection under test: raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from weebill.transport.client import Origin
from weebill.transport.server import Exchange, Handler, Server

HOST = b"Host: test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


class Serve(Protocol):
    async def __call__(self, handler: Handler, **settings: object) -> tuple[Server, int]: ...


async def echo(exchange: Exchange) -> None:
    """A handler that answers with the request's method, target and body."""
    exchange.respond(200, b"", b"%b %b %b" % (exchange.method, exchange.head.target, await exchange.body()))


@dataclass
class Reply:
    """A response as it came over the wire."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Peer:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), 60)

    async def reply(self, *, head_only: bool = False) -> Reply:
        """The next response, whose body is framed by its length or by chunks."""
        status = int((await self.line()).split()[1])
        headers = {}
        while (line := await self.line()) != b"\r\n":
            assert line, "closed within the head"
            name, value = line.rstrip(b"\r\n").split(b": ", 1)
            assert name not in headers, f"{name!r} twice"
            headers[name] = value
        body = b""
        if head_only or status < 200 or status in (204, 304):
            pass
        elif headers.get(b"transfer-encoding") == b"chunked":
            body = b"".join([chunk async for chunk in self.chunks()])
        elif b"content-length" in headers:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers[b"content-length"])), 60)
        else:
            body = await self.rest()
        return Reply(status, headers, body)

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.line(), 16):
            yield await self.reader.readexactly(size)
            assert await self.line() == b"\r\n"
        assert await self.line() == b"\r\n"

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), 60)

    async def closed(self) -> bool:
        """Wait for the server to close; true if it sent nothing more."""
        with contextlib.suppress(ConnectionResetError):
            return await self.rest() == b""
        return True

    def close(self) -> None:
        self.writer.close()


@contextlib.asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext | None = None, limit: int = 2**20) -> AsyncIterator[Peer]:
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name, limit=limit)
    peer = Peer(reader, writer)
    try:
        yield peer
    finally:
        peer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 60)


async def until(condition: Callable[[], bool], seconds: float = 30) -> float:
    """Wait for the condition; returns how long it took."""
    begin = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
    return time.monotonic() - begin


class Ticks:
    """A clock of hundredths of a second that stands still whenever the machine keeps the loop from running."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> Ticks:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ticking.cancel()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.count += 1


async def rests(value: Callable[[], int]) -> int:
    """The value, once it has not changed for some time in which the loop ran."""
    async with asyncio.timeout(60):
        while True:
            before = value()
            for _ in range(30):
                await asyncio.sleep(0.01)
            if value() == before:
                return before


Script = Callable[[Peer], Awaitable[None]]


class Upstream:
    """A server that does to each connection what its script says."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.closed = 0
        self.origin = Origin()

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.origin = Origin(host="127.0.0.1", port=self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._script(Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed += 1
            writer.close()


async def read_request(peer: Peer) -> tuple[bytes, bytes]:
    """Head and body (by content-length or chunks) of the next request."""
    head = await peer.reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        return head, b"".join([chunk async for chunk in peer.chunks()])
    length = 0
    if b"\r\ncontent-length: " in lower:
        length = int(lower.split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0])
    return head, await peer.reader.readexactly(length)
