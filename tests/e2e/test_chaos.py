"""Requests while workers, control process and engine hosts are killed at random with SIGKILL.

2,000 of them, or with KILL_SECONDS as many as there are in that time (`make kills`).
"""

import asyncio
import itertools
import json
import os
import random
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.installation import Installation, installation
from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    USAGE_CHUNK,
    Request,
    answer,
    chunk,
    completion,
    framed,
    running_upstream,
)

KILL_SECONDS = os.environ.get("KILL_SECONDS", "")
SECONDS = float(KILL_SECONDS or 0)
REQUESTS = 10_000_000 if KILL_SECONDS else 2_000
AT_ONCE = 40 if KILL_SECONDS else 24
SHARE_OF_THE_ENGINE = 4  # one request in so many goes to the real model
VICTIMS = ("weebill.gateway", "weebill.console", "weebill.engine")
RECOVERY_S = 60.0


@dataclass
class Tally:
    """What the clients saw."""

    begun: int = 0
    complete: list[str] = field(default_factory=list)
    broken: int = 0
    killed: Counter[str] = field(default_factory=Counter)


async def _paced(request: Request, writer: asyncio.StreamWriter) -> None:
    """An upstream that takes a while, so that kills meet requests under way."""
    await asyncio.sleep(0.02)
    if not request.json.get("stream"):
        writer.write(answer(200, json.dumps(completion()).encode()))
        return
    writer.write(STREAM_HEAD)
    for event in [chunk("a"), chunk("b"), chunk("c"), chunk("", "stop"), USAGE_CHUNK, DONE]:
        writer.write(framed(event))
        await writer.drain()
        await asyncio.sleep(0.01)
    writer.write(b"0\r\n\r\n")


async def _call(client: httpx.AsyncClient, number: int, tally: Tally) -> None:
    """One request; only an answer that is complete by its own format counts."""
    model = "mini" if number % SHARE_OF_THE_ENGINE == 0 else "paced"
    streamed = number // SHARE_OF_THE_ENGINE % 2 == 0
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"Hi {number}"}],
        "max_tokens": 6,
        "stream": streamed,
    }
    try:
        response = await client.post("/v1/chat/completions", json=body)
    except httpx.HTTPError:
        tally.broken += 1
        return
    if response.status_code == 200 and (response.content.endswith(DONE) if streamed else "choices" in response.json()):
        tally.complete.append(response.headers["x-request-id"])
    else:
        tally.broken += 1


async def _kill_at_random(running: Installation, tally: Tally, seed: int) -> None:
    chance = random.Random(seed)
    for module in itertools.cycle(chance.sample(VICTIMS, len(VICTIMS))):  # each kind as often, whichever of it
        await asyncio.sleep(chance.uniform(0.25, 1.0))
        victims = running.children(module)
        if victims:
            try:
                chance.choice(victims).kill()
            except psutil.NoSuchProcess:
                continue
            tally.killed[module] += 1


async def _storm(running: Installation, tally: Tally) -> None:
    limits = httpx.Limits(max_connections=AT_ONCE)
    killer = asyncio.create_task(_kill_at_random(running, tally, seed=20))
    deadline = time.monotonic() + (SECONDS or inf)
    numbers = iter(range(REQUESTS))

    async def client_of_many() -> None:
        for number in numbers:
            if time.monotonic() > deadline:
                return
            tally.begun += 1
            await _call(client, number, tally)
            # Without a breath, refused connections would use up the requests before anything has recovered.
            await asyncio.sleep(0.05)

    headers = {"authorization": f"Bearer {running.key}"}
    async with httpx.AsyncClient(
        base_url=running.url, headers=headers, timeout=30, limits=limits, trust_env=False
    ) as client:
        await asyncio.gather(*(client_of_many() for _ in range(AT_ONCE)))
    killer.cancel()


async def _answers(client: httpx.AsyncClient, tally: Tally) -> bool:
    """Whether eight requests in a row get complete answers, the real model's among them."""
    broken = tally.broken
    for number in range(8):
        await _call(client, number, tally)
    return tally.broken == broken


def _rows(database: Path) -> Counter[str]:
    """How many usage rows each request has."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return Counter(request_id for (request_id,) in connection.execute("SELECT request_id FROM usage"))


def _outcomes(database: Path) -> Counter[str]:
    """What has become of the requests to the upstream."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT outcome, count(*) FROM usage WHERE upstream = 'loopback' GROUP BY outcome")
        return Counter(dict(rows.fetchall()))


@pytest.mark.timeout(SECONDS + 600)
async def test_no_answer_goes_unrecorded_and_none_is_recorded_twice(tmp_path: Path, compact_model: Path) -> None:
    tally = Tally()
    async with running_upstream() as upstream:
        upstream.script = _paced
        config = f"""
            [server]
            workers = 2
            [providers.loopback]
            base_url = "{upstream.base_url}"
            models = ["paced"]
        """
        with installation(tmp_path / "home", compact_model, config) as running:
            await _storm(running, tally)
            # It recovers by itself, and then answers. The last kill may be so fresh that nobody has noticed it yet.
            deadline = time.monotonic() + RECOVERY_S
            after = Tally()
            async with httpx.AsyncClient(
                base_url=running.url, headers={"authorization": f"Bearer {running.key}"}, timeout=30, trust_env=False
            ) as client:
                while not await _answers(client, after):
                    assert time.monotonic() < deadline, "it has not recovered"
                    await asyncio.sleep(0.2)
            assert all(running.ready().values())
            expected = tally.complete + after.complete
            deadline = time.monotonic() + RECOVERY_S
            while set(expected) - set(_rows(running.home / "weebill.db")):
                assert time.monotonic() < deadline, "records are missing from the ledger"
                await asyncio.sleep(0.2)
            assert running.stop() == 0
        rows = _rows(tmp_path / "home" / "weebill.db")
        outcomes = _outcomes(tmp_path / "home" / "weebill.db")
        asked = len(upstream.requests)

    print(f"upstream calls {asked}, records of them {outcomes.total()}: {dict(outcomes)}")
    print(f"complete {len(tally.complete)}, broken {tally.broken}, rows {len(rows)}, killed {dict(tally.killed)}")
    assert len(tally.complete) + tally.broken == tally.begun
    assert len(tally.complete) > tally.begun / (4 if KILL_SECONDS else 2), "the service was down for most of the time"
    assert all(tally.killed[module] >= 3 for module in VICTIMS), tally.killed
    assert len(set(expected)) == len(expected)
    assert {request_id: rows[request_id] for request_id in expected} == dict.fromkeys(expected, 1)
    assert max(rows.values()) == 1
    # Those under way when their worker was killed included. Who leaves may do so before the upstream is called; and as
    # a request is noted before that, too, a kill in between leaves one record more.
    assert outcomes["worker_died"] > 0
    left = outcomes["client_cancelled"]
    assert outcomes.total() - left - tally.killed["weebill.gateway"] <= asked <= outcomes.total()
