"""A request that a local model's host dies of, twice, is refused; those that were just there are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from tests.fixtures.upstream import DONE, Request, Script, chunk, send, stream
from tests.fixtures.worker import RunningWorker
from tests.gateway.test_warming import COLD, ask, running
from tests.gateway.test_warming import told as until_told
from weebill.process.messages import Engines, EngineState, Ping, Pong

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BEFORE = send(b"", close=True)
AMIDST = send(HEAD + b'10\r\ndata: {"choi', close=True)


def dying_of(word: str, death: Script) -> Script:
    """Dies of requests with the word."""
    good = stream(chunk("Good day.", begins=True), chunk(finish="stop"), DONE)

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        await (death if word in str(request.json) else good)(request, writer)

    return script


@pytest.mark.parametrize("death", [BEFORE, AMIDST])
async def test_it_is_refused_after_the_second_death(tmp_path: Path, death: Script) -> None:
    async with running(tmp_path) as (worker, upstream, loaded):
        upstream.script = dying_of("poison", death)
        for host in (loaded, next_life(loaded)):
            await told(worker, host)
            assert (await ask(worker, messages=[{"role": "user", "content": "poison"}], stream=True)).status_code != 400
        seen = len(upstream.requests)
        refused = await ask(worker, messages=[{"role": "user", "content": "poison"}], stream=True)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "model_ended")
        assert len(upstream.requests) == seen
        # Others, and others' models, are as before.
        assert (await ask(worker, stream=True)).status_code == 200


async def test_what_was_just_there_is_forgotten_once_it_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as (worker, upstream, loaded):
        for host in (loaded, next_life(loaded), loaded):
            await told(worker, host)
            upstream.script = dying_of("Hello", BEFORE)
            assert (await ask(worker, stream=True)).status_code != 400
            upstream.script = dying_of("poison", BEFORE)
            assert (await ask(worker, stream=True)).status_code == 200


@pytest.mark.parametrize("death", [BEFORE, AMIDST])
async def test_a_death_counts_once_however_often_it_was_asked_the_same(tmp_path: Path, death: Script) -> None:
    async with running(tmp_path) as (worker, upstream, loaded):
        await told(worker, loaded)
        upstream.script = dying_of("Hello", death)
        for response in await asyncio.gather(*(ask(worker, stream=True) for _ in range(4))):
            assert response.status_code != 400
        await told(worker, next_life(loaded))
        upstream.script = dying_of("poison", death)
        assert (await ask(worker, stream=True)).status_code == 200


async def test_the_end_of_a_host_that_was_told_to_end_is_no_death(tmp_path: Path) -> None:
    async with running(tmp_path) as (worker, upstream, loaded):
        for host in (loaded, next_life(loaded)):
            await told(worker, host)
            begun, ends = asyncio.Event(), asyncio.Event()

            async def cut(
                request: Request,
                writer: asyncio.StreamWriter,
                begun: asyncio.Event = begun,
                ends: asyncio.Event = ends,
            ) -> None:
                begun.set()
                await ends.wait()
                await AMIDST(request, writer)

            upstream.script = cut
            asked = ask(worker, stream=True)
            await begun.wait()
            await told(worker, COLD)
            ends.set()
            await asyncio.sleep(0.3)  # it is seen before there is another host
            upstream.script = dying_of("poison", BEFORE)
            await told(worker, host)
            await asked
        assert (await ask(worker, stream=True)).status_code == 200


async def test_a_client_that_leaves_is_no_death(tmp_path: Path) -> None:
    async with running(tmp_path) as (worker, upstream, loaded):
        await told(worker, loaded)
        upstream.script = stream(
            *(chunk(f"{number} ") for number in range(50)), chunk(finish="stop"), DONE, pause_s=0.05
        )
        for _ in range(3):
            asked = ask(worker, stream=True)
            await asyncio.sleep(0.3)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        upstream.script = dying_of("poison", BEFORE)
        assert (await ask(worker, stream=True)).status_code == 200


def next_life(loaded: EngineState) -> EngineState:
    """The host after the next start: at another address."""
    return structs.replace(loaded, base_url=(loaded.base_url or "").replace("127.0.0.1", "localhost"))


async def told(worker: RunningWorker, loaded: EngineState) -> None:
    worker.link.send(
        Engines(
            engines=(loaded,),
        )
    )
    worker.link.send(Ping())  # answered once that is known
    await until_told(worker, Pong)
