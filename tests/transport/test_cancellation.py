"""A client that goes away takes its handler with it, within 100 ms."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from tests.transport.peer import GET, HOST, Peer, Serve, Ticks, connected, until
from weebill.transport.server import Exchange

POST = b"POST / HTTP/1.1\r\n" + HOST


def close(peer: Peer) -> None:
    peer.close()


def half_close(peer: Peer) -> None:
    peer.writer.write_eof()


def reset(peer: Peer) -> None:
    sock = peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


@pytest.mark.parametrize("leave", [close, half_close, reset])
@pytest.mark.parametrize("doing", ["waiting", "streaming", "stuck", "reading"])
async def test_client_gone(leave, doing: str, serve: Serve) -> None:
    started, ticks = asyncio.Event(), Ticks()
    cancelled: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handler(exchange: Exchange) -> None:
        try:
            if doing == "reading":
                started.set()
                await exchange.body()
            if doing == "waiting":
                started.set()
                await asyncio.Event().wait()
            exchange.start(200, b"")
            while True:
                exchange.write(b"x" * (65_536 if doing == "stuck" else 10))
                if doing == "streaming":
                    await asyncio.sleep(0.005)
                    started.set()
                else:
                    asyncio.get_running_loop().call_later(0.1, started.set)
                    await exchange.drain()
        except asyncio.CancelledError:
            assert exchange.complete
            cancelled.set_result(ticks.count)
            # Nobody is there: nothing of this may fail or go anywhere.
            exchange.write(b"x")
            exchange.finish()
            exchange.respond(500, b"", b"")
            exchange.abort()
            await exchange.drain()
            raise

    _, port = await serve(handler)
    async with connected(port, limit=1024) as peer, ticks:
        peer.send(POST + b"Content-Length: 10\r\n\r\nabc" if doing == "reading" else GET)
        await asyncio.wait_for(started.wait(), 60)
        begin = ticks.count
        leave(peer)
        assert await asyncio.wait_for(cancelled, 60) - begin < 10


async def test_what_follows_the_answer_is_not_cancelled(serve: Serve) -> None:
    """A handler may finish its books after the last byte, also if the client is quick to leave."""
    booked = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, b"", b"")
        await asyncio.sleep(0.1)
        booked.set()

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET)
        await peer.reply()
    await asyncio.wait_for(booked.wait(), 60)


async def test_pipelined_requests_of_a_client_that_left_are_not_started(serve: Serve) -> None:
    started = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal started
        started += 1
        await asyncio.Event().wait()

    server, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET * 3)
        async with asyncio.timeout(60):
            while not started:
                await asyncio.sleep(0.005)
    async with asyncio.timeout(60):
        while server.connections or server.active:
            await asyncio.sleep(0.005)
    assert started == 1


async def test_client_that_leaves_before_its_handler_has_run_at_all(serve: Serve) -> None:
    """A task cancelled between its creation and its first step must not stay counted."""

    async def handler(exchange: Exchange) -> None:
        raise AssertionError("nobody waits for this")

    server, port = await serve(handler)
    async with connected(port):
        await until(lambda: server.connections == 1)
        (connection,) = server._sweeper.members
        # Request and end of file in the same turn of the loop.
        connection.data_received(GET)
        connection.eof_received()
        await asyncio.sleep(0.01)
    await until(lambda: server.connections == 0)
    assert server.active == 0
