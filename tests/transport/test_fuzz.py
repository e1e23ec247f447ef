"""Random, split and mutated requests: always an answer or a close, never an exception in the loop."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transport.peer import GET, HOST, connected
from weebill.config.schema import ServerSettings
from weebill.transport.chunked import ChunkedDecoder, ChunkedError
from weebill.transport.server import Exchange, Server

VALID = [
    GET,
    b"GET /a/b?c=d HTTP/1.1\r\n" + HOST + b"Accept: */*\r\nX-Empty:\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\nhello world",
    b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nT: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
]
TOKENS = [
    b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b";", b",", b"\x00", b"\x7f", b"\xff", b"0", b"-1", b"GET", b"HTTP/1.1",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n",
    b"Upgrade: x\r\n", b"Expect: 100-continue\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"ffffffffffffffff\r\n",
]  # fmt: skip

pieces = st.one_of(st.binary(max_size=60), st.sampled_from(TOKENS), st.sampled_from(VALID))
garbage = st.lists(pieces, max_size=12).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Valid requests with some of their bytes removed, replaced or added."""
    data = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = begin + draw(st.integers(0, 4))
        data = data[:begin] + draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=3))) + data[end:]
    return data


@st.composite
def split(draw: st.DrawFn) -> list[bytes]:
    """A piece of input in up to five packets."""
    data = draw(st.one_of(garbage, mutated()))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


class World:
    """A server on an event loop that lasts for all examples, and what went wrong in it."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.faults: list[object] = []
        self.loop.set_exception_handler(lambda loop, context: self.faults.append(context))
        self.loop.run_until_complete(self.start())

    async def start(self) -> None:
        async def handler(exchange: Exchange) -> None:
            exchange.respond(200, b"", b"%d" % len(await exchange.body()))

        limits = {"header_timeout_s": 0.05, "body_timeout_s": 0.05, "idle_timeout_s": 0.05}
        self.server = Server(handler, ServerSettings(max_header_bytes=1024, max_body_bytes=1024, **limits))
        sock = socket.create_server(("127.0.0.1", 0))
        await self.server.listen([sock])
        self.port = int(sock.getsockname()[1])

    def close(self) -> None:
        self.loop.run_until_complete(self.server.drain(0))
        self.loop.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


ANSWERS = re.compile(
    rb"(?:HTTP/1\.1 (?:100|200|204|400|403|408|413|417|431) [A-Za-z ]+\r\n"
    rb"(?:[a-z-]+: [^\r\n]*\r\n)*\r\n"
    rb'(?:[0-9]*|\{"error":\{[^{}]*\}\}))*'
)


async def converse(world: World, packets: list[bytes]) -> bytes:
    """What the server says to the packets until it closes, which it must."""
    async with connected(world.port) as peer:
        try:
            for packet in packets:
                if peer.writer.transport.is_closing():  # it has answered, and reset the connection
                    break
                peer.send(packet)
                await asyncio.sleep(0)
            answer = await peer.rest()
        except ConnectionResetError:
            answer = b""
    async with connected(world.port) as peer:
        peer.send(GET)
        assert (await peer.reply()).status == 200, "the server is not well"
    return answer


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(packets=split())
def test_anything_is_answered_or_closed(world: World, packets: list[bytes]) -> None:
    answer = world.loop.run_until_complete(converse(world, packets))
    assert ANSWERS.fullmatch(answer), answer
    assert world.faults == []


@pytest.mark.parametrize("request_bytes", VALID)
async def test_valid_requests_at_every_split(request_bytes: bytes, serve) -> None:
    """One answer, and the same one, wherever the packets end."""
    answers = set()

    async def handler(exchange: Exchange) -> None:
        body = await exchange.body()
        exchange.respond(200, b"", b"%b %b %b" % (exchange.method, exchange.head.target, body))

    _, port = await serve(handler)
    async with connected(port) as peer:
        for cut in range(len(request_bytes)):
            if cut:
                peer.send(request_bytes[:cut])
                # The first part has to arrive alone.
                await asyncio.sleep(0.001)
            peer.send(request_bytes[cut:])
            reply = await peer.reply(head_only=request_bytes.startswith(b"HEAD"))
            if reply.status == 100:
                reply = await peer.reply()
            answers.add((reply.status, reply.body))
    assert len(answers) == 1


@settings(max_examples=300, deadline=None)
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    after=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 3000), max_size=6),
)
def test_chunked_coding_round_trip(chunks: list[bytes], after: bytes, cuts: list[int]) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + after
    decoder, content, rest = ChunkedDecoder(), [], b""
    points = sorted({min(cut, len(coded)) for cut in cuts})
    for a, b in zip([0, *points], [*points, len(coded)], strict=True):
        if decoder.complete:
            rest += coded[a:b]
        else:
            content += decoder.feed(coded[a:b])
            rest += decoder.excess
    assert decoder.complete
    assert b"".join(content) == b"".join(chunks)
    assert rest == after


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b"5\r\nhello\r\n", b"0\r\n", b"\r\n", b"a", b";x"])))
)
def test_chunked_coding_of_anything(parts: list[bytes]) -> None:
    decoder = ChunkedDecoder()
    try:
        for part in parts:
            if not decoder.complete:
                decoder.feed(part)
    except ChunkedError:
        pass
    assert len(decoder._line) <= 256 + 30
