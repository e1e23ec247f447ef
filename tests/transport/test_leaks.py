"""Connections opened and dropped in many ways, many at once, leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct

import psutil

from tests.transport.peer import GET, HOST, Peer, Serve, Upstream, read_request, until
from weebill.transport.client import Client, Timeouts, UpstreamError
from weebill.transport.connection import ServerConnection
from weebill.transport.exchange import Exchange
from weebill.transport.upstream import UpstreamConnection

PARTS = [
    b"",
    b"G",
    GET[:-2],
    GET,
    GET + GET[:10],
    b"nonsense\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nabc",
    b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab",
]


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


async def test_a_great_many_connections_opened_and_dropped(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.body()
        exchange.start(200, b"")
        exchange.write(b"begun")
        await asyncio.sleep(3600)

    server, port = await serve(handler)
    process = psutil.Process()
    loop = asyncio.get_running_loop()
    files, tasks = process.num_fds(), len(asyncio.all_tasks())

    async def open_and_drop(number: int) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, PARTS[number % len(PARTS)])
            if number % 3 == 0:
                await asyncio.sleep(0.001)
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # reset by the server, which is fine
        finally:
            sock.close()

    for batch in range(0, 2_000, 200):
        await asyncio.gather(*(open_and_drop(number) for number in range(batch, batch + 200)))
    await until(lambda: server.connections == 0 and server.active == 0)
    assert len(asyncio.all_tasks()) == tasks
    await until(lambda: process.num_fds() <= files)
    assert alive(ServerConnection) == 0
    assert alive(Exchange) == 0


async def test_connections_that_were_served_leave_no_task_behind(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, b"", b"done")

    server, port = await serve(handler)
    tasks = len(asyncio.all_tasks())
    served = []
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(GET)
            assert b"done" in await reader.readuntil(b"done")
        served.append(writer)
    assert len(asyncio.all_tasks()) == tasks + 100  # one for each, however many requests it has served
    for at, writer in enumerate(served):
        if at % 2:
            writer.close()
        else:
            writer.transport.abort()
    await until(lambda: server.connections == 0)
    await until(lambda: len(asyncio.all_tasks()) == tasks)
    assert alive(ServerConnection) == 0


async def test_connections_that_were_served_are_gone_without_a_collection(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, b"", b"done")

    server, port = await serve(handler)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await reader.readuntil(b"done")
            writer.close()
        await until(lambda: server.connections == 0)
        await until(lambda: not any(isinstance(thing, ServerConnection) for thing in gc.get_objects()))
    finally:
        gc.enable()


async def test_a_handler_that_outlives_its_connection_ends_the_task(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        stream = exchange.upgrade(b"connection: upgrade\r\nupgrade: raw\r\n")
        assert await stream.read() == b""
        for _ in range(5):
            await asyncio.sleep(0)

    server, port = await serve(handler)
    tasks = len(asyncio.all_tasks())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: raw\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await until(lambda: server.connections == 0 and server.active == 0)
    await until(lambda: len(asyncio.all_tasks()) == tasks)


async def test_upstream_connections_cut_and_cancelled() -> None:
    async def script(peer: Peer) -> None:
        head, _ = await read_request(peer)
        number = int(head.split(b" ")[1][1:])
        answers = [
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            b"nonsense",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
        ]
        peer.send(answers[number % len(answers)])
        await peer.writer.drain()
        if number % 7 == 0:
            await peer.reader.read()  # until the client leaves

    client = Client()
    process = psutil.Process()
    async with Upstream(script) as upstream:
        files = process.num_fds()

        async def ask(number: int) -> None:
            head = b"GET /%d HTTP/1.1\r\nhost: test\r\n" % number
            try:
                async with asyncio.timeout(0.2):
                    response = await client.send(upstream.origin, head, b"", Timeouts())
                    await response.read(100)
            except (UpstreamError, TimeoutError):
                pass

        for batch in range(0, 400, 100):
            await asyncio.gather(*(ask(number) for number in range(batch, batch + 100)))
        client.close()
        assert client.connections == 0
        assert not client._pools
        await until(lambda: upstream.closed == upstream.accepted)
        await until(lambda: process.num_fds() <= files)
    assert alive(UpstreamConnection) == 0
