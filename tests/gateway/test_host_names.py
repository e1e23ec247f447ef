"""Models of one host: its slots, and how long it is kept, are those of all of its names."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.fixtures.upstream import Request, complete, completion
from tests.gateway.test_warming import COLD, ask, running, told
from weebill.process.messages import Engines, Ping, Pong


async def test_a_host_that_is_loaded_again_with_other_slots_is_asked_for_as_many(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, upstream, loaded):
        worker.link.send(Engines(engines=(replace(loaded, slots=1),)))
        assert (await ask(worker)).status_code == 200
        worker.link.send(Engines(engines=(replace(loaded, slots=2),)))
        worker.link.send(Ping())
        await told(worker, Pong)
        both = asyncio.Barrier(2)

        async def together(request: Request, writer: asyncio.StreamWriter) -> None:
            await both.wait()
            await complete(completion("Good day."))(request, writer)

        upstream.script = together
        async with asyncio.timeout(60):
            answers = await asyncio.gather(ask(worker), ask(worker))
        assert [each.status_code for each in answers] == [200, 200]


async def test_a_name_that_nobody_uses_is_kept_as_long_as_its_host(tmp_path: Path) -> None:
    async with running(tmp_path, COLD) as (worker, _, loaded):
        loaded = replace(loaded, host="tiny:1b")
        worker.link.send(Engines(engines=(loaded, replace(loaded, model="copy"))))
        assert (await ask(worker, keep_alive=60)).status_code == 200
        models = (await worker.client.get("/api/ps")).json()["models"]
        assert {each["model"] for each in models} == {"copy", "tiny:1b"}
        for each in models:
            left = datetime.fromisoformat(each["expires_at"]).timestamp() - time.time()
            assert left == pytest.approx(60, abs=20)  # and not 300
