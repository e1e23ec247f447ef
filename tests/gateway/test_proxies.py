"""A worker whose provider is behind a proxy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from tests.fixtures.upstream import DONE, STREAM_HEAD, Upstream, answer, chunk, completion, framed, send
from tests.fixtures.worker import running_worker
from tests.gateway.conftest import settings
from tests.transport.proxy import RunningProxy
from tests.transport.socks import RunningSocks
from weebill.config.schema import Settings

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


def behind(proxy: str, upstream: Upstream, **fields: object) -> Settings:
    plain = settings(upstream)
    acme = msgspec.structs.replace(plain.providers["acme"], proxy=proxy, **fields)
    return msgspec.structs.replace(plain, providers={"acme": acme})


@pytest.mark.parametrize("stream", [False, True])
async def test_through_a_proxy(stream: bool, tmp_path: Path, upstream: Upstream) -> None:
    if stream:
        upstream.script = send(STREAM_HEAD + framed(chunk("Hello") + chunk(finish="stop") + DONE) + b"0\r\n\r\n", True)
    else:
        upstream.script = send(answer(200, json.dumps(completion()).encode()), True)
    async with (
        RunningProxy("me:pass") as proxy,
        running_worker(tmp_path, behind(proxy.url("me:pass"), upstream)) as worker,
    ):
        for _ in range(3):
            response = await worker.client.post("/v1/chat/completions", json={**CHAT, "stream": stream})
            assert (response.status_code, "Hello" in response.text) == (200, True)
    for head in proxy.heads:
        assert head.startswith(b"POST http://127.0.0.1:%d/v1/chat/completions HTTP/1.1\r\n" % upstream.port)
    assert [request.path for request in upstream.requests] == ["/v1/chat/completions"] * 3


async def test_through_a_socks_proxy(tmp_path: Path, upstream: Upstream) -> None:
    async with (
        RunningSocks(("me", "pass")) as proxy,
        running_worker(tmp_path, behind(proxy.url("me:pass"), upstream)) as worker,
    ):
        for _ in range(3):
            response = await worker.client.post("/v1/chat/completions", json=CHAT)
            assert (response.status_code, "Hello" in response.text) == (200, True)
    assert proxy.targets == [("127.0.0.1", upstream.port)]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses(
    scheme: str, tmp_path: Path, upstream: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client is told whose way is closed and how, the log what the proxy said; nobody is told the password."""
    async with RunningProxy("me:other") as proxy:
        base_url = f"{scheme}://127.0.0.1:{upstream.port}/v1"
        async with running_worker(tmp_path, behind(proxy.url("me:hidden"), upstream, base_url=base_url)) as worker:
            response = await worker.client.post("/v1/chat/completions", json=CHAT)
            record = await worker.record()
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (502, "upstream_proxy_refused")
    assert "'acme'" in error["message"]
    assert "407 Proxy Authentication Required" in error["message"]
    assert (record.outcome, record.prompt_tokens) == ("upstream_error", 0)
    logged = capfd.readouterr().err
    assert "acme" in logged
    assert "407" in logged
    assert ("Ask [31myour administrator" in logged) == (scheme == "https")
    assert "hidden" not in logged + response.text


async def test_a_worker_does_not_look_at_the_environment(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds is in its settings."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with running_worker(tmp_path, settings(upstream)) as worker:
        assert os.environ["HTTP_PROXY"]
        assert (await worker.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
