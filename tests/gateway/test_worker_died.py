"""A worker that is killed leaves a record of each request that was at an upstream, by what was relayed of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import (
    STREAM_HEAD,
    Request,
    Script,
    Upstream,
    answer,
    chunk,
    complete,
    framed,
    hang,
    running_upstream,
)
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_totals import recent
from weebill.usage.ingest import Ingester
from weebill.usage.records import UsageRecord

CHAT = "/v1/chat/completions"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello" * 20}]}


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    """One that waits for its upstream as long as these tests may be kept waiting."""
    acme = ProviderSettings(base_url=upstream.base_url, models=("gpt-4o-mini",))
    local = LocalSettings(models=())
    settings = Settings(server=ServerSettings(port=0), local=local, providers={"acme": acme})
    async with running_worker(tmp_path / "home", settings) as running:
        yield running


def pieces(count: int) -> Script:
    """A stream that stands still after `count` tokens, each in a packet of its own."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(chunk(begins=True)))
        for number in range(count):
            writer.write(framed(chunk(f"w{number} ")))
            await writer.drain()
            await asyncio.sleep(0.02)
        await hang()(request, writer)

    return script


async def killed(worker: RunningWorker) -> list[UsageRecord]:
    """What the ledger has once the worker is dead, oldest first."""
    worker.process.kill()
    await worker.process.wait()
    with open_ledger(worker.home, SQLITE) as ledger:
        Ingester(StoredUsage(ledger), worker.home.journal).run()
        assert Ingester(StoredUsage(ledger), worker.home.journal).run() == 0
        assert list(worker.home.journal.iterdir()) == []
        return [entry.record for entry in reversed(ledger.read(lambda connection: recent(connection, 100)))]


async def until_asked(upstream: Upstream, count: int) -> None:
    async with asyncio.timeout(60):
        while len(upstream.requests) < count:
            await asyncio.sleep(0.01)


async def test_streams_by_what_was_relayed(worker: RunningWorker, upstream: Upstream) -> None:
    assert (await worker.client.post(CHAT, json=ASKED)).status_code == 200
    upstream.script = pieces(5)
    async with worker.client.stream("POST", CHAT, json={**ASKED, "stream": True}) as response:
        seen = b""
        async for data in response.aiter_bytes():
            seen += data
            if seen.count(b"\n\n") == 6:
                break
        done, died = await killed(worker)
    assert done.outcome == "ok"
    assert died.outcome == "worker_died"
    assert died.request_id == response.headers["x-request-id"]
    assert (died.key_id, died.endpoint, died.stream) == (done.key_id, done.endpoint, True)
    assert (died.model_asked, died.model_served, died.upstream) == ("gpt-4o-mini", "gpt-4o-mini", "acme")
    assert died.completion_tokens == 5  # the first event names the role and goes with the first token
    # As for a client that leaves: of the prompt, not of all that an upstream is sent with it.
    prompt = json.dumps(ASKED["messages"], separators=(",", ":"))
    assert died.prompt_tokens == -(-len(prompt) // 4)
    assert not died.measured
    assert abs(died.started_at - done.started_at) < 60e6
    assert 0 <= died.total_us < 60e6


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, ASKED),
        (CHAT, {**ASKED, "stream": True}),
        ("/v1/messages", {**ASKED, "max_tokens": 9}),
        ("/v1/embeddings", {"model": "gpt-4o-mini", "input": "Hello"}),
    ],
    ids=str,
)
async def test_requests_that_nobody_has_answered_yet(
    worker: RunningWorker, upstream: Upstream, path: str, body: dict[str, object]
) -> None:
    upstream.script = hang()
    asking = [asyncio.create_task(worker.client.post(path, json=body)) for _ in range(3)]
    await until_asked(upstream, 3)
    records = await killed(worker)
    for failure in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(failure, httpx.HTTPError)
    assert [(each.outcome, each.completion_tokens) for each in records] == [("worker_died", 0)] * 3
    assert len({each.request_id for each in records}) == 3
    assert all(each.prompt_tokens for each in records)


async def test_by_who_was_asked_last_and_never_twice(tmp_path: Path) -> None:
    async with running_upstream() as first, running_upstream() as second:
        first.script = answer_500
        second.script = hang()
        settings = Settings(
            server=ServerSettings(port=0),
            local=LocalSettings(models=()),
            providers={
                name: ProviderSettings(base_url=each.base_url, models=("m",))
                for name, each in (("a", first), ("b", second))
            },
        )
        async with running_worker(tmp_path / "home", settings) as worker:
            asking = asyncio.create_task(worker.client.post(CHAT, json={**ASKED, "model": "m"}))
            await until_asked(second, 1)
            [record] = await killed(worker)
            assert (record.upstream, record.outcome) == ("b", "worker_died")
            await asyncio.gather(asking, return_exceptions=True)


async def answer_500(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(500, json.dumps({"error": {"message": "no"}}).encode()))


async def test_a_worker_that_ends_well_leaves_nothing_open(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete()
    await asyncio.gather(*(worker.client.post(CHAT, json=ASKED) for _ in range(100)))
    assert [each.outcome for each in await killed(worker)] == ["ok"] * 100
