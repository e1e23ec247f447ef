"""The way to upstreams through HTTP proxies, with certificates of one's own on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fixtures.ports import free_port
from tests.transport.peer import Peer, Serve, Upstream, read_request, until
from tests.transport.proxy import RunningProxy
from weebill.transport.client import (
    Client,
    Origin,
    Proxy,
    ProxyRefused,
    Timeouts,
    Trust,
    UpstreamConnectError,
    UpstreamError,
    UpstreamTimeout,
)
from weebill.transport.server import Exchange

HEAD = b"POST /v1/x?y=%20z HTTP/1.1\r\nhost: api.test\r\nauthorization: Bearer secret\r\n"
FAST = Timeouts(connect=5.0, first_byte=5.0)


async def echo(exchange: Exchange) -> None:
    exchange.respond(200, b"", b"%b?%b:%b" % (exchange.path, exchange.query, await exchange.body()))


@asynccontextmanager
async def tls_server(certificate: tuple[Path, Path], clients: Path | None = None) -> AsyncIterator[int]:
    """Says the common name of whoever connects; with `clients`, only those whose certificate is in that file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await read_request(Peer(reader, writer))
                shown = writer.get_extra_info("peercert") or {}
                name = str(shown.get("subject", "nobody")).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(name), name))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("credentials", ["", "me:pass", "me:p%40ss%3A%25"])
async def test_https_is_joined(
    credentials: str, serve: Serve, certificate: tuple[Path, Path], trusting: ssl.SSLContext
) -> None:
    """The proxy sees the target and its own credentials, and nothing of the request; the connection is kept."""
    server, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    client = Client(trusting)
    async with RunningProxy({"me:p%40ss%3A%25": "me:p@ss:%"}.get(credentials, credentials)) as proxy:
        origin = Origin(scheme="https", host="localhost", port=port, proxy=proxy.proxy(credentials))
        body = bytes(range(256)) * 4000
        for _ in range(3):
            response = await client.send(origin, HEAD, body, FAST)
            assert await response.read(10_000_000) == b"/v1/x?y=%20z:" + body
        [head] = proxy.heads
        assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\nhost: localhost:%d\r\n" % (port, port))
        assert b"secret" not in head
        assert (b"proxy-authorization" in head) == bool(credentials)
        assert server.connections == client.connections == 1
        client.close()
        await until(lambda: server.connections == 0)


@pytest.mark.parametrize("credentials", ["", "me:pass"])
async def test_http_is_passed_on(credentials: str, serve: Serve, client: Client) -> None:
    _, port = await serve(echo)
    async with RunningProxy(credentials) as proxy:
        origin = Origin(host="api.test", port=port, proxy=proxy.proxy(credentials))
        proxy.resolved["api.test"] = "127.0.0.1"
        response = await client.send(origin, HEAD, b"body", FAST)
        assert await response.read(1000) == b"/v1/x?y=%20z:body"
        [head] = proxy.heads
        assert head.startswith(b"POST http://api.test:%d/v1/x?y=%%20z HTTP/1.1\r\n" % port)
        assert (b"\r\nproxy-authorization: Basic " in head) == bool(credentials)
        assert head.count(b"host: ") == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_spoken_to_over_tls(
    scheme: str, serve: Serve, certificate: tuple[Path, Path], trusting: ssl.SSLContext
) -> None:
    tls = {"tls_cert": str(certificate[0]), "tls_key": str(certificate[1])} if scheme == "https" else {}
    _, port = await serve(echo, **tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    client = Client(trusting)
    async with RunningProxy("me:pass", context) as proxy:
        origin = Origin(scheme=scheme, host="localhost", port=port, proxy=proxy.proxy("me:pass"))
        for _ in range(2):
            response = await client.send(origin, HEAD, bytes(1_000_000), FAST)
            assert len(await response.read(10_000_000)) > 1_000_000
        assert proxy.connections == (1 if scheme == "https" else 2)
        untrusting = Client()
        with pytest.raises(UpstreamConnectError, match="certificate"):
            await untrusting.send(origin, HEAD, b"", FAST)
    client.close()


REFUSALS: list[tuple[bytes, str, str]] = [
    (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication Required", ""),
    (b"HTTP/1.0 403 Forbidden\r\n\r\n<b>No \x1b[1m\r\nentry</b>", "403 Forbidden", "<b>No [1m entry</b>"),
    (b"HTTP/1.1 502\r\n\r\n", "502", ""),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "101 Switching Protocols", ""),
    (b"SSH-2.0-OpenSSH_9\r\n\r\n", "no HTTP proxy", "SSH-2.0-OpenSSH_9"),
    (b"x" * 70_000, "no HTTP proxy", "x" * 300),
    (b"HTTP/1.1 200 OK\r\n\r\nHello", "more than its answer", "Hello"),
]


@pytest.mark.parametrize(("answer", "said", "text"), REFUSALS, ids=[said for _, said, _ in REFUSALS])
async def test_refusals(answer: bytes, said: str, text: str, client: Client) -> None:
    async with RunningProxy() as proxy:
        proxy.answer = answer
        origin = Origin(scheme="https", host="api.test", port=443, proxy=proxy.proxy("me:hidden"))
        with pytest.raises(ProxyRefused, match=said) as refused:
            await client.send(origin, HEAD, b"", FAST)
        assert refused.value.text == text
        assert f"api.test through the proxy 127.0.0.1:{proxy.port}" in str(refused.value)
        assert "hidden" not in repr(refused.value) + repr(origin)
        assert client.connections == 0


async def test_credentials_are_wanted_for_http_too(serve: Serve, client: Client) -> None:
    _, port = await serve(echo)
    async with RunningProxy("me:pass") as proxy:
        with pytest.raises(ProxyRefused, match="407"):
            await client.send(Origin(host="127.0.0.1", port=port, proxy=proxy.proxy()), HEAD, b"", FAST)
        await until(lambda: client.connections == 0)


async def test_no_proxy_there(client: Client) -> None:
    async with RunningProxy() as proxy:
        gone = proxy.proxy()
    for scheme in ("http", "https"):
        with pytest.raises(UpstreamConnectError, match=f"through the proxy 127.0.0.1:{gone.port}"):
            await client.send(Origin(scheme=scheme, host="api.test", port=443, proxy=gone), HEAD, b"", FAST)
    proxy_host = Proxy(host="no-such-host.invalid", port=1)
    with pytest.raises(UpstreamConnectError, match="no-such-host"):
        await client.send(Origin(scheme="https", host="api.test", port=443, proxy=proxy_host), HEAD, b"", FAST)


@pytest.mark.parametrize("script", ["silent", "closing"])
async def test_a_proxy_without_an_answer(script: str, client: Client) -> None:
    async def run(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        if script == "silent":
            await peer.reader.read()

    async with Upstream(run) as silent:
        origin = Origin(
            scheme="https", host="api.test", port=443, proxy=Proxy(host="127.0.0.1", port=silent.origin.port)
        )
        error: type[Exception] = UpstreamTimeout if script == "silent" else UpstreamConnectError
        with pytest.raises(error):
            await client.send(origin, HEAD, b"", Timeouts(connect=0.3 if script == "silent" else 20.0))
        await until(lambda: silent.closed == 1)


async def test_who_gives_up_leaves_nothing_open(client: Client) -> None:
    async def run(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.reader.read()

    async with Upstream(run) as silent:
        origin = Origin(
            scheme="https", host="api.test", port=443, proxy=Proxy(host="127.0.0.1", port=silent.origin.port)
        )
        asking = asyncio.create_task(client.send(origin, HEAD, b"", FAST))
        await until(lambda: silent.accepted == 1)
        asking.cancel()
        await until(lambda: silent.closed == 1)
        assert client.connections == 0


async def test_the_upstreams_certificate_is_verified_through_a_proxy(
    serve: Serve, certificate: tuple[Path, Path], client: Client
) -> None:
    _, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    async with RunningProxy() as proxy:
        with pytest.raises(UpstreamConnectError, match="certificate"):
            await client.send(Origin(scheme="https", host="localhost", port=port, proxy=proxy.proxy()), HEAD, b"", FAST)
        assert client.connections == 0
        trust = Trust(ca_file=str(certificate[0]))
        origin = Origin(scheme="https", host="localhost", port=port, proxy=proxy.proxy(), trust=trust)
        assert (await client.send(origin, HEAD, b"", FAST)).status == 200


# Whom to trust, and who to be


async def test_trust(certificate: tuple[Path, Path], tmp_path: Path, client: Client) -> None:
    """Each way of trusting has connections of its own: what one believes is no word for another."""
    async with tls_server(self_signed(tmp_path, "elsewhere")) as other, tls_server(certificate) as port:
        theirs, anybody, the_systems = Trust(ca_file=str(certificate[0])), Trust(verify=False), Trust()
        for trusted, at, believed in (
            (theirs, port, True),
            (theirs, other, False),
            (anybody, port, True),
            (anybody, other, True),  # which has another name, too
            (the_systems, port, False),
        ):
            origin = Origin(scheme="https", host="localhost", port=at, trust=trusted)
            if believed:
                assert (await client.send(origin, HEAD, b"", FAST)).status == 200
            else:
                with pytest.raises(UpstreamConnectError, match="certificate"):
                    await client.send(origin, HEAD, b"", FAST)


async def test_client_certificates(certificate: tuple[Path, Path], tmp_path: Path, client: Client) -> None:
    cert, key = self_signed(tmp_path, "weebill")
    both = tmp_path / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    async with tls_server(certificate, cert) as port, RunningProxy() as proxy:
        for shown in (
            Trust(ca_file=str(certificate[0]), client_cert=str(cert), client_key=str(key)),
            Trust(ca_file=str(certificate[0]), client_cert=str(both)),
        ):
            for way in (None, proxy.proxy()):
                origin = Origin(scheme="https", host="localhost", port=port, trust=shown, proxy=way)
                response = await client.send(origin, HEAD, b"", FAST)
                assert b"weebill" in await response.read(1000)
        anonymous = Trust(ca_file=str(certificate[0]))
        with pytest.raises(UpstreamError):  # TLS 1.3 tells after the handshake
            await client.send(Origin(scheme="https", host="localhost", port=port, trust=anonymous), HEAD, b"", FAST)


async def test_renewed_files_are_taken_up(certificate: tuple[Path, Path], tmp_path: Path, client: Client) -> None:
    """By the next connection, without a reload."""
    first, second = self_signed(tmp_path, "first"), self_signed(tmp_path, "second")
    known, cert, key = tmp_path / "known.pem", tmp_path / "cert.pem", tmp_path / "cert.key"
    known.write_bytes(first[0].read_bytes() + second[0].read_bytes())
    trust = Trust(ca_file=str(certificate[0]), client_cert=str(cert), client_key=str(key))
    async with tls_server(certificate, known) as port:
        origin = Origin(scheme="https", host="localhost", port=port, trust=trust)
        for name, (renewed, its_key) in {b"first": first, b"second": second}.items():
            cert.write_bytes(renewed.read_bytes())
            key.write_bytes(its_key.read_bytes())
            os.utime(cert, ns=(0, int.from_bytes(name[:4])))
            response = await client.send(origin, HEAD, b"", FAST)
            assert name in await response.read(1000)
            client.close()


async def test_files_that_do_not_do(certificate: tuple[Path, Path], tmp_path: Path, client: Client) -> None:
    other = tmp_path / "other.pem"
    other.write_text("nothing")
    cert = str(certificate[0])
    for trust in (
        Trust(ca_file="/no/such/file.pem"),
        Trust(ca_file=str(other)),
        Trust(client_cert=cert),
        Trust(client_cert=cert, client_key=str(other)),
    ):
        with pytest.raises(UpstreamConnectError, match="cannot connect to localhost"):
            await client.send(Origin(scheme="https", host="localhost", port=1, trust=trust), HEAD, b"", FAST)


async def test_the_system_trusts_whom_ssl_cert_file_says(serve: Serve, certificate: tuple[Path, Path]) -> None:
    """OpenSSL reads the variable when a process first makes a context: so in a process of its own."""
    _, port = await serve(echo, tls_cert=str(certificate[0]), tls_key=str(certificate[1]))
    code = f"""
import asyncio
from weebill.transport.client import Client, Origin, Timeouts
async def main():
    client = Client()
    origin = Origin(scheme="https", host="localhost", port={port})
    print((await client.send(origin, b"GET / HTTP/1.1\\r\\nhost: localhost\\r\\n", b"", Timeouts())).status)
    client.close()
asyncio.run(main())
"""
    for environment, said in (({"SSL_CERT_FILE": str(certificate[0])}, b"200"), ({}, b"certificate verify failed")):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, env={**os.environ, **environment}, stdout=-1, stderr=-1
        )
        assert said in b"".join(await process.communicate())


@pytest.mark.skipif(shutil.which("tinyproxy") is None, reason="tinyproxy is not installed")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_somebody_elses_proxy(
    scheme: str, serve: Serve, certificate: tuple[Path, Path], tmp_path: Path, client: Client
) -> None:
    tls = {"tls_cert": str(certificate[0]), "tls_key": str(certificate[1])} if scheme == "https" else {}
    _, port = await serve(echo, **tls)
    its_port = free_port()
    settings = tmp_path / "tinyproxy.conf"
    settings.write_text(f"Port {its_port}\nListen 127.0.0.1\nBasicAuth me secret\n")
    process = await asyncio.create_subprocess_exec("tinyproxy", "-d", "-c", str(settings), stdout=-3)
    try:
        await _listening(its_port)
        for password in ("secret", "wrong"):
            proxy = Proxy.parse(f"http://me:{password}@127.0.0.1:{its_port}")
            trust = Trust(ca_file=str(certificate[0]) if tls else "")
            origin = Origin(scheme=scheme, host="127.0.0.1", port=port, proxy=proxy, trust=trust)
            if password == "wrong" and scheme == "https":
                with pytest.raises(ProxyRefused, match=r"40[17]"):
                    await client.send(origin, HEAD, b"body", FAST)
                continue
            response = await client.send(origin, HEAD, b"body", FAST)
            assert (response.status == 200) == (password == "secret")
            response.close()
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                return
            await asyncio.sleep(0.05)
