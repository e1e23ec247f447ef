"""What never reached an upstream costs nobody anything, however it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.fixtures.upstream import Upstream, hang
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_worker_died import killed
from weebill.config.schema import EngineSettings, LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.process.messages import EngineState
from weebill.usage.records import UsageRecord

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello" * 20}]}
PATHS = pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", ASKED),
        ("/v1/chat/completions", {**ASKED, "stream": True}),
        ("/v1/messages", {**ASKED, "max_tokens": 9}),
        ("/v1/embeddings", {"model": "m", "input": "Hello"}),
    ],
    ids=["chat", "stream", "messages", "embeddings"],
)


@asynccontextmanager
async def worker_before(tmp_path: Path, provider: ProviderSettings) -> AsyncIterator[RunningWorker]:
    settings = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers={"acme": provider})
    async with running_worker(tmp_path / "home", settings) as running:
        yield running


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Queue[None]]]:
    """A server that takes connections and says nothing, so that no TLS ever stands; and who has come."""
    came: asyncio.Queue[None] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.put_nowait(None)
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", came
    finally:
        server.close()


async def leave(task: asyncio.Task[httpx.Response]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def charged(record: UsageRecord) -> bool:
    return bool(record.prompt_tokens or record.completion_tokens or record.cost_nano != 0)


@PATHS
async def test_a_client_that_leaves_while_a_connection_is_made(
    tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    async with silent() as (base_url, came):
        provider = ProviderSettings(base_url=base_url, models=("m",), connect_timeout_s=60.0)
        async with worker_before(tmp_path, provider) as worker:
            asking = asyncio.create_task(worker.client.post(path, json=body))
            async with asyncio.timeout(60):
                await came.get()
            await leave(asking)
            record = await worker.record()
    assert (record.outcome, record.upstream) == ("client_cancelled", "acme")
    assert not charged(record)
    assert record.measured  # it is known rather than estimated


@PATHS
async def test_an_upstream_to_which_no_connection_is_made_in_time(
    tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    async with silent() as (base_url, _):
        provider = ProviderSettings(base_url=base_url, models=("m",), connect_timeout_s=0.2)
        async with worker_before(tmp_path, provider) as worker:
            response = await worker.client.post(path, json=body)
            record = await worker.record()
    assert response.status_code == 504
    assert record.outcome == "timeout"
    assert not charged(record)


@PATHS
async def test_a_client_that_leaves_once_its_request_was_sent(
    tmp_path: Path, upstream: Upstream, path: str, body: dict[str, object]
) -> None:
    upstream.script = hang()
    async with worker_before(tmp_path, ProviderSettings(base_url=upstream.base_url, models=("m",))) as worker:
        asking = asyncio.create_task(worker.client.post(path, json=body))
        async with asyncio.timeout(60):
            while not upstream.requests:
                await asyncio.sleep(0.01)
        await leave(asking)
        record = await worker.record()
    assert record.outcome == "client_cancelled"
    assert record.prompt_tokens > 0
    assert not record.measured


async def test_a_worker_that_dies_while_requests_wait(tmp_path: Path, upstream: Upstream) -> None:
    """One has the local model's only slot and is charged for; another waits for it, the third for a connection."""
    upstream.script = hang()
    async with silent() as (base_url, came):
        settings = Settings(
            server=ServerSettings(port=0),
            local=LocalSettings(models=("smollm2:135m",), engine=EngineSettings(parallel=1)),
            providers={"acme": ProviderSettings(base_url=base_url, models=("m",), connect_timeout_s=60.0)},
        )
        engine = EngineState(
            model="smollm2:135m", api_key="k", base_url=f"http://127.0.0.1:{upstream.port}", context=8192
        )
        async with running_worker(tmp_path / "home", settings, (engine,)) as worker:
            asking = []
            for model in ("smollm2:135m", "smollm2:135m", "m"):
                post = worker.client.post("/v1/chat/completions", json={**ASKED, "model": model})
                asking.append(asyncio.create_task(post))
                async with asyncio.timeout(60):
                    while not upstream.requests:
                        await asyncio.sleep(0.01)
            async with asyncio.timeout(60):
                await came.get()
            assert len(upstream.requests) == 1
            [record] = await killed(worker)
            await asyncio.gather(*asking, return_exceptions=True)
    assert (record.outcome, record.upstream) == ("worker_died", "local")
    assert charged(record)
