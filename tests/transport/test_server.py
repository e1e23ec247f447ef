"""The server's side of HTTP/1.1: framing, persistence, errors."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.transport.peer import GET, HOST, Serve, connected, echo
from weebill.transport.server import Exchange

POST = b"POST / HTTP/1.1\r\n" + HOST
TE = b"Transfer-Encoding: chunked\r\n"


async def test_request_as_the_handler_sees_it(serve: Serve) -> None:
    seen: list[Exchange] = []

    async def handler(exchange: Exchange) -> None:
        seen.append(exchange)
        assert exchange.peer == "127.0.0.1"
        assert not exchange.secure
        exchange.respond(200, b"content-type: text/plain\r\n", b"hello")

    _, port = await serve(handler)
    begun = time.monotonic()
    async with connected(port) as peer:
        peer.send(b"GET /a%20b?c=d&e HTTP/1.1\r\n" + HOST + b"X-One: 1\r\nx-two:\t2 \r\nX-ONE: 3\r\n\r\n")
        reply = await peer.reply()
    exchange = seen[0]
    assert (exchange.method, exchange.head.target) == (b"GET", b"/a%20b?c=d&e")
    assert (exchange.path, exchange.query) == (b"/a%20b", b"c=d&e")
    assert exchange.headers == [(b"host", b"test"), (b"x-one", b"1"), (b"x-two", b"2"), (b"x-one", b"3")]
    assert exchange.header(b"x-one") == b"1"
    assert exchange.header(b"x-three") is None
    assert begun <= exchange.started_at <= time.monotonic()
    assert reply.status == 200
    assert reply.body == b"hello"
    assert reply.headers == {
        b"content-type": b"text/plain",
        b"content-length": b"5",
        b"x-request-id": exchange.request_id.encode(),
    }


async def test_keep_alive_gives_each_request_its_own_id(serve: Serve) -> None:
    _, port = await serve(echo)
    ids = set()
    async with connected(port) as peer:
        for _ in range(5):
            peer.send(GET)
            ids.add((await peer.reply()).headers[b"x-request-id"])
    assert len(ids) == 5


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    running = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal running
        running += 1
        assert running == 1, "two handlers of one connection at once"
        await asyncio.sleep(0.002 if exchange.path.endswith(b"7") else 0)
        await echo(exchange)
        running -= 1

    _, port = await serve(handler)
    async with connected(port) as peer:
        for number in range(40):
            peer.send(b"GET /%d HTTP/1.1\r\n" % number + HOST + b"\r\n")
            peer.send(POST + b"Content-Length: 2\r\n\r\nhi")
            peer.send(POST + TE + b"\r\n1\r\nh\r\n1\r\no\r\n0\r\n\r\n")
        for number in range(40):
            assert (await peer.reply()).body == b"GET /%d " % number
            assert (await peer.reply()).body == b"POST / hi"
            assert (await peer.reply()).body == b"POST / ho"


async def test_endless_pipelining_stops_the_reading(serve: Serve) -> None:
    """The client that only sends is read no further than the bound, and everything is answered once it reads."""
    go = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await go.wait()
        exchange.respond(200, b"", b"")

    _, port = await serve(handler)
    async with connected(port) as peer:
        sent = 400_000
        peer.send(GET * sent)
        # Far more than the kernel's buffers and ours take: the writer stays stuck.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.writer.drain(), 0.3)
        go.set()
        for _ in range(1000):
            assert (await peer.reply()).status == 200


@pytest.mark.parametrize("method", [b"OPTIONS", b"GET"])
async def test_a_great_many_small_requests_in_one_packet(method: bytes, serve: Serve) -> None:
    """Neither recursion nor starvation: OPTIONS is answered without a task."""
    _, port = await serve(echo)
    async with connected(port) as peer:
        target = b"*" if method == b"OPTIONS" else b"/"
        peer.send(b"%b %b HTTP/1.1\r\nHost:\r\n\r\n" % (method, target) * 3000)
        for _ in range(3000):
            assert (await peer.reply()).status in (200, 204)


async def test_pipelined_requests_leave_others_their_turn(serve: Serve) -> None:
    answered = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal answered
        answered += 1
        exchange.respond(200, b"", b"")

    _, port = await serve(handler)
    most, before = 0, 0
    async with connected(port) as peer:
        peer.send(GET * 500)
        while answered < 500:
            await asyncio.sleep(0)
            most, before = max(most, answered - before), answered
    assert most == 1


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000, 5_000_000])
@pytest.mark.parametrize("coding", ["length", "chunked"])
async def test_body_sizes(size: int, coding: str, serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        body = await exchange.body()
        assert await exchange.body() == body
        exchange.respond(200, b"", body)

    _, port = await serve(handler)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with connected(port) as peer:
        if coding == "length":
            peer.send(POST + b"Content-Length: %d\r\n\r\n" % size + body)
        else:
            pieces = [body[i : i + 70_001] for i in range(0, size, 70_001)]
            peer.send(POST + TE + b"\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n")
        peer.send(GET)
        assert (await peer.reply()).body == body
        assert (await peer.reply()).body == b""


async def test_request_in_single_bytes(serve: Serve) -> None:
    _, port = await serve(echo)
    async with connected(port) as peer:
        for byte in POST + TE + b"\r\n5;x=y\r\nabcde\r\n0\r\na: b\r\n\r\n":
            peer.send(bytes([byte]))
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert (await peer.reply()).body == b"POST / abcde"


async def test_streamed_response(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"content-type: text/event-stream\r\n")
        for number in range(100):
            exchange.write(b"data: %d\n\n" % number)
            exchange.write(b"")
            await exchange.drain()
        exchange.finish()

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET * 2)
        for _ in range(2):
            reply = await peer.reply()
            assert reply.headers[b"transfer-encoding"] == b"chunked"
            assert reply.body == b"".join(b"data: %d\n\n" % number for number in range(100))


async def test_streamed_response_of_known_length(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"", 6)
        exchange.write(b"abc")
        if exchange.path != b"/short":
            exchange.write(b"def")
        if exchange.path == b"/long":
            with pytest.raises(RuntimeError, match="announced length"):
                exchange.write(b"g")
        exchange.finish()

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET)
        assert (await peer.reply()).body == b"abcdef"
        peer.send(b"GET /short HTTP/1.1\r\n" + HOST + b"\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError, AssertionError)):
            await peer.reply()


async def test_head_has_the_length_but_not_the_body(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.path == b"/stream":
            exchange.start(200, b"")
            exchange.write(b"hello")
            exchange.finish()
        else:
            exchange.respond(200, b"", b"hello")

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await peer.reply(head_only=True)).headers[b"content-length"] == b"5"
        peer.send(b"HEAD /stream HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await peer.reply(head_only=True)).headers[b"transfer-encoding"] == b"chunked"
        peer.send(GET)
        assert (await peer.reply()).body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
async def test_bodiless_statuses(status: int, serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.method == b"GET":
            exchange.respond(status, b"", b"")
        else:
            exchange.start(status, b"")
            exchange.write(b"never sent")
            exchange.finish()

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET + POST + b"\r\n")
        for _ in range(2):
            reply = await peer.reply()
            assert reply.status == status
            assert reply.headers.keys() == {b"x-request-id"}


async def test_http_1_0(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.path == b"/stream":
            exchange.start(200, b"")
            exchange.write(b"abc")
            await exchange.drain()
            exchange.write(b"def")
            exchange.finish()
        else:
            exchange.respond(200, b"", b"hello")

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await peer.reply()
        assert (reply.headers[b"connection"], reply.body) == (b"keep-alive", b"hello")
        peer.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await peer.reply()
        assert (reply.headers[b"connection"], reply.body) == (b"close", b"abcdef")
        assert b"transfer-encoding" not in reply.headers
    async with connected(port) as peer:
        peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await peer.reply()).body == b"hello"
        assert await peer.closed()


async def test_connection_close_is_honoured(serve: Serve) -> None:
    _, port = await serve(echo)
    async with connected(port) as peer:
        peer.send(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n" + GET)
        assert (await peer.reply()).headers[b"connection"] == b"close"
        assert await peer.closed()


async def test_expect_continue(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.path == b"/refuse":
            exchange.respond(401, b"", b"")
        else:
            await echo(exchange)

    _, port = await serve(handler)
    expecting = HOST + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n"
    async with connected(port) as peer:
        peer.send(b"POST / HTTP/1.1\r\n" + expecting)
        assert await peer.line() == b"HTTP/1.1 100 Continue\r\n"
        assert await peer.line() == b"\r\n"
        peer.send(b"abc")
        assert (await peer.reply()).body == b"POST / abc"
        # The client that does not wait is not told to go on.
        peer.send(b"POST / HTTP/1.1\r\n" + expecting + b"abc")
        assert (await peer.reply()).body == b"POST / abc"
        # Not wanted: refused without a go, and the connection cannot be used any more.
        peer.send(b"POST /refuse HTTP/1.1\r\n" + expecting)
        reply = await peer.reply()
        assert (reply.status, reply.headers[b"connection"]) == (401, b"close")
        assert await peer.closed()
    async with connected(port) as peer:
        peer.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
        assert (await peer.reply()).status == 200


async def test_expectation_is_not_met_for_a_body_that_is_too_long(serve: Serve) -> None:
    _, port = await serve(echo, max_body_bytes=1024)
    async with connected(port) as peer:
        peer.send(POST + b"Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
        assert (await peer.reply()).status == 413


async def test_early_answer_reaches_a_client_that_is_still_sending(serve: Serve) -> None:
    """Without lingering the unread body would reset the connection under the answer."""

    async def handler(exchange: Exchange) -> None:
        exchange.respond(401, b"", b"no")

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(POST + b"Content-Length: 20000000\r\n\r\n")
        for _ in range(200):
            peer.send(b"x" * 100_000)
            await peer.writer.drain()
        reply = await peer.reply()
        assert (reply.status, reply.headers[b"connection"], reply.body) == (401, b"close", b"no")


async def test_streaming_body(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"")
        async for chunk in exchange.chunks():
            exchange.write(chunk.upper())
        exchange.finish()

    _, port = await serve(handler, max_body_bytes=1024)
    async with connected(port) as peer:
        peer.send(POST + TE + b"\r\n3\r\nabc\r\n")
        assert await peer.line() == b"HTTP/1.1 200 OK\r\n"
        while await peer.line() != b"\r\n":
            pass
        chunks = peer.chunks()
        assert await anext(chunks) == b"ABC"
        peer.send(b"3\r\ndef\r\n")
        assert await anext(chunks) == b"DEF"
        peer.send(b"fff\r\n" + b"x" * 0xFFF + b"\r\n0\r\n\r\n")
        assert b"".join([chunk async for chunk in chunks]) == b"X" * 0xFFF


async def test_malformed_body_after_the_answer_began_cuts_the_connection(serve: Serve) -> None:
    cancelled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"begun")
        try:
            async for _ in exchange.chunks():
                pass
        finally:
            cancelled.set()

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(POST + TE + b"\r\n3\r\nabc\r\n")
        assert await peer.line() == b"HTTP/1.1 200 OK\r\n"
        peer.send(b"nonsense\r\n")
        assert not (await peer.rest()).endswith(b"0\r\n\r\n")
        await asyncio.wait_for(cancelled.wait(), 60)
