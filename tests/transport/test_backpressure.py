"""A slow side slows the other one down; memory stays bounded."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from tests.transport.peer import GET, HOST, Peer, Serve, Upstream, connected, read_request, rests, until
from weebill.transport.client import Client, Timeouts
from weebill.transport.limits import READ_HIGH_WATER, WRITE_HIGH_WATER
from weebill.transport.server import Exchange

# What one delivery of the event loop adds at most on top of a high-water mark.
ONE_READ = 262_144
REQUEST = b"GET / HTTP/1.1\r\nhost: test\r\n"
FLOOD = 400_000_000


async def flood(peer: Peer) -> None:
    """An upstream with a very long answer."""
    await read_request(peer)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FLOOD)
    for _ in range(FLOOD // 100_000):
        peer.send(b"x" * 100_000)
        await peer.writer.drain()


async def test_client_at_a_byte_a_second_on_a_large_stream(serve: Serve, client: Client) -> None:
    """Through server and client together: buffers and resident memory stay flat while the upstream would send more."""
    buffered = 0
    relayed = 0

    async with Upstream(flood) as upstream:

        async def relay(exchange: Exchange) -> None:
            nonlocal buffered, relayed
            response = await client.send(upstream.origin, REQUEST, b"", Timeouts())
            exchange.start(200, b"")
            try:
                async for chunk in response.chunks():
                    relayed += len(chunk)
                    exchange.write(chunk)
                    waiting = exchange._connection.transport.get_write_buffer_size()
                    buffered = max(buffered, waiting + (response.inbox.size if response.inbox else 0))
                    await exchange.drain()
            finally:
                response.close()

        server, port = await serve(relay)
        process = psutil.Process()
        async with connected(port, limit=2) as peer:
            peer.send(GET)
            await until(lambda: relayed > 0)
            before = process.memory_info().rss
            for _ in range(3):
                assert len(await peer.reader.read(1)) == 1
                await asyncio.sleep(1)
            assert 0 < await rests(lambda: relayed) < 30_000_000, "the upstream was not paused"
            assert 0 < buffered < WRITE_HIGH_WATER + READ_HIGH_WATER + 2 * ONE_READ
            assert process.memory_info().rss - before < 30_000_000
        await until(lambda: server.active == 0 and client.connections == 0)


@pytest.mark.parametrize("method", [b"GET", b"OPTIONS"])
async def test_pipelining_client_that_does_not_read_its_answers(method: bytes, serve: Serve) -> None:
    """However many requests it sends, its answers do not pile up; and when it reads, they go on."""
    answered = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal answered
        answered += 1
        exchange.respond(200, b"", b"x" * 20_000)

    server, port = await serve(handler)
    count = 3_000 if method == b"GET" else 200_000
    request = method + (b" / " if method == b"GET" else b" * ") + b"HTTP/1.1\r\n" + HOST + b"\r\n"
    async with connected(port, limit=1024) as peer:
        peer.send(request * count)
        await until(lambda: any(connection.write_paused for connection in server._sweeper.members))
        [connection] = server._sweeper.members
        assert await rests(lambda: answered) < count
        assert connection.transport.get_write_buffer_size() < WRITE_HIGH_WATER + 20_000 + ONE_READ
        for _ in range(3_000):
            assert (await peer.reply()).status in (200, 204)


async def test_reading_goes_on_when_the_client_does(serve: Serve) -> None:
    total = 20_000_000

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"")
        for _ in range(total // 50_000):
            exchange.write(b"x" * 50_000)
            await exchange.drain()
        exchange.finish()

    server, port = await serve(handler)
    async with connected(port, limit=1024) as peer:
        peer.send(GET)
        await until(lambda: any(connection.write_paused for connection in server._sweeper.members))
        assert len((await peer.reply()).body) == total


async def test_upload_to_a_handler_that_does_not_read(serve: Serve) -> None:
    begun = asyncio.Event()
    go = asyncio.Event()
    received = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal received
        begun.set()
        await go.wait()
        assert exchange._inbox is not None
        assert exchange._inbox.size <= READ_HIGH_WATER + ONE_READ
        async for chunk in exchange.chunks():
            assert len(chunk) <= READ_HIGH_WATER + ONE_READ
            received += len(chunk)
        exchange.respond(200, b"", b"%d" % received)

    _, port = await serve(handler)
    async with connected(port) as peer:
        size = 50_000_000
        peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size)
        peer.send(b"x" * size)
        await begun.wait()
        await asyncio.sleep(0.3)
        assert peer.writer.transport.get_write_buffer_size() > 0, "everything was taken in"
        go.set()
        assert (await peer.reply()).body == b"%d" % size


async def test_upstream_that_does_not_read(client: Client) -> None:
    go = asyncio.Event()
    received = 0
    produced = 0

    async def script(peer: Peer) -> None:
        nonlocal received
        await peer.reader.readuntil(b"\r\n\r\n")
        await go.wait()
        async for chunk in peer.chunks():
            received += len(chunk)
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        await peer.writer.drain()

    async def body():
        nonlocal produced
        for _ in range(2000):
            yield b"x" * 20_000
            produced += 20_000

    async with Upstream(script) as upstream:
        sending = asyncio.create_task(
            client.send(upstream.origin, b"POST / HTTP/1.1\r\nhost: test\r\n", body(), Timeouts())
        )
        await until(lambda: produced > 0)
        assert await rests(lambda: produced) < 40_000_000
        go.set()
        assert (await sending).status == 204
        assert received == 40_000_000
