"""Everything here runs on uvloop, as a gateway worker does."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop

from tests.transport.peer import Serve
from weebill.config.schema import ServerSettings
from weebill.transport.client import Client
from weebill.transport.server import Handler, Server


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a Server; afterwards no connection and no handler may be left."""
    servers: list[Server] = []

    async def start(handler: Handler, **settings: object) -> tuple[Server, int]:
        server = Server(handler, ServerSettings(**settings))  # type: ignore[arg-type]
        sock = socket.create_server(("127.0.0.1", 0))
        await server.listen([sock])
        servers.append(server)
        return server, sock.getsockname()[1]

    yield start
    for server in servers:
        await server.drain(0)
        assert server.connections == 0
        assert server.active == 0


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    yield made
    made.close()
    assert made.connections == 0


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    arguments = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", *arguments, *names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """A client's context that trusts `certificate` and nothing else."""
    return ssl.create_default_context(cafile=str(certificate[0]))
