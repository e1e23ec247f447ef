"""What is not HTTP/1.1 as we speak it: the status of each shape, and that the connection ends with it."""

from __future__ import annotations

import pytest

from tests.transport.peer import GET, HOST, Serve, connected
from weebill.transport.server import Exchange

POST = b"POST / HTTP/1.1\r\n" + HOST
TE = b"Transfer-Encoding: chunked\r\n"

# name: (status, request)
SHAPES: dict[str, tuple[int, bytes]] = {
    # Two lengths
    "length and chunked": (400, POST + b"Content-Length: 5\r\n" + TE + b"\r\n0\r\n\r\n"),
    "chunked and length": (400, POST + TE + b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
    "two equal lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    "two lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    "a list of lengths": (400, POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    # Bad lengths
    "signed length": (400, POST + b"Content-Length: +3\r\n\r\nabc"),
    "negative length": (400, POST + b"Content-Length: -3\r\n\r\nabc"),
    "hexadecimal length": (400, POST + b"Content-Length: 0x3\r\n\r\nabc"),
    "empty length": (400, POST + b"Content-Length:\r\n\r\nabc"),
    "length with a space inside": (400, POST + b"Content-Length: 1 0\r\n\r\nabc"),
    "length with an underscore": (400, POST + b"Content-Length: 1_0\r\n\r\nabc"),
    "length that overflows": (400, POST + b"Content-Length: 18446744073709551617\r\n\r\nabc"),
    "length with a vertical tab": (400, POST + b"Content-Length: \x0b3\r\n\r\nabc"),
    # Transfer codings
    "unknown coding": (400, POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    "coding before chunked": (400, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked not last": (400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "chunked twice": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "chunked in two fields": (400, POST + TE + TE + b"\r\n0\r\n\r\n"),
    "identity": (400, POST + b"Transfer-Encoding: identity\r\n\r\n"),
    "identity and length": (400, POST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc"),
    "nearly chunked": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "quoted chunked": (400, POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    "chunked with parameter": (400, POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    "comma before chunked": (400, POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    "vertical tab before chunked": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "empty coding": (400, POST + b"Transfer-Encoding:\r\n\r\n"),
    "folded chunked": (400, POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "chunked on HTTP/1.0": (400, b"POST / HTTP/1.0\r\n" + TE + b"\r\n0\r\n\r\n"),
    # Chunks
    "chunk size not hexadecimal": (400, POST + TE + b"\r\nxyz\r\n"),
    "chunk size with 0x": (400, POST + TE + b"\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    "negative chunk size": (400, POST + TE + b"\r\n-3\r\nabc\r\n0\r\n\r\n"),
    "signed chunk size": (400, POST + TE + b"\r\n+3\r\nabc\r\n0\r\n\r\n"),
    "empty chunk size": (400, POST + TE + b"\r\n\r\nabc\r\n0\r\n\r\n"),
    "space before chunk size": (400, POST + TE + b"\r\n 3\r\nabc\r\n0\r\n\r\n"),
    "space after chunk size": (400, POST + TE + b"\r\n3 \r\nabc\r\n0\r\n\r\n"),
    "chunk size that overflows": (400, POST + TE + b"\r\n10000000000000000\r\nabc"),
    "chunk longer than its size": (400, POST + TE + b"\r\n3\r\nabcd\r\n0\r\n\r\n"),
    "chunk shorter than its size": (400, POST + TE + b"\r\n5\r\nabc\r\n0\r\n\r\n"),
    "bare LF after chunk size": (400, POST + TE + b"\r\n3\nabc\r\n0\r\n\r\n"),
    "bare LF after chunk": (400, POST + TE + b"\r\n3\r\nabc\n0\r\n\r\n"),
    "bare CR in chunk extension": (400, POST + TE + b"\r\n3;a\rb\r\nabc\r\n0\r\n\r\n"),
    "NUL in chunk extension": (400, POST + TE + b"\r\n3;a=\x00\r\nabc\r\n0\r\n\r\n"),
    "long chunk extension": (400, POST + TE + b"\r\n3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n"),
    "many chunk extensions": (400, POST + TE + b"\r\n" + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 100 + b"0\r\n\r\n"),
    "malformed trailer": (400, POST + TE + b"\r\n0\r\nnot a trailer\r\n\r\n"),
    "folded trailer": (400, POST + TE + b"\r\n0\r\na: b\r\n c\r\n\r\n"),
    "many trailers": (400, POST + TE + b"\r\n0\r\n" + (b"a: " + b"b" * 200 + b"\r\n") * 100 + b"\r\n"),
    # Header lines
    "folding": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n"),
    "folding with a tab": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n\tb\r\n\r\n"),
    "space before the first header": (400, b"GET / HTTP/1.1\r\n Host: test\r\n\r\n"),
    "space before colon": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n"),
    "space before colon of length": (400, POST + b"Content-Length : 3\r\n\r\nabc"),
    "tab before colon": (400, POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X\r\n\r\n"),
    "no name": (400, b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n"),
    "space in name": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X Y: a\r\n\r\n"),
    "name beyond ASCII": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X\xff: a\r\n\r\n"),
    "NUL in name": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X\x00: a\r\n\r\n"),
    "NUL in value": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n"),
    "control character in value": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x01b\r\n\r\n"),
    "bare LF": (400, b"GET / HTTP/1.1\n" + HOST + b"\n"),
    "bare LF after header": (400, b"GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n"),
    "bare LF at the end": (400, b"GET / HTTP/1.1\r\n" + HOST + b"\n\r\n\r\n"),
    "bare CR in value": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n"),
    "bare CR before CRLF": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\r\n\r\n"),
    "bare CR hiding a length": (400, POST + b"X: a\rContent-Length: 3\r\n\r\nabc"),
    "CR between the last CRLFs": (400, b"GET / HTTP/1.1\r\n" + HOST + b"\r\r\n\r\n"),
    # Host
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    "host with space": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "host with path": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "host with user": (400, b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    "two keys": (400, b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: a\r\nAuthorization: b\r\n\r\n"),
    # Request line
    "two spaces": (400, b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "tab for space": (400, b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "space at the end": (400, b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n"),
    "space in target": (400, b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no version": (400, b"GET /\r\n" + HOST + b"\r\n"),
    "HTTP/0.9": (400, b"GET / HTTP/0.9\r\n" + HOST + b"\r\n"),
    "HTTP/1.2": (400, b"GET / HTTP/1.2\r\n" + HOST + b"\r\n"),
    "HTTP/1.10": (400, b"GET / HTTP/1.10\r\n" + HOST + b"\r\n"),
    "HTTP/2.0": (400, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    "http/1.1": (400, b"GET / http/1.1\r\n" + HOST + b"\r\n"),
    "RTSP": (400, b"DESCRIBE / RTSP/1.0\r\n" + HOST + b"\r\n"),
    "Icecast": (400, b"SOURCE / ICE/1.0\r\n" + HOST + b"\r\n"),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "lower-case method": (400, b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "unknown method": (400, b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target beyond ASCII": (400, b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target with DEL": (400, b"GET /\x7f HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target with fragment": (400, b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "target without slash": (400, b"GET a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "asterisk for GET": (400, b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute target of another scheme": (400, b"GET ftp://test/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute target with user": (400, b"GET http://a@test/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "CONNECT": (400, b"CONNECT test:443 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "LF before the request": (400, b"\n" + GET),
    "CR before the request": (400, b"\r" + GET),
    # Not HTTP at all
    "TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64))),
    "NULs": (400, b"\x00" * 64),
    "SSH": (400, b"SSH-2.0-OpenSSH_9.6\r\n"),
    "SMTP": (400, b"EHLO test\r\n"),
    "Redis": (400, b"*1\r\n$4\r\nPING\r\n"),
    # Limits
    "long header": (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 5000 + b"\r\n\r\n"),
    "long target": (431, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "head without end": (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 1000),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + HOST + b"a:b\r\n" * 300 + b"\r\n"),
    "long body": (413, POST + b"Content-Length: 2000\r\n\r\n"),
    "enormous body": (413, POST + b"Content-Length: 18446744073709551615\r\n\r\n"),
    "long body in one piece": (413, POST + b"Content-Length: 2000\r\n\r\n" + b"a" * 2000),
    "long chunked body": (413, POST + TE + b"\r\n7d0\r\n" + b"a" * 2000),
    "unknown expectation": (417, POST + b"Expect: a miracle\r\nContent-Length: 3\r\n\r\n"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
async def test_refused_and_closed(shape: str, pieces: str, serve: Serve) -> None:
    bodies: list[bytes] = []

    async def handler(exchange: Exchange) -> None:
        bodies.append(await exchange.body())
        exchange.respond(200, b"", b"")

    _, port = await serve(handler, max_header_bytes=4096, max_body_bytes=1024)
    status, request = SHAPES[shape]
    async with connected(port) as peer:
        if pieces == "whole":
            peer.send(request)
        else:
            # The server's answer may come before the last byte; it reads on for a while so that we get it.
            for position in range(len(request)):
                peer.send(request[position : position + 1])
                if position % 16 == 0:
                    await peer.writer.drain()
        reply = await peer.reply()
        assert reply.status == status
        assert reply.headers[b"connection"] == b"close"
        assert reply.headers[b"x-request-id"].startswith(b"req_")
        assert reply.headers[b"content-type"] == b"application/json"
        assert b'"error"' in reply.body
        assert await peer.closed()
    assert bodies == []


@pytest.mark.parametrize(
    ("request_bytes", "path", "query"),
    [
        (b"GET /a?b=c HTTP/1.1\r\n" + HOST + b"\r\n", b"/a", b"b=c"),
        (b"\r\n\r\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n", b"/a", b""),
        (b"GET http://test/a?b HTTP/1.1\r\n" + HOST + b"\r\n", b"/a", b"b"),
        (b"GET HTTP://test HTTP/1.1\r\n" + HOST + b"\r\n", b"/", b""),
        (b"GET http://test?b HTTP/1.1\r\n" + HOST + b"\r\n", b"/", b"b"),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"/", b""),
        (b"GET / HTTP/1.1\r\nhOsT:   [::1]:80  \t\r\n\r\n", b"/", b""),
        (b"GET / HTTP/1.0\r\n\r\n", b"/", b""),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: \xc3\xa9\r\n\r\n", b"/", b""),
    ],
)
async def test_unusual_but_valid(request_bytes: bytes, path: bytes, query: bytes, serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        assert await exchange.body() == b""
        exchange.respond(200, b"", exchange.path + b" " + exchange.query)

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(request_bytes)
        reply = await peer.reply()
        assert (reply.status, reply.body) == (200, path + b" " + query)


async def test_chunk_extensions_and_trailers_are_dropped(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, b"", await exchange.body())

    _, port = await serve(handler)
    async with connected(port) as peer:
        peer.send(POST + TE + b'\r\n3;a=b;c="d"\r\nabc\r\n0002\r\nde\r\n000\r\nTrailer: x\r\n\r\n' + GET)
        assert (await peer.reply()).body == b"abcde"
        assert (await peer.reply()).body == b""


async def test_a_protocol_that_is_not_switched_to_leaves_the_body_alone(serve: Serve) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, b"", await exchange.body())

    _, port = await serve(handler)
    async with connected(port) as peer:
        upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n"
        peer.send((POST + upgrade + b"abc") * 2 + POST + upgrade)
        assert [(await peer.reply()).body for _ in range(2)] == [b"abc", b"abc"]
        peer.send(b"def" + GET)
        assert [(await peer.reply()).body for _ in range(2)] == [b"def", b""]
