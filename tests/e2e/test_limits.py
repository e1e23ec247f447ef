"""One small budget, four workers, 64 clients, and SIGKILL: not a nano-dollar more is spent, and nearly all can be."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.installation import Installation, installation
from tests.fixtures.databases import rows
from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    Request,
    Upstream,
    answer,
    chunk,
    completion,
    framed,
    running_upstream,
)
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.opening import open_ledger

CLIENTS = 64
# Nano-dollars, and how often each kind of process is killed meanwhile.
BUDGETS = [(30_000_000, 1), pytest.param(50_000_000, 3, marks=pytest.mark.slow)]
VICTIMS = ("weebill.gateway", "weebill.ledger")
CHANCE = random.Random(15)
WITHIN_S = 120.0
PER_DAY = 60


async def priced_at_random(request: Request, writer: asyncio.StreamWriter) -> None:
    """An upstream that uses at most what was asked for, and fails now and then."""
    asked = request.json
    prompt, written = CHANCE.randint(1, 60), CHANCE.randint(0, int(str(asked["max_tokens"])))
    usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
    await asyncio.sleep(CHANCE.uniform(0, 0.05))
    if CHANCE.random() < 0.05:
        writer.write(answer(500, b'{"error":{"message":"no"}}'))
        return
    if not asked.get("stream"):
        writer.write(answer(200, json.dumps(completion(usage=usage)).encode()))
        return
    writer.write(STREAM_HEAD)
    told = b"data: " + json.dumps({"id": "c", "choices": [], "usage": usage}).encode() + b"\n\n"
    for event in (chunk("a"), chunk("b"), chunk("", "stop"), told, DONE):
        writer.write(framed(event))
        await writer.drain()
        await asyncio.sleep(0.005)
    writer.write(b"0\r\n\r\n")


def config(upstream: Upstream, database: DatabaseSettings) -> str:
    url = "" if database.url is None else f'[database]\nurl = "{database.url}"\n'
    return f"""
{url}
[server]
workers = 4
[local]
models = []
[routing]
max_attempts = 2
[metering]
ingest_interval_s = 0.1
[providers.loopback]
base_url = "{upstream.base_url}"
catalog = "openai"
models = ["gpt-4o-mini"]
max_connections = 256
"""


class Clients:
    """What clients of one key saw."""

    def __init__(self, running: Installation, key: str) -> None:
        self.client = httpx.AsyncClient(
            base_url=running.url,
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
            limits=httpx.Limits(max_connections=CLIENTS),
            trust_env=False,
        )
        self.statuses: Counter[int] = Counter()

    async def ask(self, max_tokens: int, *, stream: bool = False, leaves_after_s: float | None = None) -> int:
        """The status of a request; 0 if its connection broke or its client left."""
        body = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": max_tokens,
            "stream": stream,
        }
        status = 0
        try:
            async with asyncio.timeout(leaves_after_s):
                status = (await self.client.post("/v1/chat/completions", json=body)).status_code
        except (TimeoutError, httpx.HTTPError):
            pass
        self.statuses[status] += 1
        return status

    async def goes_on(self, until: Callable[[], bool]) -> None:
        """One client that asks again and again."""
        while not until():
            leaves = CHANCE.uniform(0, 0.05) if CHANCE.random() < 0.1 else None
            status = await self.ask(CHANCE.choice((60, 300)), stream=CHANCE.random() < 0.4, leaves_after_s=leaves)
            await asyncio.sleep(0.1 if status in (0, 402, 503) else 0)


async def killer(running: Installation, killed: Counter[str], kills: int) -> None:
    for turn in range(kills * len(VICTIMS)):
        await asyncio.sleep(CHANCE.uniform(0.3, 1.0))
        victim = VICTIMS[turn % len(VICTIMS)]
        for process in CHANCE.sample(found := running.children(victim), min(1, len(found))):
            try:
                process.kill()
                killed[victim] += 1
            except psutil.NoSuchProcess:
                continue


def shown(running: Installation, limit_id: int) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(running.weebill("limits", "show", str(limit_id), "--json"))
    return state


async def settled(running: Installation, limit_id: int) -> dict[str, Any]:
    """The limit once nothing of it is lent any more."""
    deadline = time.monotonic() + WITHIN_S
    while (state := await asyncio.to_thread(shown, running, limit_id))["reserved"]:
        assert time.monotonic() < deadline, state
        await asyncio.sleep(1.0)
    return state


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("budget", "kills_each"), BUDGETS)
@pytest.mark.parametrize(
    "database_settings", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
async def test_a_budget_is_spent_to_the_end_and_not_beyond(
    tmp_path: Path, database_settings: DatabaseSettings, budget: int, kills_each: int
) -> None:
    async with running_upstream() as upstream:
        upstream.script = priced_at_random
        with installation(tmp_path / "home", tmp_path / "models", config(upstream, database_settings)) as running:
            key = running.weebill("keys", "create", "spender", "--quiet").strip()
            dollars = f"{budget / 1e9:.9f}"
            running.weebill("limits", "set", "proj_default", "spend", dollars)
            running.weebill("limits", "set", "spender", "concurrent", str(CLIENTS))
            clients, killed = Clients(running, key), Counter[str]()
            kills = asyncio.create_task(killer(running, killed, kills_each))

            def over() -> bool:
                return kills.done() and clients.statuses[402] >= CLIENTS

            async with asyncio.timeout(300):
                await asyncio.gather(*(clients.goes_on(over) for _ in range(CLIENTS)))
            await kills
            state = await settled(running, 1)
            # What is left is spent by the cheapest requests that there are.
            refused = 0
            async with asyncio.timeout(200):
                while refused < 8:
                    refused = refused + 1 if await clients.ask(1) == 402 else 0
            state = await settled(running, 1)
            await clients.client.aclose()
            with open_ledger(Home(running.home), database_settings) as ledger:
                [(spent, requests, unknown)] = rows(
                    ledger,
                    "SELECT sum(cost_nano), count(*), count(*) - count(cost_nano) FROM usage",
                )
            assert set(killed) == set(VICTIMS)
            assert clients.statuses[200] > 100
            assert unknown == 0
            assert int(spent) == state["used"] <= budget, (clients.statuses, requests)
            assert state["used"] >= 0.999 * budget, (state, clients.statuses)


@pytest.mark.timeout(300)
async def test_requests_of_a_day_are_exact_over_four_workers(tmp_path: Path) -> None:
    async with running_upstream() as upstream:
        with installation(tmp_path / "home", tmp_path / "models", config(upstream, DatabaseSettings())) as running:
            key = running.weebill("keys", "create", "counted", "--quiet").strip()
            running.weebill("limits", "set", "counted", "requests", str(PER_DAY), "--per", "day")
            clients = Clients(running, key)
            await asyncio.gather(*(clients.ask(5) for _ in range(3 * PER_DAY)))
            while 429 not in {await clients.ask(5) for _ in range(8)} or await clients.ask(5) == 200:
                pass
            await clients.client.aclose()
            assert clients.statuses[200] == PER_DAY, clients.statuses
            assert len(upstream.requests) == PER_DAY
