"""One small budget, two installations on one PostgreSQL and one Redis, 64 clients, and all that may go wrong at once:
workers and ledger processes are killed, an installation ends and starts again, Redis is lost. Not a nano-dollar more is
spent, nearly all can be, and there is one record for each request, whoever saw its end.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.installation import Installation
from tests.e2e.replicas import Callers, Replica, number_of, replicas
from tests.e2e.test_limits import priced_at_random
from tests.fixtures.databases import rows
from tests.fixtures.redis import RedisServer
from tests.fixtures.upstream import running_upstream
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.opening import open_ledger

CLIENTS = 64
MOST_TOKENS = (20, 100, 400)
VICTIMS = ("weebill.gateway", "weebill.ledger")
SETTLED_S = 120.0


class Storm(NamedTuple):
    """A budget in nano-dollars, the workers of each replica, and how often all that can happen does."""

    budget: int
    workers: int
    turns: int


STORMS = [Storm(32_000_000, 2, 1), Storm(120_000_000, 4, 3)]


class Row(NamedTuple):
    """What the ledger has of one request."""

    outcome: str
    cost_nano: int | None
    calls: int


async def disturb(found: list[Replica], redis: RedisServer, chance: random.Random, turns: int) -> Counter[str]:
    """Has everything happen that may, again and again; returns what has."""
    done = Counter[str]()

    async def kill_in_each() -> None:
        for module in VICTIMS:
            for replica in found:
                done[module] += await asyncio.to_thread(replica.kill, module)
                await asyncio.sleep(chance.uniform(0.1, 0.4))

    for turn in range(turns):
        replica = found[turn % len(found)]
        await kill_in_each()
        redis.kill()
        await asyncio.to_thread(replica.crash if turn % 2 else replica.stop)
        done["crash" if turn % 2 else "stop"] += 1
        await asyncio.sleep(chance.uniform(0.1, 0.4))
        await asyncio.to_thread(replica.start)
        await asyncio.to_thread(redis.start)
        await kill_in_each()
    return done


async def go_on(callers: Callers, chance: random.Random, until: Callable[[], bool]) -> None:
    """One client that asks again and again."""
    while not until():
        leaves = chance.uniform(0, 0.05) if chance.random() < 0.1 else None
        streamed = chance.random() < 0.4
        status = await callers.asks(chance.choice(MOST_TOKENS), stream=streamed, leaves_after_s=leaves)
        await asyncio.sleep(0.1 if status in (0, 402, 503) else 0)


async def settled(running: Installation) -> dict[str, int]:
    """The budget once nothing of it is lent any more."""
    deadline = time.monotonic() + SETTLED_S
    while True:
        state: dict[str, int] = json.loads(await asyncio.to_thread(running.weebill, "limits", "show", "1", "--json"))
        if not state["reserved"]:
            return state
        assert time.monotonic() < deadline, state
        await asyncio.sleep(0.5)


def recorded(home: Home, database: DatabaseSettings) -> tuple[dict[int, list[Row]], list[Row]]:
    """The records of each request, by its number, and those of clients that left before it was read."""
    found, unread = defaultdict(list), []
    with open_ledger(home, database) as ledger:
        for asked, outcome, cost, attempts in rows(
            ledger, "SELECT model_asked, outcome, cost_nano, attempts FROM usage"
        ):
            row = Row(outcome, cost, attempts.count(",") + 1 if attempts else 1)
            (found[int(asked.removeprefix("paced-"))] if asked else unread).append(row)
    return found, unread


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("storm", STORMS, ids=["small", "large"])
async def test_a_budget_is_spent_to_the_end_over_two_replicas(
    tmp_path: Path, postgres: str, redis_server: RedisServer, storm: Storm
) -> None:
    chance = random.Random(16)
    database = DatabaseSettings(url=postgres)
    async with running_upstream() as upstream:
        upstream.script = priced_at_random
        async with replicas(tmp_path, upstream, database, redis_server.url, storm.workers) as found:
            one = found[0].running
            assert one is not None
            key = (await asyncio.to_thread(one.weebill, "keys", "create", "spender", "--quiet")).strip()
            dollars = f"{storm.budget / 1e9:.9f}"
            await asyncio.to_thread(one.weebill, "limits", "set", "proj_default", "spend", dollars)
            await asyncio.to_thread(one.weebill, "limits", "set", "spender", "concurrent", str(CLIENTS))
            callers = Callers(found, key, chance, CLIENTS)
            disturbing = asyncio.create_task(disturb(found, redis_server, chance, storm.turns))

            def over() -> bool:
                return disturbing.done() and callers.statuses[402] >= CLIENTS

            async with asyncio.timeout(500):
                await asyncio.gather(*(go_on(callers, chance, over) for _ in range(CLIENTS)))
            happened = await disturbing
            running = found[0].running
            assert running is not None
            await settled(running)
            refused = 0  # what is left is spent by the cheapest requests that there are
            async with asyncio.timeout(200):
                while refused < 8:
                    refused = refused + 1 if await callers.asks(1) == 402 else 0
            state = await settled(running)
            await callers.client.aclose()
            used_again = b"cmdstat_x" in redis_server.command("INFO", "commandstats")
        records, unread = recorded(found[0].home, database)
    calls = Counter(map(number_of, upstream.requests))
    print(f"{happened}, {callers.statuses}, {Counter(row.outcome for each in records.values() for row in each)}")
    print(f"{state['used']} of {storm.budget} spent by {calls.total()} calls for {len(calls)} requests")
    assert happened["weebill.gateway"] >= 2 * storm.turns
    assert happened["weebill.ledger"] >= 2 * storm.turns
    assert used_again
    assert {(row.outcome, row.cost_nano) for row in unread} <= {("client_cancelled", 0), ("gateway_error", 0)}
    assert {number: each for number, each in records.items() if len(each) != 1} == {}
    spent = [row.cost_nano for each in records.values() for row in each]
    assert None not in spent
    assert sum(each or 0 for each in spent) == state["used"] <= storm.budget
    assert state["used"] >= 0.999 * storm.budget
    # No record is of a request that nobody has seen, or the other way round.
    assert calls.keys() <= records.keys() <= callers.seen.keys()
    # A worker that ends has closed its journal, and refuses with 503 what still comes: nothing is called, or recorded.
    unrecorded = {number for number in callers.seen if number not in records}
    assert {callers.seen[number] for number in unrecorded} <= {0, 503}
    tries = {number: row.calls for number, [row] in records.items() if row.outcome == "ok"}
    assert {number: (calls[number], count) for number, count in tries.items() if calls[number] != count} == {}
    assert [number for number in calls if records[number][0].outcome == "rejected"] == []
