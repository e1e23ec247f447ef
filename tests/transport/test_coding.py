"""Bodies that come compressed, from clients and from upstreams."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
from backports import zstd

from tests.transport.peer import HOST, Peer, Reply, Serve, Upstream, connected, read_request
from weebill.transport.client import Client, Response, Timeouts, UpstreamProtocolError
from weebill.transport.coding import CodingError, Decoding, TooLongError
from weebill.transport.server import Exchange

MIB = 1024 * 1024
# Neither all the same nor all different, over several steps.
TEXT = b"".join(b'{"n":%d,"x":"%x"}' % (n, n * n * 7919) for n in range(20_000))


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


# Made where tests are collected: quickly.
gzipped = partial(gzip.compress, compresslevel=1)
Encode = Callable[[bytes], bytes]
ENCODERS: dict[str, Encode] = {
    "gzip": gzipped,
    "x-gzip": gzipped,
    "GZip": gzipped,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstd.compress,
    "identity": bytes,
    "identity, gzip": gzipped,
    "gzip, zstd": lambda data: zstd.compress(gzipped(data)),
    "br, deflate, gzip": lambda data: gzipped(zlib.compress(brotli.compress(data, quality=5))),
}
ENCODED = {coding: encode(TEXT) for coding, encode in ENCODERS.items()}
BODIES = [
    *((coding, sent, TEXT) for coding, sent in ENCODED.items()),
    ("deflate", raw_deflate(TEXT), TEXT),
    ("gzip", gzipped(b"one") + gzipped(b"") + gzipped(b"two"), b"onetwo"),
    ("zstd", zstd.compress(b"one") + zstd.compress(b"two"), b"onetwo"),
    # A frame that is to be passed over stands before and after (RFC 8878 section 3.1.2).
    ("zstd", b"\x50\x2a\x4d\x18\x02\0\0\0ab" + zstd.compress(b"one") + b"\x5f\x2a\x4d\x18\0\0\0\0", b"one"),
    *((coding, encode(b""), b"") for coding, encode in ENCODERS.items()),
]
BROKEN = [
    *((coding, b'{"plain": true}') for coding in ENCODERS if coding != "identity"),
    *((coding, sent[:-1]) for coding, sent in ENCODED.items() if coding != "identity"),
    *((coding, sent[:1]) for coding, sent in ENCODED.items() if coding != "identity"),
    ("gzip", ENCODED["gzip"] + b"more"),
    ("deflate", ENCODED["deflate"] + b"more"),
    ("br", brotli.compress(b"x") + b"more"),
    ("zstd", ENCODED["zstd"] + b"more"),
    ("gzip", ENCODED["gzip"][:-8] + bytes(8)),  # wrong checksum and length
    ("gzip", gzipped(b"") * 5000),
    ("zstd", zstd.compress(bytes(64 * MIB), options={zstd.CompressionParameter.window_log: 27})),
]
UNKNOWN = ["compress", "aes128gcm", "gzip, lzma", "\xff", "gzip;q=1", "gzip, gzip, gzip, gzip"]
UNREADABLE = [*BROKEN, *((coding, b"x") for coding in UNKNOWN), ("gzip", gzipped(bytes(8 * MIB)))]
ids = [f"{coding}-{len(sent)}" for coding, sent, _ in BODIES]


async def echo(exchange: Exchange) -> None:
    body = await exchange.body()
    assert body == await exchange.body() == exchange.received
    exchange.respond(200, b"", body)


def sent_whole(coding: str, body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\n%bContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        HOST, coding.encode("latin-1"), len(body), body,
    )  # fmt: skip


async def answer(port: int, coding: str, body: bytes) -> Reply:
    async with connected(port) as peer:
        peer.send(sent_whole(coding, body))
        return await peer.reply()


@pytest.mark.parametrize(("coding", "sent", "content"), BODIES, ids=ids)
async def test_bodies_of_requests(coding: str, sent: bytes, content: bytes, serve: Serve) -> None:
    """Whole with the head, in pieces of any size, and chunked; the connection goes on."""
    _, port = await serve(echo)
    async with connected(port) as peer:
        for _ in range(2):
            peer.send(sent_whole(coding, sent))
            assert (await peer.reply()).body == content
        head = b"POST / HTTP/1.1\r\n%bContent-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
        peer.send(head % (HOST, coding.encode()))
        at, rng = 0, random.Random(7)
        while at < len(sent):
            piece = sent[at : at + rng.choice([1, 7, 5000, 30_000])]
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await peer.writer.drain()
            at += len(piece)
        peer.send(b"0\r\n\r\n" + sent_whole("identity", b"after"))
        assert (await peer.reply()).body == content
        assert (await peer.reply()).body == b"after"


async def test_codings_in_several_headers(serve: Serve) -> None:
    _, port = await serve(echo)
    body = zstd.compress(gzip.compress(TEXT))
    async with connected(port) as peer:
        peer.send(sent_whole("gzip\r\nContent-Encoding: zstd", body))
        assert (await peer.reply()).body == TEXT


@pytest.mark.parametrize(("coding", "sent"), BROKEN, ids=[f"{coding}-{len(sent)}" for coding, sent in BROKEN])
async def test_broken_bodies_of_requests(coding: str, sent: bytes, serve: Serve) -> None:
    _, port = await serve(echo)
    reply = await answer(port, coding, sent)
    assert (reply.status, b"content-encoding" in reply.body) == (400, True)


@pytest.mark.parametrize("coding", UNKNOWN)
async def test_codings_that_are_not_taken(coding: str, serve: Serve) -> None:
    _, port = await serve(echo)
    reply = await answer(port, coding, b"x" * 100)
    assert (reply.status, reply.headers[b"accept-encoding"]) == (415, b"zstd, br, gzip, deflate")
    assert b'"param":"content-encoding"' in reply.body


BOMBS = [
    *((coding, encode(bytes(8 * MIB))) for coding, encode in ENCODERS.items() if coding != "identity"),
    # Much on the way to nothing: stored blocks without content.
    ("gzip, gzip", gzip.compress(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\0\0\0\xff\xff" * (2 * MIB))),
    ("deflate, zstd", zstd.compress(zlib.compress(b"")[:2] + b"\0\0\0\xff\xff" * (2 * MIB))),
]


@pytest.mark.parametrize(("coding", "sent"), BOMBS, ids=[f"{coding}-{len(sent)}" for coding, sent in BOMBS])
async def test_bombs(coding: str, sent: bytes, serve: Serve) -> None:
    """What is over the limit once decoded, or on the way there."""
    assert len(sent) < MIB // 2
    _, port = await serve(echo, max_body_bytes=MIB)
    assert (await answer(port, coding, sent)).status == 413


async def test_a_coded_body_over_the_limit_that_gives_nothing(serve: Serve) -> None:
    _, port = await serve(echo, max_body_bytes=65_536)
    assert (await answer(port, "deflate", zlib.compress(b"")[:2] + b"\0\0\0\xff\xff" * 20_000)).status == 413


@pytest.mark.parametrize("coding", [name for name in ENCODERS if name != "identity"])
def test_steps_are_small(coding: str) -> None:
    """A step gives little, however much its input stands for."""
    decoding = Decoding([name.strip().lower() for name in coding.split(",") if "identity" not in name], 100 * MIB)
    decoding.feed(ENCODERS[coding](bytes(20 * MIB)))
    given = 0
    while not decoding.starved:
        piece = decoding.step()
        assert len(piece) <= 256 * 1024
        given += len(piece)
    decoding.end()
    assert given == 20 * MIB


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_arbitrary_bytes_end_in_an_error_or_in_content(coding: str) -> None:
    rng = random.Random(coding)
    good = ENCODERS[coding](TEXT[:5000])
    for _ in range(500):
        body = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        decoding = Decoding([coding], MIB)
        try:
            decoding.feed(bytes(body))
            while not decoding.starved:
                decoding.step()
            decoding.end()
        except (CodingError, TooLongError):
            continue


# Answers of upstreams

HEAD = b"POST / HTTP/1.1\r\nhost: test\r\n"
FRAMED: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": lambda body: [b"content-length: %d\r\n\r\n%b" % (len(body), body)],
    "late": lambda body: [b"content-length: %d\r\n\r\n" % len(body), body],
    "chunked": lambda body: [
        b"transfer-encoding: chunked\r\n\r\n",
        *(b"%x\r\n%b\r\n" % (len(body[at : at + 777]), body[at : at + 777]) for at in range(0, len(body), 777)),
        b"0\r\n\r\n",
    ],
    "closed": lambda body: [b"\r\n", body],
}


def answering(coding: str, body: bytes, framing: str) -> Upstream:
    async def script(peer: Peer) -> None:
        while True:
            await read_request(peer)
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\n" % coding.encode("latin-1"))
            for part in FRAMED[framing](body):
                peer.send(part)
                await peer.writer.drain()
            if framing == "closed":
                return

    return Upstream(script)


async def streamed(response: Response) -> bytes:
    return b"".join([chunk async for chunk in response.chunks()])


@pytest.mark.parametrize("framing", FRAMED)
@pytest.mark.parametrize(("coding", "sent", "content"), BODIES, ids=ids)
async def test_bodies_of_answers(coding: str, sent: bytes, content: bytes, framing: str, client: Client) -> None:
    async with answering(coding, sent, framing) as upstream:
        for read in (streamed, lambda response: response.read(10 * MIB)):
            response = await client.send(upstream.origin, HEAD, b"", Timeouts())
            assert await read(response) == content
        assert client.connections == (framing != "closed")


async def test_an_answer_as_it_was_sent(client: Client) -> None:
    """For who passes it on with its headers."""
    sent = gzip.compress(TEXT)
    for framing in FRAMED:
        async with answering("gzip", sent, framing) as upstream:
            response = await client.send(upstream.origin, HEAD, b"", Timeouts())
            assert b"".join([chunk async for chunk in response.chunks_as_sent()]) == sent


@pytest.mark.parametrize("framing", ["whole", "chunked"])
@pytest.mark.parametrize(
    ("coding", "sent"),
    UNREADABLE,
    ids=[f"{coding}-{at}" for at, (coding, _) in enumerate(UNREADABLE)],
)
async def test_answers_that_cannot_be_read(coding: str, sent: bytes, framing: str, client: Client) -> None:
    async with answering(coding, sent, framing) as upstream:
        response = await client.send(upstream.origin, HEAD, b"", Timeouts())
        with pytest.raises(UpstreamProtocolError, match=r"coding|decoded|exceeds"):
            await response.read(MIB)
        response.close()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_coded_stream_comes_event_by_event(coding: str, client: Client) -> None:
    """What the upstream has flushed is handed on; nothing waits for the end."""
    encoder = {
        "gzip": lambda: zlib.compressobj(wbits=31),
        "deflate": zlib.compressobj,
        "br": brotli.Compressor,
        "zstd": zstd.ZstdCompressor,
    }[coding]()
    compress = getattr(encoder, "compress", None) or encoder.process
    flushing = {"gzip": [zlib.Z_SYNC_FLUSH], "deflate": [zlib.Z_SYNC_FLUSH], "zstd": [1], "br": []}[coding]
    taken: list[bytes] = []

    async def script(peer: Peer) -> None:
        await read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-encoding: %b\r\n\r\n" % coding.encode())
        for number in range(5):
            piece = compress(b"data: %d\n\n" % number) + encoder.flush(*flushing)
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            while len(taken) <= number:
                await asyncio.sleep(0.001)
        end = encoder.finish() if coding == "br" else encoder.flush()
        peer.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))

    async with Upstream(script) as upstream:
        response = await client.send(upstream.origin, HEAD, b"", Timeouts(idle=5))
        async for chunk in response.chunks():
            taken.append(chunk)  # noqa: PERF401 - the upstream looks at it
        assert taken == [b"data: %d\n\n" % number for number in range(5)]
