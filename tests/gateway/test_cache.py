"""The cache in a real worker, in front of a real upstream, for every API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from tests.cache.asking import body
from tests.fixtures.ledger import SQLITE
from tests.fixtures.redis import RedisServer
from tests.fixtures.upstream import DONE, USAGE_CHUNK, Upstream, answer, chunk, complete, send, stream
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.conftest import settings
from weebill.config.schema import CacheSettings, RedisSettings
from weebill.process.messages import Reload
from weebill.storage.experiments import open_experiments

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gpt-4o-mini:generateContent",
    "gemini stream": "/v1beta/models/gpt-4o-mini:streamGenerateContent?alt=sse",
    "gemini array": "/v1beta/models/gpt-4o-mini:streamGenerateContent",
}
STREAM = (chunk("Hel"), chunk("lo"), chunk(finish="stop"), USAGE_CHUNK, DONE)
ON = CacheSettings(enabled=True)


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    on = msgspec.structs.replace(settings(upstream), cache=ON)
    async with running_worker(tmp_path / "home", on) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "streamed"),
    [
        *((path, False) for path in ("chat", "responses", "anthropic", "gemini")),
        *((path, True) for path in ("chat", "responses", "anthropic", "gemini stream", "gemini array")),
    ],
)
async def test_every_api_is_answered_again(
    worker: RunningWorker, upstream: Upstream, path: str, streamed: bool
) -> None:
    api = path.split()[0]
    request = body(api) if api == "gemini" else body(api, model="gpt-4o-mini")
    if streamed:
        upstream.script = stream(*STREAM)
        if api != "gemini":
            request["stream"] = True
    first = await worker.client.post(PATHS[path], json=request)
    await worker.record(1)
    again = await worker.client.post(PATHS[path], json=request)
    assert (first.status_code, again.status_code) == (200, 200), first.text
    assert (first.headers["x-weebill-cache"], again.headers["x-weebill-cache"]) == ("miss", "hit")
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(upstream.requests) == 1
    record = await worker.record(2)
    made, given = worker.records()
    assert (record.upstream, record.cost_nano, record.status, record.outcome) == ("cache", 0, 200, "ok")
    assert (given.prompt_tokens, given.completion_tokens) == (made.prompt_tokens, made.completion_tokens) == (12, 5)
    assert (given.model_asked, given.model_served, given.stream) == (made.model_asked, made.model_served, streamed)
    assert given.request_id != made.request_id


async def test_failures_and_cut_streams_are_not(worker: RunningWorker, upstream: Upstream) -> None:
    request = body("chat", model="gpt-4o-mini")
    upstream.script = send(answer(500, b"{}"))
    assert (await worker.client.post(PATHS["chat"], json=request)).status_code >= 500
    upstream.script = stream(*STREAM[:2], end=False)
    await worker.client.post(PATHS["chat"], json={**request, "stream": True})
    for streamed, script in ((False, complete()), (True, stream(*STREAM))):
        upstream.script = script
        found = await worker.client.post(PATHS["chat"], json={**request, "stream": streamed})
        assert found.headers["x-weebill-cache"] == "miss"


async def test_a_bad_wish_is_refused(worker: RunningWorker, upstream: Upstream) -> None:
    refused = await worker.client.post(PATHS["chat"], json=body("chat", model="gpt-4o-mini", cache={"ttl": 0}))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "cache.ttl")
    assert not upstream.requests


async def test_replicas_share_and_survive_the_loss_of_redis(
    tmp_path: Path, upstream: Upstream, redis_server: RedisServer
) -> None:
    on = msgspec.structs.replace(
        settings(upstream), cache=CacheSettings(enabled=True, shared=True), redis=RedisSettings(url=redis_server.url)
    )
    async with running_worker(tmp_path / "home", on) as one, asyncio.timeout(60):
        looked = 0
        # A write that takes Redis too long, as on a busy machine, is given up: then the next answer is kept there.
        while redis_server.command("DBSIZE") in (b":0\r\n", b""):
            if looked % 50 == 0:
                request = body("chat", f"Question {looked}", model="gpt-4o-mini")
                assert (await one.client.post(PATHS["chat"], json=request)).headers["x-weebill-cache"] == "miss"
            looked += 1
            await asyncio.sleep(0.02)
        redis_server.kill()
        assert (await one.client.post(PATHS["chat"], json=request)).headers["x-weebill-cache"] == "hit"
        other = await one.client.post(PATHS["chat"], json=body("chat", "Other", model="gpt-4o-mini"))
        assert (other.status_code, other.headers["x-weebill-cache"]) == (200, "miss")


async def test_a_name_that_leads_elsewhere_is_another_question(tmp_path: Path, upstream: Upstream) -> None:
    on = msgspec.structs.replace(settings(upstream), cache=ON)
    request = body("chat", model="large")
    async with running_worker(tmp_path / "home", on) as worker:

        async def outcome() -> str:
            found: str = (await worker.client.post(PATHS["chat"], json=request)).headers["x-weebill-cache"]
            return found

        assert [await outcome(), await outcome()] == ["miss", "hit"]
        worker.link.send(Reload(settings=msgspec.structs.replace(on, aliases={**on.aliases, "large": "other"})))
        await _until_missed(outcome)
        assert await outcome() == "hit"
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("try", "large", "gpt-4o-mini", 0.5, False)
            experiments.promote("try")
        assert [each.json["model"] for each in upstream.requests] == ["gpt-4o-mini", "other"]
        # It may be told of the experiment before that is promoted, and keeps nothing of what is compared.
        await _until_missed(outcome)
        assert await outcome() == "hit"
        assert upstream.requests[-1].json["model"] == "gpt-4o-mini"


@pytest.mark.parametrize("enabled", [True, False])
async def test_no_upstream_is_shown_the_wish_whatever_the_endpoint(
    tmp_path: Path, upstream: Upstream, enabled: bool
) -> None:
    given = msgspec.structs.replace(settings(upstream), cache=CacheSettings(enabled=enabled))
    async with running_worker(tmp_path / "home", given) as worker:
        for path, said in (("/v1/embeddings", {"input": "Hi"}), (PATHS["chat"], body("chat"))):
            await worker.client.post(path, json={**said, "model": "gpt-4o-mini", "cache": False})
            assert "cache" not in upstream.requests[-1].json
        refused = await worker.client.post("/v1/embeddings", json={"model": "gpt-4o-mini", "input": "Hi", "cache": 1})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "cache")
        assert [request.path for request in upstream.requests] == ["/v1/embeddings", "/v1/chat/completions"]


async def _until_missed(ask: Callable[[], Awaitable[str]]) -> None:
    async with asyncio.timeout(60):
        while await ask() != "miss":
            await asyncio.sleep(0.02)


async def test_what_is_compared_is_made_anew(tmp_path: Path, upstream: Upstream) -> None:
    on = msgspec.structs.replace(settings(upstream), cache=ON)
    async with running_worker(tmp_path / "home", on) as worker:
        request = body("chat", model="large")
        for _ in range(2):
            await worker.client.post(PATHS["chat"], json=request)
        assert len(upstream.requests) == 1
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("try", "large", "other", 0.5, False)
        async with asyncio.timeout(60):
            while (await worker.client.post(PATHS["chat"], json=request)).headers["x-weebill-cache"] == "hit":
                await asyncio.sleep(0.02)
        again = await worker.client.post(PATHS["chat"], json=request)
        assert again.headers["x-weebill-cache"] == "bypass"
        assert len(upstream.requests) == 3
