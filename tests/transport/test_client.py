"""The upstream client: what is sent, and what is understood of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.transport.peer import Peer, Upstream, read_request, until
from tests.transport.scripts import GET, HEAD, OK, POST, SLOW, answering
from weebill.transport.client import (
    Client,
    Origin,
    UpstreamCut,
    UpstreamProtocolError,
)
from weebill.transport.limits import MAX_RESPONSE_HEAD_BYTES

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
        await asyncio.wait_for(got.wait(), 60)


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
