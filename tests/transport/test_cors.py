"""Cross-origin requests."""

from __future__ import annotations

from tests.transport.peer import GET, HOST, Serve, connected
from weebill.transport.server import Exchange

ORIGIN = b"Origin: https://a.example\r\n"
PREFLIGHT = b"OPTIONS /v1/chat/completions HTTP/1.1\r\n" + HOST + b"Access-Control-Request-Method: POST\r\n"


async def handler(exchange: Exchange) -> None:
    exchange.respond(404 if exchange.method == b"OPTIONS" else 200, b"", b"hello")


async def test_any_origin(serve: Serve) -> None:
    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(PREFLIGHT + ORIGIN + b"Access-Control-Request-Headers: authorization, x-stainless-os\r\n\r\n")
        reply = await peer.reply()
        assert reply.status == 204
        assert reply.headers[b"access-control-allow-origin"] == b"*"
        assert b"POST" in reply.headers[b"access-control-allow-methods"].split(b", ")
        assert reply.headers[b"access-control-allow-headers"] == b"authorization, x-stainless-os"
        assert b"access-control-allow-credentials" not in reply.headers
        peer.send(GET[:-2] + ORIGIN + b"\r\n")
        reply = await peer.reply()
        assert (reply.status, reply.body) == (200, b"hello")
        assert reply.headers[b"access-control-allow-origin"] == b"*"
        assert b"x-request-id" in reply.headers[b"access-control-expose-headers"].split(b", ")


async def test_listed_origins(serve: Serve) -> None:
    _, port = await serve(handler, cors_origins=("https://a.example", "https://b.example"))
    async with connected(port) as peer:
        for request in (PREFLIGHT + ORIGIN, GET[:-2] + ORIGIN):
            peer.send(request + b"\r\n")
            reply = await peer.reply()
            assert reply.headers[b"access-control-allow-origin"] == b"https://a.example"
            assert reply.headers[b"vary"] == b"origin"
        peer.send(PREFLIGHT + b"Origin: https://evil.example\r\n\r\n")
        reply = await peer.reply()
        assert reply.status == 403
        assert b"access-control-allow-origin" not in reply.headers
        peer.send(GET[:-2] + b"Origin: https://evil.example\r\n\r\n")
        reply = await peer.reply()
        assert reply.status == 200
        assert b"access-control-allow-origin" not in reply.headers


async def test_errors_of_the_server_can_be_read_by_the_page(serve: Serve) -> None:
    async def reads(exchange: Exchange) -> None:
        await exchange.body()

    _, port = await serve(reads, max_body_bytes=1024)
    async with connected(port) as peer:
        peer.send(b"POST / HTTP/1.1\r\n" + HOST + ORIGIN + b"Content-Length: 5000\r\n\r\n")
        reply = await peer.reply()
        assert reply.status == 413
        assert reply.headers[b"access-control-allow-origin"] == b"*"


async def test_without_origin_nothing_is_said(serve: Serve) -> None:
    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(PREFLIGHT + b"\r\n" + GET)
        assert (await peer.reply()).status == 404
        reply = await peer.reply()
        assert not [name for name in reply.headers if name.startswith(b"access-control")]
