"""What clients are told of where upstreams are: nothing. The log says it."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fixtures.ports import free_port
from tests.fixtures.upstream import Upstream, chunk, stream
from tests.fixtures.worker import running_worker
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.process.messages import EngineState

PATHS: Final = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"input": "hi"},
    "/v1/embeddings": {"input": "hi"},
}
# How an address, a port or the number of an error of the operating system looks.
INTERNAL: Final = re.compile(
    r"\d+\.\d+\.\d+\.\d+|:\d{2,5}\b|\[?Errno|localhost|invalid|secret-host|/home|\.sock", re.IGNORECASE
)


def settings(**provider: Any) -> Settings:
    return Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={"acme": ProviderSettings(**{"api_key": "k", "models": ("m",), **provider})},
    )


# Where the upstream is said to be, what the client is told of it, and what the log is.
UNREACHABLE: Final = [
    ({"base_url": "http://127.0.0.1:{nobody}/v1"}, "it refused the connection", "127.0.0.1:{nobody}"),
    ({"base_url": "http://secret-host.invalid:8443/v1"}, "its name cannot be resolved", "secret-host.invalid:8443"),
    ({"base_url": "https://127.0.0.1:{upstream}/v1"}, "no secure connection could be made", "127.0.0.1:{upstream}"),
    (
        {"base_url": "https://secret-host.invalid/v1", "proxy": "http://127.0.0.1:{nobody}"},
        "it refused the connection",
        "through the proxy 127.0.0.1:{nobody}",
    ),
    (
        {"base_url": "https://secret-host.invalid/v1", "proxy": "socks5://127.0.0.1:{upstream}"},
        "leads nowhere: what answers there is no SOCKS5 proxy",
        "through the proxy 127.0.0.1:{upstream}",
    ),
]


@pytest.mark.parametrize(("provider", "told", "logged"), UNREACHABLE, ids=[logged for _, _, logged in UNREACHABLE])
async def test_who_cannot_be_reached_is_not_located(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], provider: dict[str, str], told: str, logged: str
) -> None:
    async def blurt(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        writer.close()

    server = await asyncio.start_server(blurt, "127.0.0.1", 0)
    places = {"nobody": free_port(), "upstream": server.sockets[0].getsockname()[1]}
    said = {name: value.format(**places) for name, value in provider.items()}
    async with server, running_worker(tmp_path, settings(**said)) as worker:
        for path, fields in PATHS.items():
            for streamed in (False, True):
                response = await worker.client.post(path, json={**fields, "model": "m", "stream": streamed})
                assert response.status_code == 502, response.text
                assert "'acme'" in response.text
                assert INTERNAL.search(response.text) is None, response.text
                assert told in response.text or "acme/m" in response.text
    written = capfd.readouterr().err
    assert logged.format(**places) in written


async def test_an_upstream_that_resets_its_connection_is_not_located(tmp_path: Path, upstream: Upstream) -> None:
    async with running_worker(tmp_path, settings(base_url=upstream.base_url)) as worker:

        async def reset(_: object, writer: Any) -> None:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        for script in (reset, stream(chunk("Hi", begins=True), end=False)):
            upstream.script = script
            for streamed in (False, True):
                fields = {**PATHS["/v1/chat/completions"], "model": "m", "stream": streamed}
                response = await worker.client.post("/v1/chat/completions", json=fields)
                assert '"error"' in response.text
                assert INTERNAL.search(response.text) is None, response.text


async def test_a_local_model_that_is_down_is_not_located(tmp_path: Path) -> None:
    engine = EngineState(model="tiny", base_url=f"http://127.0.0.1:{free_port()}", api_key="k", context=99)
    configured = Settings(server=ServerSettings(port=0), local=LocalSettings(models=("tiny",)))
    async with running_worker(tmp_path, configured, (engine,)) as worker:
        fields = {**PATHS["/v1/chat/completions"], "model": "tiny"}
        response = await worker.client.post("/v1/chat/completions", json=fields)
        assert response.status_code == 503
        assert INTERNAL.search(response.text) is None, response.text
        # Nor is the control process, which is not there at all.
        response = await worker.client.get("/api/v1/info")
        assert response.status_code == 503
        assert INTERNAL.search(response.text) is None, response.text
