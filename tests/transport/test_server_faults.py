"""The server when handlers fail, and when there is too much."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from tests.transport.peer import GET, HOST, Serve, connected, echo
from weebill.config.schema import ServerSettings
from weebill.transport.server import Exchange
from weebill.wire.errors import ApiError, ErrorBody

POST = b"POST / HTTP/1.1\r\n" + HOST

Fault = Callable[[Exchange], Awaitable[None]]


async def _raises(exchange: Exchange) -> None:
    raise ValueError("secret detail")


async def _says_nothing(exchange: Exchange) -> None:
    pass


@pytest.mark.parametrize("fault", [_raises, _says_nothing])
async def test_failing_handler_is_a_500(fault: Fault, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(exchange: Exchange) -> None:
        await fault(exchange)

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET * 2)
        for _ in range(2):
            reply = await peer.reply()
            assert reply.status == 500
            detail = msgspec.json.decode(reply.body, type=ErrorBody).error
            assert (detail.type, detail.code) == ("server_error", "internal_error")
            assert "secret" not in detail.message
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_api_error_is_answered_as_it_says(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        raise ApiError(429, "Slow down.", code="rate_limit_exceeded", param="model", retry_after=7)

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET)
        reply = await peer.reply()
    assert (reply.status, reply.headers[b"retry-after"]) == (429, b"7")
    detail = msgspec.json.decode(reply.body, type=ErrorBody).error
    assert (detail.message, detail.param, detail.code) == ("Slow down.", "model", "rate_limit_exceeded")


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("fault", ["raise", "return", "abort"])
async def test_broken_stream_does_not_look_complete(version: bytes, fault: str, serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"part")
        await asyncio.sleep(0.01)
        if fault == "raise":
            raise ValueError
        if fault == "abort":
            exchange.abort()
            exchange.write(b"ignored")
            exchange.finish()

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(b"GET / HTTP/%b\r\n" % version + HOST + b"\r\n")
        if version == b"1.0":
            # The body ends with the connection: only a reset tells a cut from an end.
            with pytest.raises(ConnectionResetError):
                await peer.rest()
        else:
            assert not (await peer.rest()).endswith(b"0\r\n\r\n")


async def test_answering_twice_is_an_error_of_the_handler(serve: Serve) -> None:
    raised: list[str] = []

    async def handler(exchange: Exchange) -> None:
        for call in (lambda: exchange.write(b"x"), exchange.finish):
            with pytest.raises(RuntimeError):
                call()
        exchange.start(200, b"")
        for again in (lambda: exchange.start(200, b""), lambda: exchange.respond(200, b"", b"")):
            with pytest.raises(RuntimeError) as caught:
                again()
            raised.append(str(caught.value))
        exchange.finish()

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(GET)
        assert (await peer.reply()).status == 200
    assert len(raised) == 2


async def test_too_many_connections(serve: Serve) -> None:
    server, port = await serve(echo, max_connections=2)
    async with connected(port) as first, connected(port) as second:
        for peer in (first, second):
            peer.send(GET)
            assert (await peer.reply()).status == 200
        # One that asks, well-formed or not, and one that says nothing for so long that it gets its answer unasked.
        server.update(ServerSettings(max_connections=2, idle_timeout_s=0.1))
        for said in (GET, b"garbage\r\n\r\n", b"POST / HTTP/1.1\r\n" + HOST, b""):
            async with connected(port) as third:
                third.send(said)
                reply = await third.reply()
                assert reply.status == 503
                assert b"too_many_connections" in reply.body
                assert reply.headers[b"retry-after"] == b"1"
                assert await third.closed()
        for peer in (first, second):
            peer.send(GET)
            assert (await peer.reply()).status == 200
        server.update(ServerSettings(max_connections=3))
        async with connected(port) as fourth:
            fourth.send(GET)
            assert (await fourth.reply()).status == 200


async def test_update_changes_the_limits_of_open_connections(serve: Serve) -> None:
    server, port = await serve(echo, max_body_bytes=1024)
    async with connected(port) as peer:
        server.update(ServerSettings(max_body_bytes=4096, cors_origins=("https://a.example",)))
        peer.send(POST + b"Origin: https://a.example\r\nContent-Length: 2000\r\n\r\n" + b"a" * 2000)
        reply = await peer.reply()
        assert reply.status == 200
        assert reply.headers[b"access-control-allow-origin"] == b"https://a.example"
