"""Requests while workers, control process and engine hosts are killed at random with SIGKILL.

So many of them that each kind of process has been killed twice, or with KILL_SECONDS as many as there are in
that time (`make kills`).
"""

import asyncio
import itertools
import json
import os
import random
import re
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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
    Upstream,
    answer,
    chunk,
    completion,
    framed,
    running_upstream,
)

KILL_SECONDS = os.environ.get("KILL_SECONDS", "")
SECONDS = float(KILL_SECONDS or 0)
REQUESTS = 300  # at least
KILLS = 2  # of each kind, at least
ANSWERS = 20  # between two kills, so that a slow machine is down for no more of the time than a fast one
AT_ONCE = 40 if KILL_SECONDS else 16
SHARE_OF_THE_ENGINE = 4  # one request in so many goes to the real model
SETTLED_S = 1.0
SHARE_OF_LEAVING = 10  # and one in so many is left by its client
CHANCE = random.Random(11)
VICTIMS = ("weebill.gateway", "weebill.control", "weebill.engine", "weebill.ledger", "weebill.learner")
RECOVERY_S = 60.0
PROMPT = re.compile(rb'"Hi (\d+)"')


@dataclass
class Tally:
    """What the clients saw."""

    begun: int = 0
    complete: dict[int, str] = field(default_factory=dict)  # the ids of those that got an answer, by their numbers
    broken: int = 0
    left: int = 0
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
    """One request; only an answer that is complete by its own format counts.

    Its number is in what the upstream is asked, and in the name that the record says was asked for.
    """
    model = "mini" if number % SHARE_OF_THE_ENGINE == 0 else f"paced-{number}"
    streamed = number // SHARE_OF_THE_ENGINE % 2 == 0
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"Hi {number}"}],
        "max_tokens": 6,
        "stream": streamed,
    }
    try:
        # Some leave, before or after the upstream has been asked.
        async with asyncio.timeout(CHANCE.uniform(0, 0.06) if number % SHARE_OF_LEAVING == 1 else None):
            response = await client.post("/v1/chat/completions", json=body)
    except TimeoutError:
        tally.left += 1
        return
    except httpx.HTTPError:
        tally.broken += 1
        return
    if response.status_code == 200 and (response.content.endswith(DONE) if streamed else "choices" in response.json()):
        tally.complete[number] = response.headers["x-request-id"]
    else:
        tally.broken += 1


async def _kill_at_random(running: Installation, tally: Tally, seed: int) -> None:
    chance = random.Random(seed)
    for module in itertools.cycle(chance.sample(VICTIMS, len(VICTIMS))):  # each kind as often, whichever of it
        complete = len(tally.complete)
        await asyncio.sleep(chance.uniform(0.25, 1.0))
        while not KILL_SECONDS and len(tally.complete) < complete + ANSWERS:
            await asyncio.sleep(0.05)
        victims = running.children(module)
        if victims:
            try:
                chance.choice(victims).kill()
            except psutil.NoSuchProcess:
                continue
            tally.killed[module] += 1


async def _storm(running: Installation, tally: Tally, numbers: Iterator[int]) -> None:
    limits = httpx.Limits(max_connections=AT_ONCE)
    killer = asyncio.create_task(_kill_at_random(running, tally, seed=20))
    deadline = time.monotonic() + SECONDS

    def goes_on() -> bool:
        if KILL_SECONDS:
            return time.monotonic() < deadline
        return tally.begun < REQUESTS or any(tally.killed[module] < KILLS for module in VICTIMS)

    async def client_of_many() -> None:
        while goes_on():
            tally.begun += 1
            await _call(client, next(numbers), tally)
            # Without a breath, refused connections would use up the requests before anything has recovered.
            await asyncio.sleep(0.05)

    headers = {"authorization": f"Bearer {running.key}"}
    async with httpx.AsyncClient(
        base_url=running.url, headers=headers, timeout=30, limits=limits, trust_env=False
    ) as client:
        await asyncio.gather(*(client_of_many() for _ in range(AT_ONCE)))
    killer.cancel()


async def _answers(client: httpx.AsyncClient, tally: Tally, numbers: Iterator[int]) -> bool:
    """Whether eight requests in a row get complete answers, the real model's among them."""
    broken = tally.broken
    for number in itertools.islice(numbers, 8):
        await _call(client, number, tally)
    return tally.broken == broken


def _rows(database: Path) -> Counter[str]:
    """How many usage rows each request has."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return Counter(request_id for (request_id,) in connection.execute("SELECT request_id FROM usage"))


@dataclass(frozen=True)
class Row:
    """What the ledger says of a request to the upstream."""

    request_id: str
    outcome: str
    tokens: int
    cost_nano: int | None


def _rows_of_upstream(database: Path) -> dict[int, list[Row]]:
    """By the numbers of the requests."""
    rows = defaultdict(list)
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        for model, *row in connection.execute(
            "SELECT model_asked, request_id, outcome, prompt_tokens + completion_tokens, cost_nano FROM usage "
            "WHERE upstream = 'loopback'"
        ):
            rows[int(model.removeprefix("paced-"))].append(Row(*row))
    return rows


def _outcomes(rows: Iterable[list[Row]]) -> dict[str, int]:
    return dict(Counter(row.outcome for each in rows for row in each))


async def _calls(upstream: Upstream) -> Counter[int]:
    """How often the upstream has been asked for each number, once nothing more comes that was sent before."""
    seen = -1
    while seen < len(upstream.requests):
        seen = len(upstream.requests)
        await asyncio.sleep(SETTLED_S)
    return Counter(int(PROMPT.findall(request.body)[0]) for request in upstream.requests)


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
            [aliases]
            "paced-*" = "paced"
            large = "paced"  # with a large tier there is `auto`, and so a learner
        """
        numbers = itertools.count()
        with installation(tmp_path / "home", compact_model, config, forked=not KILL_SECONDS) as running:
            await _storm(running, tally, numbers)
            # It recovers by itself, and then answers. The last kill may be so fresh that nobody has noticed it yet.
            deadline = time.monotonic() + RECOVERY_S
            after = Tally()
            async with httpx.AsyncClient(
                base_url=running.url, headers={"authorization": f"Bearer {running.key}"}, timeout=30, trust_env=False
            ) as client:
                while not await _answers(client, after, numbers):
                    assert time.monotonic() < deadline, "it has not recovered"
                    await asyncio.sleep(0.2)
            assert all(running.ready().values())
            complete = tally.complete | after.complete
            expected = list(complete.values())
            deadline = time.monotonic() + RECOVERY_S
            while set(expected) - set(_rows(running.home / "weebill.db")):
                assert time.monotonic() < deadline, "records are missing from the ledger"
                await asyncio.sleep(0.2)
            # Beside this loop, which is the upstream's, too.
            assert await asyncio.to_thread(running.stop) == 0
        calls = await _calls(upstream)
        rows = _rows(tmp_path / "home" / "weebill.db")
        recorded = _rows_of_upstream(tmp_path / "home" / "weebill.db")

    unseen = {number: each for number, each in recorded.items() if number not in calls}
    print(f"upstream calls {calls.total()}, their records {_outcomes(recorded[number] for number in calls)}")
    print(f"records of what the upstream has not seen {_outcomes(unseen.values())}")
    print(f"complete {len(tally.complete)}, broken {tally.broken}, left {tally.left}, rows {len(rows)}")
    print(f"killed {dict(tally.killed)}")
    assert len(tally.complete) + tally.broken + tally.left == tally.begun
    assert len(tally.complete) > tally.begun / (4 if KILL_SECONDS else 2), "the service was down for most of the time"
    assert all(tally.killed[module] >= KILLS for module in VICTIMS), tally.killed
    assert len(set(expected)) == len(expected)
    assert {request_id: rows[request_id] for request_id in expected} == dict.fromkeys(expected, 1)
    assert max(rows.values()) == 1
    # Each call has exactly one record, those that were under way when their worker was killed included.
    assert {number: (count, len(recorded[number])) for number, count in calls.items()} == dict.fromkeys(calls, (1, 1))
    if KILL_SECONDS:  # a few kills may all come where nothing is under way
        assert "worker_died" in _outcomes(recorded[number] for number in calls)
    answered = complete.keys() & calls
    assert [number for number in answered if recorded[number][0].request_id != complete[number]] == []
    # What the upstream has not seen is noted in vain by a worker that is killed before it is sent, once for each client
    # at most, or is known not to have been sent: its client left before, say. Then it is charged for nothing.
    assert all(len(each) == 1 for each in unseen.values())
    known = [row for [row] in unseen.values() if row.outcome != "worker_died"]
    assert len(unseen) - len(known) <= AT_ONCE * tally.killed["weebill.gateway"]
    assert [row for row in known if row.tokens or row.cost_nano != 0] == []
