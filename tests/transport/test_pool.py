"""The upstream client's connections: which one a request gets, and who waits for one."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.transport.peer import Peer, Upstream, read_request, until
from tests.transport.scripts import GET, OK, POST, SLOW, always_ok, answering
from weebill.config.schema import MeteringSettings
from weebill.gateway.meter import Meter
from weebill.transport.client import (
    Client,
    Origin,
    PoolFull,
    Timeouts,
    UpstreamConnectError,
    UpstreamCut,
)
from weebill.transport.limits import MAX_WAITERS
from weebill.transport.upstream import UpstreamConnection
from weebill.usage.journal import JournalWriter
from weebill.wire.errors import ApiError


async def test_connections_are_used_again(client: Client) -> None:
    async with Upstream(always_ok) as upstream:
        for _ in range(10):
            assert await (await client.send(upstream.origin, POST, b"x", SLOW)).read(10) == b"ok"
        assert upstream.accepted == client.connections == 1


async def test_unix_socket(client: Client, tmp_path: Path) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(Peer(reader, writer))
        writer.write(OK)
        await reader.read()
        writer.close()

    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(accept, path)
    async with server:
        assert await (await client.send(Origin(path=path), GET, b"", SLOW)).read(10) == b"ok"
        client.close()
    with pytest.raises(UpstreamConnectError):
        await client.send(Origin(path=str(tmp_path / "missing")), GET, b"", SLOW)


@pytest.mark.parametrize("seen", [True, False])
async def test_stale_connection_is_replaced_once(seen: bool, client: Client) -> None:
    """The upstream closed a pooled connection: before the next request was sent, or in the very moment."""
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        await read_request(peer)
        requests += 1
        peer.send(OK)
        if requests == 1 and not seen:
            await read_request(peer)  # takes the second request, and closes without a byte
        elif requests > 1:
            await peer.reader.read()

    async with Upstream(script) as upstream:
        assert await (await client.send(upstream.origin, POST, b"1", SLOW)).read(10) == b"ok"
        if seen:
            await until(lambda: client.connections == 0)
        assert await (await client.send(upstream.origin, POST, b"2", SLOW)).read(10) == b"ok"
        assert (upstream.accepted, requests) == (2, 2)


async def test_stale_connection_is_replaced_only_once(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await read_request(peer)
        if upstream.accepted == 1:
            peer.send(OK)
            await read_request(peer)

    async with Upstream(script) as upstream:
        await (await client.send(upstream.origin, POST, b"1", SLOW)).read(10)
        with pytest.raises(UpstreamCut):
            await client.send(upstream.origin, POST, b"2", SLOW)
        assert upstream.accepted == 2


async def test_answer_on_a_pooled_connection_that_began_is_not_asked_for_again(client: Client) -> None:
    async with Upstream(answering(OK, b"HTTP/1.1 2", close=True)) as upstream:
        await (await client.send(upstream.origin, POST, b"1", SLOW)).read(10)
        with pytest.raises(UpstreamCut):
            await client.send(upstream.origin, POST, b"2", SLOW)
        assert upstream.accepted == 1


async def test_unsolicited_bytes_close_an_idle_connection(client: Client) -> None:
    kept = asyncio.Event()

    async def script(peer: Peer) -> None:
        await read_request(peer)
        peer.send(OK)
        await kept.wait()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await peer.reader.read()

    async with Upstream(script) as upstream:
        assert await (await client.send(upstream.origin, GET, b"", SLOW)).read(10) == b"ok"
        assert client.connections == 1
        kept.set()
        await until(lambda: client.connections == 0)
        assert await (await client.send(upstream.origin, GET, b"", SLOW)).read(10) == b"ok"
        assert upstream.accepted == 2


async def test_idle_connections_expire() -> None:
    client = Client(idle_expiry_s=0.2)
    async with Upstream(always_ok) as upstream:
        await (await client.send(upstream.origin, GET, b"", SLOW)).read(10)
        assert client.connections == 1
        await until(lambda: client.connections == 0)
        await until(lambda: upstream.closed == 1)
        assert not client._pools


async def test_bound_of_the_pool(client: Client) -> None:
    busy = most = 0

    async def script(peer: Peer) -> None:
        nonlocal busy, most
        while True:
            await read_request(peer)
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.005)
            busy -= 1
            peer.send(OK)

    async with Upstream(script) as upstream:
        origin = Origin(host="127.0.0.1", port=upstream.origin.port, max_connections=3)

        async def ask() -> bytes:
            return await (await client.send(origin, GET, b"", SLOW)).read(10)

        assert await asyncio.gather(*(ask() for _ in range(50))) == [b"ok"] * 50
        assert most == upstream.accepted == 3


async def test_exhausted_pool(client: Client) -> None:
    """Waiting ends with the connect timeout; whoever gives up does not take a connection with him."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await read_request(peer)
            await go.wait()
            peer.send(OK)

    async with Upstream(script) as upstream:
        origin = Origin(host="127.0.0.1", port=upstream.origin.port, max_connections=1)
        first = asyncio.create_task(client.send(origin, GET, b"", SLOW))
        await until(lambda: upstream.accepted == 1)
        begin = time.monotonic()
        with pytest.raises(PoolFull, match="all 1 connections"):
            await client.send(origin, GET, b"", Timeouts(connect=0.1))
        assert time.monotonic() - begin > 0.05
        assert not first.done()
        waiting = [asyncio.create_task(client.send(origin, GET, b"", SLOW)) for _ in range(MAX_WAITERS)]
        await asyncio.sleep(0)
        with pytest.raises(PoolFull, match=f"{MAX_WAITERS} requests wait"):
            await client.send(origin, GET, b"", SLOW)
        for task in waiting[:-1]:
            task.cancel()
        go.set()
        assert await (await first).read(10) == b"ok"
        assert await (await waiting[-1]).read(10) == b"ok"
        assert upstream.accepted == 1


async def test_senders_are_told_once_there_is_a_connection(client: Client, tmp_path: Path) -> None:
    go = asyncio.Event()
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        while True:
            await read_request(peer)
            requests += 1
            await go.wait()
            peer.send(OK)

    async with Upstream(script) as upstream:
        origin = Origin(host="127.0.0.1", port=upstream.origin.port, max_connections=1)
        journals = [tmp_path / str(number) for number in range(4)]
        senders = []
        for folder in journals:
            folder.mkdir()
            senders.append(Meter("r", "k", "e", 0.0, journal=JournalWriter(folder, 0, MeteringSettings())))
        shutil.rmtree(journals[1])
        tasks = [asyncio.create_task(client.send(origin, POST, b"x", SLOW, sender=sender)) for sender in senders]
        await until(lambda: requests == 1)
        assert [sender.slot >= 0 for sender in senders] == [True, False, False, False]
        tasks.pop().cancel()
        go.set()
        assert await (await tasks[0]).read(10) == b"ok"
        with pytest.raises(ApiError, match="cannot be recorded"):  # which keeps it back
            await tasks[1]
        assert await (await tasks[2]).read(10) == b"ok"
        assert [sender.slot >= 0 for sender in senders] == [True, False, True, False]
        assert (upstream.accepted, requests) == (1, 2)


async def test_waiter_gets_a_fresh_connection_for_one_that_closed(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await read_request(peer)
        await asyncio.sleep(0.02)
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    async with Upstream(script) as upstream:
        origin = Origin(host="127.0.0.1", port=upstream.origin.port, max_connections=1)
        responses = await asyncio.gather(*(client.send(origin, GET, b"", SLOW) for _ in range(4)))
        assert [await response.read(10) for response in responses] == [b"ok"] * 4
        assert upstream.accepted == 4


async def test_waiters_of_an_upstream_that_hangs_up_after_each_answer(client: Client) -> None:
    """A connection that is handed on may be gone before it is used, although its upstream promised to keep it."""
    async with Upstream(answering(OK, close=True)) as upstream:
        origin = Origin(host="127.0.0.1", port=upstream.origin.port, max_connections=2)
        async with asyncio.timeout(60):
            responses = await asyncio.gather(*(client.send(origin, POST, b"x", SLOW) for _ in range(40)))
        assert [await response.read(10) for response in responses] == [b"ok"] * 40
        await until(lambda: client.connections == 0)
        assert not client._pools


@pytest.mark.parametrize("moment", ["cancelled", "hung up"])
async def test_connection_that_is_lost_while_it_is_made(
    moment: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it, its place in the pool is given back once."""
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    made = UpstreamConnection.connection_made

    def disturbed(self: UpstreamConnection, transport: asyncio.Transport) -> None:
        made(self, transport)
        if moment == "cancelled":
            asking.cancel()
        else:
            self.eof_received()
            transport.close()

    async with Upstream(answering(OK[:-1])) as upstream:
        origin = Origin(host="127.0.0.1", port=upstream.origin.port, max_connections=2)
        await client.send(origin, GET, b"", SLOW)
        monkeypatch.setattr(UpstreamConnection, "connection_made", disturbed)
        asking = asyncio.create_task(client.send(origin, GET, b"", SLOW))
        with pytest.raises((UpstreamConnectError, asyncio.CancelledError)):
            await asking
        monkeypatch.undo()
        assert client._pools[origin]._size == client.connections == 1
        client.close()
        assert not client._pools
        assert not faults


async def test_streamed_body_evicts_an_idle_connection_of_a_full_pool(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    async with Upstream(always_ok) as upstream:
        origin = Origin(host="127.0.0.1", port=upstream.origin.port, max_connections=1)
        for _ in range(3):
            await (await client.send(origin, POST, body(), SLOW)).read(10)
        assert upstream.accepted == 3
        assert client.connections == 1
