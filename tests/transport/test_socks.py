"""The way to upstreams through SOCKS5 proxies."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.transport.peer import Peer, Serve, Upstream, until
from tests.transport.socks import RunningSocks
from tests.transport.test_proxies import FAST, HEAD, echo
from weebill.transport.client import Client, Origin, ProxyRefused, Timeouts, UpstreamConnectError, UpstreamTimeout


@pytest.fixture
async def untrusting() -> AsyncIterator[Client]:
    client = Client()
    yield client
    client.close()


@pytest.mark.parametrize("url", ["socks5", "socks5h", "me:p%40ss"])
@pytest.mark.parametrize(("host", "asked"), [("api.test", "api.test"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")])
async def test_http_is_joined(url: str, host: str, asked: str, serve: Serve, client: Client) -> None:
    """Names as such, resolved by the proxy; the connection is kept."""
    server, port = await serve(echo)
    login = ("me", "p@ss") if "@" in url or "%" in url else None
    async with RunningSocks(login) as socks:
        socks.resolved = {"api.test": "127.0.0.1", "::1": "127.0.0.1"}
        proxy = socks.proxy(url if login else "", "socks5" if login else url)
        body = bytes(range(256)) * 4000
        for _ in range(3):
            response = await client.send(Origin(host=host, port=port, proxy=proxy), HEAD, body, FAST)
            assert await response.read(10_000_000) == b"/v1/x?y=%20z:" + body
        assert socks.targets == [(asked, port)]
        assert server.connections == client.connections == 1
        client.close()
        await until(lambda: server.connections == 0)


async def test_https_is_joined_and_verified(
    serve: Serve, certificate: tuple[Path, Path], trusting: ssl.SSLContext, untrusting: Client
) -> None:
    _, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    client = Client(trusting)
    async with RunningSocks() as socks:
        origin = Origin(scheme="https", host="localhost", port=port, proxy=socks.proxy())
        response = await client.send(origin, HEAD, b"body", FAST)
        assert await response.read(1000) == b"/v1/x?y=%20z:body"
        assert socks.targets == [("localhost", port)]
        with pytest.raises(UpstreamConnectError, match="certificate"):
            await untrusting.send(origin, HEAD, b"", FAST)
    client.close()


REFUSALS: list[tuple[bytes, str]] = [
    (b"\x05\xff", "the proxy wants other credentials than a password"),
    (b"\x05\x02\x01\x01", "was refused: user or password"),
    (b"\x05\x00\x05\x02\x00\x01" + bytes(6), "was refused: not allowed by its rules"),
    (b"\x05\x00\x05\x05\x00\x01" + bytes(6), "was refused: connection refused"),
    (b"\x05\x00\x05\x63\x00\x07" + bytes(6), "was refused: reply 99"),
    (b"\x05\x00\x05\x00\x00\x01" + bytes(6) + b"Hello", "more than its answer"),
    (b"\x05\x00\x05\x00\x00\x09" + bytes(6), "no SOCKS5 proxy"),
    (b"\x04\x5b" + bytes(6), "no SOCKS5 proxy"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no SOCKS5 proxy"),
]


@pytest.mark.parametrize(("answer", "said"), REFUSALS)
async def test_refusals(answer: bytes, said: str, client: Client) -> None:
    async with RunningSocks() as socks:
        socks.answer = answer
        origin = Origin(scheme="https", host="api.test", port=443, proxy=socks.proxy("me:hidden"))
        with pytest.raises(ProxyRefused, match=said) as refused:
            await client.send(origin, HEAD, b"", FAST)
        assert f"api.test through the proxy 127.0.0.1:{socks.port}" in str(refused.value)
        assert "hidden" not in repr(refused.value) + repr(origin)
        assert client.connections == 0


@pytest.mark.parametrize("credentials", ["", "me:other"])
async def test_credentials_that_are_wanted(credentials: str, client: Client) -> None:
    async with RunningSocks(("me", "pass")) as socks:
        origin = Origin(host="api.test", port=80, proxy=socks.proxy(credentials))
        with pytest.raises(ProxyRefused, match="user or password" if credentials else "wants credentials"):
            await client.send(origin, HEAD, b"", FAST)
        assert client.connections == 0


@pytest.mark.parametrize("answer", [b"", b"\x05", b"\x05\x00\x05\x00\x00\x03\xff"])
async def test_a_proxy_that_leaves_midway(answer: bytes, client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(3)
        peer.send(answer)

    async with Upstream(script) as upstream:
        proxy = RunningSocks()
        proxy.port = upstream.origin.port
        with pytest.raises(UpstreamConnectError, match="closed the connection without an answer"):
            await client.send(Origin(host="api.test", port=80, proxy=proxy.proxy()), HEAD, b"", FAST)


async def test_a_proxy_without_an_answer(client: Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read()
        await peer.reader.read()

    async with Upstream(script) as upstream:
        proxy = RunningSocks()
        proxy.port = upstream.origin.port
        origin = Origin(host="api.test", port=80, proxy=proxy.proxy())
        with pytest.raises(UpstreamTimeout, match="connect"):
            await client.send(origin, HEAD, b"", Timeouts(connect=0.2))
        assert client.connections == 0


async def test_a_name_that_is_too_long(client: Client) -> None:
    async with RunningSocks() as socks:
        origin = Origin(host="a." * 200, port=80, proxy=socks.proxy())
        with pytest.raises(UpstreamConnectError, match="a name of 400 bytes"):
            await client.send(origin, HEAD, b"", FAST)
