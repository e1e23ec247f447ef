"""The upstream client: timeouts, cancellation, and other ends of an exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.transport.peer import Peer, Ticks, Upstream, read_request, until
from tests.transport.scripts import GET, OK, POST, SLOW, always_ok, answering
from weebill.transport.client import (
    Client,
    Origin,
    Response,
    Timeouts,
    UpstreamConnectError,
    UpstreamTimeout,
)
from weebill.transport.upstream import UpstreamConnection


async def test_refused(client: Client) -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(UpstreamConnectError, match=f"127.0.0.1:{port}"):
        await client.send(Origin(host="127.0.0.1", port=port), GET, b"", SLOW)
    with pytest.raises(UpstreamConnectError):
        await client.send(Origin(host="no-such-host.invalid", port=80), GET, b"", SLOW)
    assert not client._pools


async def test_connect_timeout(client: Client, trusting) -> None:
    """A listener that accepts but never shakes hands."""

    async def script(peer: Peer) -> None:
        await peer.reader.read()
        await peer.reader.read()

    async with Upstream(script) as upstream:
        origin = Origin(scheme="https", host="127.0.0.1", port=upstream.origin.port)
        with pytest.raises(UpstreamTimeout) as caught:
            await client.send(origin, GET, b"", Timeouts(connect=0.1))
        assert caught.value.phase == "connect"
        assert not client._pools


async def drip(peer: Peer, data: bytes) -> None:
    await read_request(peer)
    for byte in data:
        peer.send(bytes([byte]))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("phase", "timeouts", "answer"),
    [
        ("first_byte", Timeouts(first_byte=0.3), b""),
        ("first_byte", Timeouts(first_byte=0.3), b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000),
        ("idle", Timeouts(idle=0.3), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
        ("total", Timeouts(total=1.0, idle=0.9), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + b"x" * 9),
        ("total", Timeouts(total=0.2), b""),
    ],
)
async def test_timeouts(phase: str, timeouts: Timeouts, answer: bytes, client: Client) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        if phase == "total" and answer:
            await read_request(peer)
            peer.send(answer[:-9])
            for byte in answer[-9:]:
                await asyncio.sleep(0.2)
                if not peer.reader.at_eof():
                    peer.send(bytes([byte]))
        elif phase == "first_byte" and answer:
            await drip(peer, answer)
        else:
            await read_request(peer)
            peer.send(answer)
        await peer.reader.read()
        closed.set()

    async with Upstream(script) as upstream:
        begin = time.monotonic()
        with pytest.raises(UpstreamTimeout) as caught:
            await (await client.send(upstream.origin, GET, b"", timeouts)).read(1000)
        assert caught.value.phase == phase
        assert time.monotonic() - begin > 0.15
        assert client.connections == 0
        if not (phase == "first_byte" and answer):
            await asyncio.wait_for(closed.wait(), 60)


async def test_slow_reader_is_not_an_idle_upstream(client: Client) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000
    async with Upstream(answering(answer)) as upstream:
        response = await client.send(upstream.origin, GET, b"", Timeouts(idle=0.2))
        chunks = response.chunks()
        first = await anext(chunks)
        await asyncio.sleep(0.6)
        assert len(first) + sum([len(chunk) async for chunk in chunks]) == 5_000_000


@pytest.mark.parametrize("phase", ["head", "body"])
async def test_cancellation_closes_the_upstream_at_once(phase: str, client: Client) -> None:
    asked, ticks = asyncio.Event(), Ticks()
    closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await read_request(peer)
        if phase == "body":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            await peer.writer.drain()
        asked.set()
        assert await peer.reader.read() == b""
        closed.set_result(ticks.count)

    async def ask() -> None:
        await (await client.send(upstream.origin, GET, b"", SLOW)).read(1000)

    async with Upstream(script) as upstream, ticks:
        task = asyncio.create_task(ask())
        await asked.wait()
        await asyncio.sleep(0.02)
        begin = ticks.count
        task.cancel()
        assert await asyncio.wait_for(closed, 60) - begin < 10
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.connections == 0


async def test_close_of_a_response(client: Client) -> None:
    async with Upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")) as upstream:
        response = await client.send(upstream.origin, GET, b"", SLOW)
        response.close()
        response.close()
        assert client.connections == 0
    async with Upstream(always_ok) as upstream:
        response = await client.send(upstream.origin, GET, b"", SLOW)
        second = await client.send(upstream.origin, GET, b"", SLOW)
        response.close()  # complete: its connection is another's by now, and must stay
        assert await second.read(10) == b"ok"
        assert client.connections == 1


async def test_upgrade(client: Client) -> None:
    async def script(peer: Peer) -> None:
        head, _ = await read_request(peer)
        assert b"upgrade: echo\r\n" in head
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome")
        while data := await peer.reader.read(1000):
            peer.send(data.upper())

    async with Upstream(script) as upstream:
        head = GET + b"connection: upgrade\r\nupgrade: echo\r\n"
        response = await client.send(upstream.origin, head, b"", Timeouts(idle=0.2, total=0.3, first_byte=0.2))
        assert response.status == 101
        raw = response.upgrade()
        assert await raw.read() == b"welcome"
        await asyncio.sleep(0.5)  # an upgraded connection has no timeouts of HTTP's
        raw.write(b"hello")
        await raw.drain()
        assert await raw.read() == b"HELLO"
        raw.close()
        await until(lambda: client.connections == 0)


@asynccontextmanager
async def waiting(client: Client) -> AsyncIterator[tuple[Upstream, asyncio.Task[Response], UpstreamConnection]]:
    """An upstream that says nothing by itself, a request that waits for it, and the connection that it waits on."""

    async def silent(peer: Peer) -> None:
        await peer.reader.read(-1)

    async with Upstream(silent) as upstream:
        first = asyncio.create_task(client.send(upstream.origin, GET, b"", SLOW))
        await until(lambda: client.connections == 1)
        await asyncio.sleep(0.01)
        [connection] = client._sweeper.members
        yield upstream, first, connection


@pytest.mark.parametrize("answered_first", [True, False])
async def test_what_is_cancelled_as_it_is_answered_does_not_end_the_next(client: Client, answered_first: bool) -> None:
    """Its connection is free again, and may be another's, before the task that waited has run."""
    async with waiting(client) as (upstream, first, connection):
        second = asyncio.create_task(client.send(upstream.origin, GET, b"", SLOW))
        if answered_first:
            connection.data_received(OK)
            first.cancel()
        else:
            first.cancel()
            connection.data_received(OK)
        await asyncio.wait({first})
        assert first.cancelled()
        connection.data_received(OK)
        assert await (await second).read(10) == b"ok"
        assert client.connections == 1


async def test_what_is_cancelled_while_its_answer_begins_is_given_up(client: Client) -> None:
    async with waiting(client) as (_, first, connection):
        first.cancel()
        connection.data_received(OK[:-1])
        await asyncio.wait({first})
        await until(lambda: client.connections == 0)


@pytest.mark.parametrize(("first_byte", "patience_s"), [(0.2, 60.0), (60.0, 0.2)])
async def test_how_long_the_head_may_take(first_byte: float, patience_s: float, client: Client) -> None:
    """The shorter of what the upstream may take, and of what whoever asks can wait."""
    async with Upstream(silent) as upstream:
        for body in (b"", pieces()):
            with pytest.raises(UpstreamTimeout, match="first_byte"):
                await client.send(upstream.origin, POST, body, Timeouts(first_byte=first_byte), patience_s)
            assert client.connections == 0


async def silent(peer: Peer) -> None:
    await peer.reader.read()
    await asyncio.sleep(60)


async def pieces() -> AsyncIterator[bytes]:
    yield b"piece"
