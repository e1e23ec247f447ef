"""The tunnel to the control process: a real uvicorn on a Unix socket, WebSockets included."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
import websockets

from tests.transport.peer import GET, HOST, Peer, Serve, connected, read_request, until
from weebill.transport.client import Client
from weebill.transport.server import Exchange
from weebill.transport.tunnel import Tunnel

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it got; streams on `/stream`; echoes on a WebSocket."""
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/refuse":
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4001})
            else:
                await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        return
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            await asyncio.sleep(0.02)
        if scope["query_string"] == b"break":
            raise ConnectionError("on purpose")
        await send({"type": "http.response.body", "body": b"."})
        return
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    seen = json.dumps(
        {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": headers,
            "size": size,
        }
    ).encode()
    answer = [(b"content-length", b"%d" % len(seen)), (b"x-request-id", b"theirs"), (b"set-cookie", b"a=b")]
    await send({"type": "http.response.start", "status": 201, "headers": [*answer, (b"set-cookie", b"c=d")]})
    await send({"type": "http.response.body", "body": seen})


@pytest_asyncio.fixture
async def control(tmp_path: Path) -> AsyncIterator[str]:
    path = str(tmp_path / "control.sock")
    server = uvicorn.Server(uvicorn.Config(app, uds=path, log_level="critical", lifespan="off", ws="websockets-sansio"))
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    yield path
    server.should_exit = server.force_exit = True
    await serving


@pytest.fixture
def tunnelled(serve: Serve, client: Client):
    async def start(path: str) -> int:
        _, port = await serve(Tunnel(client, path).relay, max_body_bytes=1024)
        return port

    return start


async def test_request_and_response_heads(tunnelled, control: str) -> None:
    port = await tunnelled(control)
    async with connected(port) as peer:
        peer.send(
            b"GET http://test/a%20b?c=d HTTP/1.1\r\nHost: test:1\r\nX-One: 1\r\n"
            b"X-Hop: 2\r\nConnection: keep-alive, x-hop\r\n"
            b"TE: trailers\r\nProxy-Authorization: x\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
            b"Forwarded: for=6.6.6.6\r\nX-Request-Id: mine\r\nCookie: a=b\r\n\r\n"
        )
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201 Created\r\n")
        assert head.count(b"set-cookie: ") == 2
        assert head.count(b"x-request-id: ") == 1
        request_id = head.split(b"x-request-id: ")[1].split(b"\r\n")[0].decode()
        assert request_id.startswith("req_")
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        seen = json.loads(await peer.reader.readexactly(length))
        assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/a%20b", "c=d")
        assert sorted(map(tuple, seen["headers"])) == sorted(
            [
                ("host", "test:1"),
                ("x-one", "1"),
                ("cookie", "a=b"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "test:1"),
                ("x-request-id", request_id),
            ]
        )


@pytest.mark.parametrize("framing", ["length", "chunked", "expect"])
async def test_large_bodies_are_streamed_beyond_the_limit(framing: str, tunnelled, control: str) -> None:
    port = await tunnelled(control)
    body = b"x" * 3_000_000
    async with connected(port) as peer:
        if framing == "chunked":
            peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            peer.send(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        elif framing == "length":
            peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        else:
            peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n")
            assert await peer.line() == b"HTTP/1.1 100 Continue\r\n"
            assert await peer.line() == b"\r\n"
            peer.send(body)
        peer.send(b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
        for size in (len(body), 0):
            head = await peer.reader.readuntil(b"\r\n\r\n")
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await peer.reader.readexactly(length))["size"] == size


async def test_head_and_streams(tunnelled, control: str) -> None:
    port = await tunnelled(control)
    async with connected(port) as peer:
        peer.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: " in head
        peer.send(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
        reply = await peer.reply()
        assert (reply.headers[b"transfer-encoding"], reply.body) == (b"chunked", b"012.")
        peer.send(b"GET /stream?break HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await peer.reader.readuntil(b"2\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert not (await peer.rest()).endswith(b"0\r\n\r\n"), "a broken stream looks complete"


async def test_websocket(tunnelled, control: str) -> None:
    port = await tunnelled(control)
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws?x=y", subprotocols=["one"], max_size=None) as ws:
        assert ws.subprotocol == "one"
        assert ws.response.headers["x-request-id"].startswith("req_")
        for size in (0, 1, 70_000, 5_000_000):
            await ws.send(b"x" * size)
            assert await ws.recv() == b"x" * size
        await ws.send("héllo")
        assert await ws.recv() == "héllo"
        await asyncio.gather(*(ws.send(f"{number}") for number in range(100)))
        assert [await ws.recv() for _ in range(100)] == [f"{number}" for number in range(100)]
        await (await ws.ping())
        await ws.send("bye")
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()
        assert ws.close_code == 4001


async def test_websocket_refused(tunnelled, control: str) -> None:
    port = await tunnelled(control)
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(f"ws://127.0.0.1:{port}/refuse")
    assert caught.value.response.status_code == 403


async def test_both_ends_of_a_websocket_go_with_either(serve: Serve, client: Client, tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(Peer(reader, writer))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: raw\r\n\r\nfirst")
        if b"GET /control" not in head:
            assert await reader.read(100) == b"early"
            await reader.read()
        writer.close()
        ended.set()

    path = str(tmp_path / "s")
    async with await asyncio.start_unix_server(accept, path):
        server, port = await serve(Tunnel(client, path).relay)
        upgrade = HOST + b"Connection: Upgrade\r\nUpgrade: raw\r\n\r\n"
        async with connected(port) as peer:
            peer.send(b"GET /control HTTP/1.1\r\n" + upgrade)
            assert (await peer.reply()).headers[b"upgrade"] == b"raw"
            assert await peer.rest() == b"first"
        ended.clear()
        async with connected(port) as peer:
            peer.send(b"GET / HTTP/1.1\r\n" + upgrade + b"early")
            assert (await peer.reply()).status == 101
            assert await peer.reader.readexactly(5) == b"first"
        await asyncio.wait_for(ended.wait(), 60)
        await until(lambda: server.connections == client.connections == server.active == 0)


async def test_control_process_is_down(serve: Serve, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    _, port = await serve(Tunnel(client, str(path), patience_s=0.1).relay)
    async with connected(port) as peer:
        peer.send(GET)
        missing = await peer.reply()
        server = await asyncio.start_unix_server(lambda r, w: None, path)
        server.close()
        await server.wait_closed()
        path.touch()  # refused rather than missing
        peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc")
        refused = await peer.reply()
    for reply in (missing, refused):
        assert (reply.status, reply.headers[b"retry-after"]) == (503, b"1")
        assert b"control_unavailable" in reply.body


async def test_a_control_process_that_starts_is_waited_for(serve: Serve, client: Client, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
        writer.close()

    path = tmp_path / "control.sock"
    _, port = await serve(Tunnel(client, str(path)).relay)
    async with connected(port) as peer:
        peer.send(GET)
        await asyncio.sleep(0.1)
        async with await asyncio.start_unix_server(answer, path):
            assert (await peer.reply()).body == b"up"


async def test_control_process_dies_without_an_answer(serve: Serve, client: Client, tmp_path: Path) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    path = str(tmp_path / "s")
    async with await asyncio.start_unix_server(accept, path):
        _, port = await serve(Tunnel(client, path).relay)
        async with connected(port) as peer:
            peer.send(GET)
            reply = await peer.reply()
            assert reply.status == 502
            assert b"control_failed" in reply.body


async def test_client_leaves_during_an_upload(serve: Serve, client: Client, tmp_path: Path) -> None:
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        got.set_result(await reader.read())
        writer.close()

    path = str(tmp_path / "s")
    async with await asyncio.start_unix_server(accept, path):
        exchanges: list[Exchange] = []

        async def relay(exchange: Exchange) -> None:
            exchanges.append(exchange)
            await Tunnel(client, path).relay(exchange)

        server, port = await serve(relay)
        async with connected(port) as peer:
            peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nabc")
            await until(lambda: client.connections == 1)
            await asyncio.sleep(0.05)
        assert not (await asyncio.wait_for(got, 60)).endswith(b"0\r\n\r\n"), "half an upload looks complete"
        await until(lambda: server.active == client.connections == 0)
