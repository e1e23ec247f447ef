"""Embeddings of many texts by a model of this machine: asked for in parts, and no more once the client has left."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from msgspec import structs

from tests.fixtures.upstream import Request, Upstream, answer
from tests.fixtures.worker import RunningWorker
from tests.gateway.test_warming import running
from weebill.process.messages import Engines, Ping, Pong

TEXTS = [f"text {number}" for number in range(100)]


@asynccontextmanager
async def embedding(folder: Path, *, static: bool = False) -> AsyncIterator[tuple[RunningWorker, Upstream]]:
    async with running(folder) as (worker, upstream, loaded):
        upstream.script = numbers
        worker.link.send(Engines(engines=(structs.replace(loaded, task="embed", dimensions=1, static=static),)))
        worker.link.send(Ping())
        async with asyncio.timeout(60):
            while not isinstance(await worker.link.receive(), Pong):
                pass
        yield worker, upstream


async def numbers(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answers with the number at the end of each text."""
    texts = request.json["input"]
    assert isinstance(texts, list)
    data = [
        {"index": index, "embedding": base64.b64encode(struct.pack("<f", float(text.split()[-1]))).decode()}
        for index, text in enumerate(texts)
    ]
    used = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
    writer.write(answer(200, json.dumps({"data": data, "usage": used}).encode()))


def ask(worker: RunningWorker, texts: list[str]) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(worker.client.post("/v1/embeddings", json={"model": "tiny:1b", "input": texts}))


async def test_the_parts_are_put_together_in_order(tmp_path: Path) -> None:
    async with embedding(tmp_path) as (worker, upstream):
        found = (await ask(worker, TEXTS)).json()
        assert [each["embedding"] for each in found["data"]] == [[float(number)] for number in range(100)]
        assert [each["index"] for each in found["data"]] == list(range(100))
        assert found["usage"] == {"prompt_tokens": 300, "total_tokens": 300}
        assert [len(each.json["input"]) for each in upstream.requests] == [32, 32, 32, 4]
        record = await worker.record()
        assert (record.prompt_tokens, record.measured) == (300, True)


async def test_vectors_that_are_looked_up_are_asked_for_in_large_parts(tmp_path: Path) -> None:
    async with embedding(tmp_path, static=True) as (worker, upstream):
        found = (await ask(worker, [f"{number}" for number in range(2000)])).json()
        assert [each["embedding"] for each in found["data"]] == [[float(number)] for number in range(2000)]
        assert [len(each.json["input"]) for each in upstream.requests] == [1024, 976]


async def test_a_long_text_is_a_part_of_its_own(tmp_path: Path) -> None:
    async with embedding(tmp_path) as (worker, upstream):
        long = "word " * 1000 + "7"
        found = (await ask(worker, [long, long, "a 1", "a 2"])).json()
        assert [each["embedding"] for each in found["data"]] == [[7.0], [7.0], [1.0], [2.0]]
        assert [len(each.json["input"]) for each in upstream.requests] == [1, 1, 2]


async def test_nothing_more_is_asked_for_once_the_client_has_left(tmp_path: Path) -> None:
    async with embedding(tmp_path) as (worker, upstream):
        second = asyncio.Event()

        async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
            if len(upstream.requests) == 2:
                second.set()
                await request.closed.wait()
            await numbers(request, writer)

        upstream.script = slow
        asked = ask(worker, TEXTS)
        await second.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        record = await worker.record()
        # What the first part used, and the likely use of the second.
        assert record.outcome == "client_cancelled"
        assert 96 < record.prompt_tokens < 300
        assert (await ask(worker, ["text 5"])).json()["data"][0]["embedding"] == [5.0]
        assert len(upstream.requests) == 3


async def test_a_part_that_fails_is_an_error_of_the_whole(tmp_path: Path) -> None:
    async with embedding(tmp_path) as (worker, upstream):

        async def second_fails(request: Request, writer: asyncio.StreamWriter) -> None:
            if len(upstream.requests) == 2:
                writer.write(answer(400, b'{"error": {"message": "no", "code": 400, "type": "invalid_request_error"}}'))
            else:
                await numbers(request, writer)

        upstream.script = second_fails
        assert (await ask(worker, TEXTS)).status_code == 400
        assert (await ask(worker, TEXTS)).status_code == 200
