"""TLS on both sides."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.transport.peer import GET, HOST, Serve, connected
from weebill.config.schema import ServerSettings
from weebill.transport.client import Client, Origin, Timeouts, UpstreamConnectError
from weebill.transport.server import Exchange

HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\n"


async def echo(exchange: Exchange) -> None:
    assert exchange.secure
    exchange.respond(200, b"", await exchange.body())


async def test_client_and_server(serve: Serve, certificate: tuple[Path, Path], trusting: ssl.SSLContext) -> None:
    server, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    client = Client(trusting)
    try:
        body = bytes(range(256)) * 8000
        for _ in range(3):
            response = await client.send(Origin(scheme="https", host="localhost", port=port), HEAD, body, Timeouts())
            assert await response.read(10_000_000) == body
        assert server.connections == client.connections == 1
    finally:
        client.close()


async def test_unverified_certificates_are_refused(serve: Serve, certificate: tuple[Path, Path]) -> None:
    _, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    for trust in (None, ssl.create_default_context()):
        client = Client(trust)
        with pytest.raises(UpstreamConnectError, match="certificate"):
            await client.send(Origin(scheme="https", host="localhost", port=port), HEAD, b"", Timeouts())
        assert client.connections == 0


async def test_name_is_verified(serve: Serve, certificate: tuple[Path, Path], trusting: ssl.SSLContext) -> None:
    _, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    client = Client(trusting)
    with pytest.raises(UpstreamConnectError):
        await client.send(Origin(scheme="https", host="127.0.0.2", port=port), HEAD, b"", Timeouts())


async def test_raw_clients(serve: Serve, certificate: tuple[Path, Path], trusting: ssl.SSLContext) -> None:
    server, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    async with connected(port, trusting) as peer:
        peer.send(GET * 3)
        for _ in range(3):
            assert (await peer.reply()).status == 200
        server.update(server.settings)
        peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n")
        assert (await peer.reply()).status == 400
    async with connected(port) as peer:
        peer.send(GET)
        assert not (await peer.rest()).startswith(b"HTTP")  # an alert or nothing
    with pytest.raises(OSError, match="No such file"):
        server.update(ServerSettings(tls_cert="/nonexistent/cert.pem", tls_key="/nonexistent/key.pem"))
