"""A real engine host under a supervisor's eye: one that loops is replaced, one that has much to do is not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.engine.host_process import KEY
from tests.fixtures import supervised as process
from tests.fixtures.model import MODEL
from weebill.config.schema import EngineSettings, LocalSettings, Settings
from weebill.engine.role import ROLE, EngineBoot, EngineReady
from weebill.models.sharing import SharedModel
from weebill.models.store import ModelStore
from weebill.process.messages import Boot, own
from weebill.supervisor.child import Child

WAIT_S = 120.0
HI = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
# Past the gateway, which bounds them: for each, the engine's loop looks through its whole vocabulary.
ENDLESS = HI | {"dry_multiplier": 1, "dry_sequence_breakers": [f"x{number}" for number in range(50_000)]}


def supervised(models: Path, silence_s: float) -> AbstractAsyncContextManager[Child]:
    """A host that is ready, with a window of 8,192 tokens."""
    settings = Settings(local=LocalSettings(models=(MODEL,), engine=EngineSettings(parallel=4)))
    model = ModelStore(models).find(MODEL).served()
    boot = Boot(
        role="engine",
        home="/",
        settings=settings,
        own=own(EngineBoot.of(MODEL, SharedModel({MODEL: model}), settings.local.engine, KEY)),
    )
    return process.supervised(ROLE, boot, silence_s)


wait_for = partial(process.wait_for, seconds=WAIT_S)


async def ask(child: Child, body: object) -> int | None:
    """The status of the answer; None where there is none."""
    assert child.ready is not None
    base_url = msgspec.json.decode(child.ready.own, type=EngineReady).base_url
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, timeout=None) as client:
        try:
            return (await client.post(f"{base_url}/v1/chat/completions", json=body)).status_code
        except httpx.TransportError:
            return None


async def test_an_endless_loop_in_the_engine(compact_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(compact_model, 3.0) as child:
        before = child.snapshot().pid
        asked = asyncio.create_task(ask(child, ENDLESS))
        await wait_for(lambda: not child.answers)
        assert await asked is None
        await wait_for(lambda: child.answers)
        assert child.snapshot().pid != before
        assert await ask(child, HI) == 200
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["engine: has not answered for 3 s; killing it, to start it again"]


async def test_long_prompts_at_once_are_no_silence(compact_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(compact_model, 3.0) as child:
        before = child.snapshot().pid
        long = [HI | {"messages": [{"role": "user", "content": f"{n} word" * 80}]} for n in range(2)]
        assert await asyncio.gather(*(ask(child, body) for body in long)) == [200] * 2
        assert child.snapshot().pid == before
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
