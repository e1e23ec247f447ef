"""Clients that are slow, silent, or do not read."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.transport.peer import GET, HOST, Peer, Serve, connected, until
from weebill.transport.server import Exchange

POST = b"POST / HTTP/1.1\r\n" + HOST


async def echo(exchange: Exchange) -> None:
    exchange.respond(200, b"", await exchange.body())


async def drip(peer: Peer, data: bytes, interval: float) -> None:
    for byte in data:
        peer.send(bytes([byte]))
        await asyncio.sleep(interval)


async def keep_sending(peer: Peer, data: bytes, interval: float) -> None:
    while True:
        peer.send(data)
        await asyncio.sleep(interval)


async def test_slow_head(serve: Serve) -> None:
    """A byte now and then does not keep the connection."""
    _, port = await serve(echo, header_timeout_s=0.3)
    async with connected(port) as peer:
        begin = time.monotonic()
        dripping = asyncio.create_task(drip(peer, GET[:-2] + b"X: " + b"y" * 1000, 0.02))
        reply = await peer.reply()
        assert reply.status == 408
        assert b"request_timeout" in reply.body
        assert time.monotonic() - begin > 0.25
        assert not dripping.done()
        dripping.cancel()
        assert await peer.closed()


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"])
async def test_slow_body(framing: bytes, serve: Serve) -> None:
    cancelled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.body()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    _, port = await serve(handler, body_timeout_s=0.3)
    async with connected(port) as peer:
        peer.send(POST + framing)
        dripping = asyncio.create_task(drip(peer, b"x" * 1000, 0.02))
        assert (await peer.reply()).status == 408
        await asyncio.wait_for(cancelled.wait(), 60)
        dripping.cancel()
        assert await peer.closed()


async def test_body_that_takes_long_but_keeps_coming(serve: Serve) -> None:
    """Large uploads over slow lines buy time with every byte."""
    _, port = await serve(echo, body_timeout_s=0.2)
    async with connected(port) as peer:
        peer.send(POST + b"Content-Length: 800000\r\n\r\n")
        for _ in range(10):
            peer.send(b"x" * 80_000)  # five seconds
            await asyncio.sleep(0.06)
        assert (await peer.reply()).body == b"x" * 800_000


async def test_body_that_keeps_coming_for_ever(serve: Serve) -> None:
    """No number of bytes buys more than the time that there is for any body."""
    _, port = await serve(echo, body_timeout_s=0.3, body_total_s=0.6)
    async with connected(port) as peer:
        peer.send(POST + b"Content-Length: 30000000\r\n\r\n")
        # Each buys half a second, so that only the time in all can end it.
        dripping = asyncio.create_task(keep_sending(peer, b"x" * 8000, 0.02))
        assert (await peer.reply()).status == 408
        dripping.cancel()
        assert await peer.closed()


async def test_body_that_the_handler_does_not_want_yet_is_not_late(serve: Serve) -> None:
    """Neither a handler that takes its time nor our own backpressure counts against the client."""

    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(0.6)
        size = 0
        async for chunk in exchange.chunks():
            size += len(chunk)
            await asyncio.sleep(0.01)
        exchange.respond(200, b"", b"%d" % size)

    _, port = await serve(handler, body_timeout_s=0.2)
    async with connected(port) as peer:
        peer.send(POST + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert (await peer.reply()).body == b"3000000"


async def test_expecting_client_that_sends_nothing_after_the_go(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await echo(exchange)

    _, port = await serve(handler, body_timeout_s=0.2)
    async with connected(port) as peer:
        peer.send(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await peer.line() == b"HTTP/1.1 100 Continue\r\n"
        assert await peer.line() == b"\r\n"
        assert (await peer.reply()).status == 408


@pytest.mark.parametrize("before", [b"", GET, b"\r\n"])
async def test_idle_connection_is_closed_without_a_word(before: bytes, serve: Serve) -> None:
    server, port = await serve(echo, idle_timeout_s=0.3)
    async with connected(port) as peer:
        if before:
            peer.send(before)
        if before == GET:
            await peer.reply()
        assert await peer.closed()
        await until(lambda: server.connections == 0)


async def test_long_handler_is_not_idle(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(0.6)
        exchange.respond(200, b"", b"late")

    settings = {"idle_timeout_s": 0.2, "header_timeout_s": 0.2, "body_timeout_s": 0.2, "send_timeout_s": 0.2}
    _, port = await serve(handler, **settings)
    async with connected(port) as peer:
        peer.send(GET)
        assert (await peer.reply()).body == b"late"


@pytest.mark.parametrize("streamed", [True, False])
async def test_client_that_stops_reading(streamed: bool, serve: Serve) -> None:
    cancelled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        if not streamed:
            exchange.respond(200, b"", b"x" * 30_000_000)
            return
        exchange.start(200, b"")
        try:
            while True:
                exchange.write(b"x" * 65_536)
                await exchange.drain()
        finally:
            cancelled.set()

    server, port = await serve(handler, send_timeout_s=0.3)
    async with connected(port, limit=1024) as peer:
        peer.send(GET)
        await until(lambda: server.connections == 1)
        await until(lambda: server.connections == 0)
        if streamed:
            assert cancelled.is_set()


async def test_client_that_sends_close_and_stops_reading(serve: Serve) -> None:
    """The connection that only waits for its last bytes to be taken does not wait for ever."""

    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, b"", b"x" * 30_000_000)

    server, port = await serve(handler, send_timeout_s=0.3)
    async with connected(port, limit=1024) as peer:
        peer.send(GET[:-2] + b"Connection: close\r\n\r\n")
        await until(lambda: server.connections == 1)
        await until(lambda: server.connections == 0)


async def test_lingering_ends(serve: Serve) -> None:
    """A client that was refused and neither closes nor sends is let go."""
    server, port = await serve(echo)
    async with connected(port) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert (await peer.reply()).status == 400
        assert server.connections == 1
        await until(lambda: server.connections == 0)
