"""The upstream client: framing, pooling, timeouts, cuts."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.transport.peer import Peer, Upstream, read_request, until
from weebill.config.schema import MeteringSettings
from weebill.gateway.meter import Meter
from weebill.transport.client import (
    Client,
    Origin,
    PoolFull,
    Response,
    Timeouts,
    UpstreamConnectError,
    UpstreamCut,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from weebill.transport.limits import MAX_RESPONSE_HEAD_BYTES, MAX_WAITERS
from weebill.transport.upstream import UpstreamConnection
from weebill.usage.journal import JournalWriter
from weebill.wire.errors import ApiError

GET = b"GET / HTTP/1.1\r\nhost: test\r\n"
POST = b"POST / HTTP/1.1\r\nhost: test\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nhost: test\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SLOW = Timeouts()


def answering(*answers: bytes, close: bool = False):
    """A script that answers each request of a connection with the next of `answers`, then maybe closes."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await read_request(peer)
            peer.send(answer)
            await peer.writer.drain()
        if not close:
            await peer.reader.read()

    return script


async def always_ok(peer: Peer) -> None:
    while True:
        await read_request(peer)
        peer.send(OK)


# What is sent


@pytest.mark.parametrize(
    ("head", "body", "sent"),
    [
        (GET, b"", GET + b"\r\n"),
        (HEAD, b"", HEAD + b"\r\n"),
        (POST, b"", POST + b"content-length: 0\r\n\r\n"),
        (POST, b"hello", POST + b"content-length: 5\r\n\r\nhello"),
        (GET, b"hello", GET + b"content-length: 5\r\n\r\nhello"),
    ],
)
async def test_request_on_the_wire(head: bytes, body: bytes, sent: bytes, client: Client) -> None:
    async def script(peer: Peer) -> None:
        assert await peer.reader.readexactly(len(sent)) == sent
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert await peer.reader.read() == b""

    async with Upstream(script) as upstream:
        assert (await client.send(upstream.origin, head, body, SLOW)).status == 204


async def test_streamed_request_body(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in (b"abc", b"", b"d" * 100_000):
            yield piece
            await asyncio.sleep(0.01)

    async def script(peer: Peer) -> None:
        head, received = await read_request(peer)
        assert b"transfer-encoding: chunked\r\n" in head
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received) + received)
        await peer.reader.read()

    async with Upstream(script) as upstream:
        response = await client.send(upstream.origin, POST, body(), SLOW)
        assert await response.read(200_000) == b"abc" + b"d" * 100_000


async def test_body_source_that_breaks_does_not_look_complete(client: Client) -> None:
    got = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        await asyncio.sleep(0.01)
        raise ValueError("source broke")

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        assert not (await peer.reader.read()).endswith(b"0\r\n\r\n")
        got.set()

    async with Upstream(script) as upstream:
        with pytest.raises(ValueError, match="source broke"):
            await client.send(upstream.origin, POST, body(), SLOW)
        await asyncio.wait_for(got.wait(), 5)


async def test_early_answer_to_a_streamed_body(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        await asyncio.Event().wait()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await peer.reader.read()

    async with Upstream(script) as upstream:
        response = await client.send(upstream.origin, POST, body(), SLOW)
        assert (response.status, await response.read(10)) == (413, b"no")
        await until(lambda: client.connections == 0)


# What is understood


@pytest.mark.parametrize(
    ("head", "answer", "body", "reused"),
    [
        (GET, OK, b"ok", True),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nT: x\r\n\r\n", b"ok", True),
        (GET, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK, b"ok", True),
        (GET, b"\r\n\r\n" + OK, b"ok", True),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b"", True),
        (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"", True),
        (HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"", True),
        (HEAD, b"HTTP/1.1 200 OK\r\n\r\n", b"", False),
        (GET, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (GET, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (GET, b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (GET, OK + b"HTTP/1.1 200 OK\r\n", b"ok", False),
        (GET, OK + b"surplus", b"ok", False),
        (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"", False),
    ],
)
@pytest.mark.parametrize("pieces", ["whole", "single bytes"])
async def test_framing(head: bytes, answer: bytes, body: bytes, reused: bool, pieces: str, client: Client) -> None:
    async def script(peer: Peer) -> None:
        await read_request(peer)
        for position in range(len(answer)) if pieces == "single bytes" else ():
            peer.send(answer[position : position + 1])
            await asyncio.sleep(0)
        if pieces == "whole":
            peer.send(answer)
        await read_request(peer)
        peer.send(b"HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\nsecond")
        await peer.reader.read()

    async with Upstream(script) as upstream:
        response = await client.send(upstream.origin, head, b"", SLOW)
        assert await response.read(100) == body
        if reused:
            response = await client.send(upstream.origin, GET, b"", SLOW)
            assert (response.status, await response.read(100)) == (201, b"second")
            assert upstream.accepted == 1
        else:
            await until(lambda: client.connections == 0)


async def test_body_that_ends_with_the_connection(client: Client) -> None:
    async with Upstream(answering(b"HTTP/1.1 200 OK\r\nX-Y: a\r\nx-y: b\r\n\r\nuntil the end", close=True)) as upstream:
        response = await client.send(upstream.origin, GET, b"", SLOW)
        assert response.headers == [(b"x-y", b"a"), (b"x-y", b"b")]
        assert response.header(b"x-y") == b"a"
        assert [chunk async for chunk in response.chunks()] == [b"until the end"]


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 300 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * (MAX_RESPONSE_HEAD_BYTES + 300_000),
        # complete, and small enough to come in one read
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_RESPONSE_HEAD_BYTES + b"\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\nX: " + b"y" * 1000 + b"\r\n\r\n" + b"HTTP/1.1 100 Continue\r\n\r\n" * 30_000,
    ],
)
async def test_malformed_answers(answer: bytes, client: Client) -> None:
    async with Upstream(answering(answer)) as upstream:
        with pytest.raises(UpstreamProtocolError):
            await client.send(upstream.origin, GET, b"", SLOW)
        assert client.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
    ],
)
async def test_cut(answer: bytes, client: Client) -> None:
    async with Upstream(answering(answer, close=True)) as upstream:
        if b"short" in answer:
            response = await client.send(upstream.origin, GET, b"", SLOW)
            assert await anext(response.chunks()) == b"short"
            with pytest.raises(UpstreamCut):
                await response.read(100)
        else:
            with pytest.raises(UpstreamCut):
                await client.send(upstream.origin, GET, b"", SLOW)
        assert upstream.accepted == 1, "a request must not go out twice once an answer has begun"
        assert client.connections == 0


async def test_broken_chunk_in_the_middle(client: Client) -> None:
    async with Upstream(
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n")
    ) as upstream:
        response = await client.send(upstream.origin, GET, b"", SLOW)
        chunks = response.chunks()
        assert await anext(chunks) == b"ok"
        with pytest.raises(UpstreamProtocolError):
            await anext(chunks)


async def test_read_limit(client: Client) -> None:
    async with Upstream(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
    ) as upstream:
        response = await client.send(upstream.origin, GET, b"", SLOW)
        with pytest.raises(UpstreamProtocolError, match="exceeds 1000000 bytes"):
            await response.read(1_000_000)
        assert client.connections == 0


async def test_fragments_that_come_together_are_one_chunk(client: Client) -> None:
    events = b"".join(b"5\r\n%05d\r\n" % number for number in range(1000))
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + events + b"0\r\n\r\n"
    async with Upstream(answering(answer)) as upstream:
        response = await client.send(upstream.origin, GET, b"", SLOW)
        chunks = [chunk async for chunk in response.chunks()]
        assert b"".join(chunks) == b"".join(b"%05d" % number for number in range(1000))
        assert len(chunks) < 20


# Pooling


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
    async def script(peer: Peer) -> None:
        await read_request(peer)
        peer.send(OK)
        await asyncio.sleep(0.02)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await peer.reader.read()

    async with Upstream(script) as upstream:
        assert await (await client.send(upstream.origin, GET, b"", SLOW)).read(10) == b"ok"
        assert client.connections == 1
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
        assert 0.05 < time.monotonic() - begin < 2
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
        async with asyncio.timeout(10):
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


# Timeouts and endings


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
        ("total", Timeouts(total=1.0, idle=0.5), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + b"x" * 4),
        ("total", Timeouts(total=0.2), b""),
    ],
)
async def test_timeouts(phase: str, timeouts: Timeouts, answer: bytes, client: Client) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        if phase == "total" and answer:
            await read_request(peer)
            peer.send(answer[:-4])
            for byte in answer[-4:]:
                await asyncio.sleep(0.4)
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
        assert 0.15 < time.monotonic() - begin < 5
        assert client.connections == 0
        if not (phase == "first_byte" and answer):
            await asyncio.wait_for(closed.wait(), 5)


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
    asked = asyncio.Event()
    closed: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await read_request(peer)
        if phase == "body":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            await peer.writer.drain()
        asked.set()
        assert await peer.reader.read() == b""
        closed.set_result(time.monotonic())

    async def ask() -> None:
        await (await client.send(upstream.origin, GET, b"", SLOW)).read(1000)

    async with Upstream(script) as upstream:
        task = asyncio.create_task(ask())
        await asked.wait()
        await asyncio.sleep(0.02)
        begin = time.monotonic()
        task.cancel()
        assert await asyncio.wait_for(closed, 5) - begin < 0.1
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


@pytest.mark.parametrize(
    ("url", "origin", "prefix", "authority"),
    [
        ("http://a.example/v1/", Origin(host="a.example", port=80), "/v1", "a.example"),
        ("https://a.example", Origin(scheme="https", host="a.example", port=443), "", "a.example"),
        ("http://127.0.0.1:9100/v1", Origin(host="127.0.0.1", port=9100), "/v1", "127.0.0.1:9100"),
        ("http://[::1]:1/x/y", Origin(host="::1", port=1), "/x/y", "[::1]:1"),
    ],
)
def test_origin_of_a_url(url: str, origin: Origin, prefix: str, authority: str) -> None:
    assert Origin.parse(url) == (origin, prefix)
    assert origin.authority == authority


@pytest.mark.parametrize("url", ["", "a.example", "ftp://a", "http://", "http://u:p@a/", "http://a/?q", "http://a:x/"])
def test_not_an_origin(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
        Origin.parse(url)


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
