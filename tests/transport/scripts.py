"""Requests to upstreams under test, and what these do with them."""

from __future__ import annotations

from tests.transport.peer import Peer, read_request
from weebill.transport.client import Timeouts

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
