"""Draining: nothing new, what runs finishes within the grace, the rest is cut."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.transport.peer import GET, Serve, connected, until
from weebill.transport.server import Exchange


async def test_drain(serve: Serve) -> None:
    finish = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.path == b"/slow":
            exchange.start(200, b"")
            exchange.write(b"first")
            await finish.wait()
            exchange.write(b"last")
            exchange.finish()
        elif exchange.path == b"/late":
            await finish.wait()
            exchange.respond(200, b"", b"late")
        else:
            exchange.respond(200, b"", b"")

    server, port = await serve(handler)
    async with connected(port) as idle, connected(port) as new, connected(port) as slow, connected(port) as late:
        idle.send(GET)
        await idle.reply()
        slow.send(GET.replace(b"/ ", b"/slow "))
        late.send(GET.replace(b"/ ", b"/late "))
        await until(lambda: server.active == 2 and server.connections == 4)
        draining = asyncio.create_task(server.drain(10))
        assert await idle.closed()
        assert await new.closed()
        with pytest.raises(OSError, match="refused"):
            await asyncio.open_connection("127.0.0.1", port)
        assert not draining.done()
        finish.set()
        assert (await slow.reply()).body == b"firstlast"
        reply = await late.reply()
        assert (reply.body, reply.headers[b"connection"]) == (b"late", b"close")
        assert await slow.closed()
        await asyncio.wait_for(draining, 60)
    assert server.active == server.connections == 0


async def test_raw_streams_are_not_waited_for(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        stream = exchange.upgrade(b"connection: upgrade\r\nupgrade: raw\r\n")
        stream.write(b"hello")
        assert await stream.read() == b""

    server, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n")
        await peer.reply()
        assert await peer.reader.readexactly(5) == b"hello"
        await asyncio.wait_for(server.drain(30), 60)
        assert await peer.closed()


async def test_grace_ends(serve: Serve) -> None:
    booked = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"part")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            booked.set()

    server, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET)
        await until(lambda: server.active == 1)
        begin = time.monotonic()
        await server.drain(0.2)
        assert time.monotonic() - begin > 0.15
        assert booked.is_set(), "the handler had no time to book what was used"
        assert not (await peer.rest()).endswith(b"0\r\n\r\n")
