"""Requests for a local model that is not loaded: they wait for it, and have the supervisor told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from msgspec import structs

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import (
    DONE,
    USAGE_CHUNK,
    Upstream,
    chunk,
    complete,
    completion,
    running_upstream,
    stream,
)
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.schema import EngineSettings, LocalSettings, ServerSettings, Settings
from weebill.process.messages import Engines, EngineState, InUse, Kept, Ping, Pong, Wanted
from weebill.storage.keys import open_keys

CHAT = "/v1/chat/completions"
COLD = EngineState(model="tiny:1b", api_key="secret", cold=True)
DOWN = EngineState(model="tiny:1b", api_key="secret")
DEAD = EngineState(model="tiny:1b", api_key="secret", base_url="http://127.0.0.1:1", context=2048)
# Two are answered at once, and three may wait.
SETTINGS = Settings(
    server=ServerSettings(port=0),
    local=LocalSettings(models=(), most_keep_alive_s=500.0, engine=EngineSettings(parallel=2, max_waiting=3)),
)


@asynccontextmanager
async def running(folder: Path, *engines: EngineState) -> AsyncIterator[tuple[RunningWorker, Upstream, EngineState]]:
    async with running_upstream() as upstream, running_worker(folder / "home", SETTINGS, engines) as worker:
        upstream.script = complete(completion("Good day."))
        origin = upstream.base_url.removesuffix("/v1")
        yield worker, upstream, EngineState(model="tiny:1b", api_key="secret", base_url=origin, context=2048)


HELLO = [{"role": "user", "content": "Hello"}]


def ask(worker: RunningWorker, **fields: Any) -> asyncio.Task[httpx.Response]:
    body = {"model": "tiny:1b", "messages": [{"role": "user", "content": "Hello"}], **fields}
    return asyncio.create_task(worker.client.post(CHAT, json=body))


async def told(worker: RunningWorker, kind: type[Wanted | InUse | Pong]) -> Wanted | InUse | Pong:
    async with asyncio.timeout(60):
        while not isinstance(message := await worker.link.receive(), kind):
            pass
    return message


async def test_a_request_waits_until_its_model_is_loaded(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, upstream, loaded):
        assert "tiny:1b" in [each["id"] for each in (await worker.client.get("/v1/models")).json()["data"]]
        asked = [ask(worker), ask(worker, max_tokens=5)]
        assert await told(worker, Wanted) == Wanted(model="tiny:1b")
        assert await told(worker, Wanted) == Wanted(model="tiny:1b")  # again, as nothing happens
        assert not upstream.requests
        worker.link.send(Engines(engines=(loaded,)))
        for response in await asyncio.gather(*asked):
            assert response.json()["choices"][0]["message"]["content"] == "Good day."
        assert {each.headers["authorization"] for each in upstream.requests} == {"Bearer secret"}
        assert (await worker.record(2)).upstream == "local"


async def test_ollamas_clients_have_a_model_loaded(tmp_path: Path) -> None:
    """By a request without words, which is answered once it is."""
    async with running(tmp_path, COLD) as (worker, upstream, loaded):
        assert (await worker.client.get("/api/ps")).json()["models"] == []
        unloads = await worker.client.post("/api/generate", json={"model": "tiny:1b", "keep_alive": 0})
        assert unloads.json()["done_reason"] == "unload"
        loading = [
            asyncio.create_task(worker.client.post(path, json={"model": "tiny:1b:latest"}))
            for path in ("/api/generate", "/api/chat")
        ]
        assert await told(worker, Wanted) == Wanted(model="tiny:1b")
        assert not any(each.done() for each in loading)
        worker.link.send(Engines(engines=(loaded,)))
        assert [each.json()["done_reason"] for each in await asyncio.gather(*loading)] == ["load", "load"]
        assert [each["model"] for each in (await worker.client.get("/api/ps")).json()["models"]] == ["tiny:1b"]
        assert upstream.requests == []
        worker.link.send(Engines(engines=(DOWN,)))
        async with asyncio.timeout(60):
            while (refused := await worker.client.post("/api/chat", json={"model": "tiny:1b"})).status_code == 200:
                await asyncio.sleep(0.05)
        assert (refused.status_code, "restarted" in refused.json()["error"]) == (503, True)


async def test_as_many_wait_without_words_as_may_with_them(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, _, loaded):
        body = {"model": "tiny:1b"}
        loading = [asyncio.create_task(worker.client.post("/api/generate", json=body)) for _ in range(7)]
        refused = []
        for each in asyncio.as_completed(loading):
            refused.append((await each).status_code)
            if len(refused) == 2:
                break
        assert refused == [503, 503]
        worker.link.send(Engines(engines=(loaded,)))
        assert sorted([each.status_code for each in await asyncio.gather(*loading)]) == [200] * 5 + [503] * 2


async def test_what_is_in_use_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, _, loaded):
        asked = ask(worker)
        assert await used(worker) == ("tiny:1b", pytest.approx(300, abs=5))
        worker.link.send(Engines(engines=(loaded,)))
        await asked
        await ask(worker)
        assert await used(worker) == ("tiny:1b", pytest.approx(300, abs=5))


@pytest.mark.parametrize(
    ("path", "keep_alive", "seconds"),
    [
        ("/api/chat", "2m", 120),
        ("/api/chat", 0, 0),
        ("/api/generate", "1h30m", 500),
        ("/api/generate", -1, 500),
        ("/api/chat", None, 300),
        (CHAT, 60, 60),
    ],
)
async def test_a_request_says_how_long_its_model_is_kept(
    tmp_path: Path, path: str, keep_alive: object, seconds: float
) -> None:
    """For no longer than the settings allow."""
    async with running(tmp_path, COLD) as (worker, upstream, loaded):
        upstream.script = stream(chunk("Hi"), chunk("", "stop"), USAGE_CHUNK, DONE)
        worker.link.send(Engines(engines=(loaded,)))
        said = {"prompt": "Hello"} if path == "/api/generate" else {"messages": HELLO}
        answer = await worker.client.post(path, json={"model": "tiny:1b", "keep_alive": keep_alive, **said})
        assert answer.status_code == 200
        assert "keep_alive" not in answer.headers.get("x-weebill-dropped", "")
        assert b"keep_alive" not in upstream.requests[0].body
        assert (await used(worker))[1] == pytest.approx(seconds, abs=5)
        [kept] = (await worker.client.get("/api/ps")).json()["models"]
        left = datetime.fromisoformat(kept["expires_at"]).timestamp() - time.time()
        assert left == pytest.approx(seconds, abs=8)


async def test_what_other_workers_keep_is_told_by_this_one_too(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, _, loaded):
        worker.link.send(Engines(engines=(structs.replace(loaded, host="of tiny"),)))

        async def left() -> float:
            [kept] = (await worker.client.get("/api/ps")).json()["models"]
            return datetime.fromisoformat(kept["expires_at"]).timestamp() - time.time()

        for seconds in (2000.0, 700.0):
            worker.link.send(Kept(hosts=("of tiny", "of another one"), keep_s=(seconds, 9000.0)))
            async with asyncio.timeout(60):
                while abs(await left() - seconds) > 8:
                    await asyncio.sleep(0.05)
        # The longest counts, wherever it was asked for.
        for seconds, longest in ((100, 700), (400, 700)):
            await worker.client.post("/api/generate", json={"model": "tiny:1b", "keep_alive": seconds})
            assert await left() == pytest.approx(longest, abs=8)
        worker.link.send(Kept())
        async with asyncio.timeout(60):
            while abs(await left() - 400) > 8:
                await asyncio.sleep(0.05)


async def test_an_admin_keeps_a_model_for_good_and_others_do_not(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, upstream, loaded):
        worker.link.send(Engines(engines=(loaded,)))
        asked = {"model": "tiny:1b", "keep_alive": -1}
        with open_keys(worker.home, SQLITE) as keys:
            headers = {"authorization": f"Bearer {keys.create('admin', role='admin').secret}"}
        assert (await worker.client.post("/api/generate", json=asked, headers=headers)).status_code == 200
        assert await used(worker) == ("tiny:1b", -1.0)
        [kept] = (await worker.client.get("/api/ps")).json()["models"]
        assert kept["expires_at"] > "2200"
        # The longest counts: nobody takes a model from another key.
        unloads = await worker.client.post("/api/generate", json={"model": "tiny:1b", "keep_alive": 0})
        assert unloads.json()["done_reason"] == "unload"
        assert await used(worker) == ("tiny:1b", -1.0)
        asked["keep_alive"] = 0
        assert (await worker.client.post("/api/generate", json=asked, headers=headers)).status_code == 200
        async with asyncio.timeout(60):
            while (await used(worker))[1]:
                pass
        assert upstream.requests == []


NO_TIMES = ("", "soon", [], {}, True, False)


@pytest.mark.parametrize(
    ("task", "paths", "said"),
    [
        ("chat", ("/api/chat", "/api/generate"), {}),
        ("chat", ("/api/chat", CHAT, "/v1/messages"), {"messages": HELLO, "max_tokens": 5}),
        ("chat", ("/api/generate", "/v1/completions"), {"prompt": "Hello"}),
        ("chat", ("/v1/responses",), {"input": "Hello"}),
        ("embed", ("/api/embed", "/v1/embeddings"), {"input": "Hello"}),
        ("embed", ("/api/embeddings",), {"prompt": "Hello"}),
    ],
)
async def test_what_is_no_time_is_refused(
    tmp_path: Path, task: Literal["chat", "embed"], paths: tuple[str, ...], said: dict[str, Any]
) -> None:
    async with running(tmp_path, structs.replace(COLD, task=task)) as (worker, upstream, _):
        for path, given in itertools.product(paths, NO_TIMES):
            answer = await worker.client.post(path, json={"model": "tiny:1b", "keep_alive": given, **said})
            assert (answer.status_code, "'keep_alive'" in answer.text) == (400, True), (path, given)
        assert upstream.requests == []


async def used(worker: RunningWorker) -> tuple[str, float]:
    """The one model that is said to be in use, and how long it is to be kept."""
    message = await told(worker, InUse)
    assert isinstance(message, InUse)
    [model], [seconds] = message.models, message.keep_s
    return model, seconds


async def test_those_who_wait_are_refused_if_it_cannot_be_loaded(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, _, loaded):
        asked = [ask(worker) for _ in range(2)]
        await told(worker, Wanted)
        worker.link.send(Engines(engines=(DOWN,)))
        for response in await asyncio.gather(*asked):
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "model_unavailable"
            assert "retry-after" in response.headers
        worker.link.send(Engines(engines=(loaded,)))
        async with asyncio.timeout(60):
            while (response := await ask(worker)).status_code == 503:
                await asyncio.sleep(0.05)
        assert response.status_code == 200


async def test_they_wait_in_the_queue_of_its_slots(tmp_path: Path) -> None:
    """So no key can fill it, and there are no more than it has places: two slots, and two of three places for a key."""
    async with running(tmp_path, COLD) as (worker, _, loaded):
        asked = [ask(worker) for _ in range(8)]
        async with asyncio.timeout(60):
            while len(done := [each for each in asked if each.done()]) < 4:
                await asyncio.sleep(0.02)
        assert {each.result().status_code for each in done} == {503}
        worker.link.send(Engines(engines=(loaded,)))
        served = await asyncio.gather(*(each for each in asked if each not in done))
        assert [each.status_code for each in served] == [200] * 4


async def test_nothing_is_wanted_for_a_client_that_has_left(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, _, loaded):
        asked = ask(worker)
        await told(worker, Wanted)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.sleep(0.5)
        worker.link.send(Ping())
        await told(worker, Pong)
        # What is said from here on; a model that is wanted is named every second.
        await asyncio.sleep(1.5)
        worker.link.send(Ping())
        async with asyncio.timeout(60):
            while not isinstance(message := await worker.link.receive(), Pong):
                assert not isinstance(message, Wanted)
        # The next one is waited for as the first one was.
        asked = ask(worker)
        await told(worker, Wanted)
        worker.link.send(Engines(engines=(loaded,)))
        assert (await asked).status_code == 200


async def test_those_who_wait_when_a_host_dies_are_answered_by_the_next(tmp_path: Path) -> None:
    """Its address refuses before the supervisor has told, and no request is lost that it has not seen."""
    async with running(tmp_path, DEAD) as (worker, upstream, loaded):
        asked = [ask(worker) for _ in range(4)]
        await told(worker, InUse)
        for each in (COLD, loaded):
            await asyncio.sleep(0.1)
            worker.link.send(Engines(engines=(each,)))
        assert [each.status_code for each in await asyncio.gather(*asked)] == [200] * 4
        assert len(upstream.requests) == 4


async def test_an_address_that_refuses_is_not_waited_for_without_end(tmp_path: Path) -> None:
    async with running(tmp_path, DEAD) as (worker, _, _):
        response = await ask(worker)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unavailable")
        assert "retry-after" in response.headers
