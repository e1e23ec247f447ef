"""What is billed when: requests through a real worker, however they end, and the bill once they are ingested."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.fixtures.databases import rows
from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    USAGE,
    USAGE_CHUNK,
    Request,
    Script,
    Upstream,
    answer,
    chunk,
    complete,
    completion,
    framed,
    hang,
    running_upstream,
    send,
    stream,
)
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.catalog.load import load
from weebill.catalog.pricing import cost_nano
from weebill.config.load import Sources
from weebill.config.load import load as load_settings
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.ledger.prices import Prices
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester
from weebill.usage.records import UsageRecord
from weebill.wire.reply import Usage

CHAT: Final = "/v1/chat/completions"
QUESTION: Final = "Hello" * 20
ASKED: Final[dict[str, Any]] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUESTION}]}
CONFIGURED: Final = """
[local]
models = []
[catalog]
activate = false
[cache]
enabled = true
[routing]
backoff_s = 0.01
[providers.first]
catalog = "openai"
base_url = "{first}"
api_key = "k"
models = ["gpt-4o-mini"]
tier = 0
idle_timeout_s = 1.0
first_byte_timeout_s = 1.0
[providers.second]
catalog = "openai"
base_url = "{second}"
api_key = "k"
models = ["gpt-4o-mini"]
tier = 1
idle_timeout_s = 1.0
first_byte_timeout_s = 1.0
[providers.unpriced]
base_url = "{first}"
api_key = "k"
models = ["own"]
[providers.reporting]
catalog = "openrouter"
base_url = "{first}"
api_key = "k"
models = ["openai/gpt-4o-mini"]
"""


def price(prompt: int, completion: int, cached: int = 0) -> int:
    found = load().served("openai", "gpt-4o-mini")
    assert found is not None
    assert found[1].price is not None
    return cost_nano(found[1].price, Usage.reported(prompt, completion, cached=cached))


SEEDS: Final = itertools.count()
REPORTED: Final = price(12, 5, 3)
# Tokens of the question where nobody has reported any: a quarter of its bytes.
ESTIMATE: Final = 33
PROMPT: Final = price(ESTIMATE, 0)


@dataclass
class Bench:
    """A worker before two upstreams, and what its requests were billed."""

    worker: RunningWorker
    first: Upstream
    second: Upstream
    settings: Settings

    async def ask(self, status: int = 200, **fields: object) -> httpx.Response:
        response = await self.worker.client.post(CHAT, json={**ASKED, **fields})
        assert response.status_code == status, response.text
        return response

    async def leave(self, upstream: Upstream, lines: int = 0, **fields: object) -> None:
        """Ask, and leave once the upstream was asked and so many lines of a stream have come."""
        if not lines:
            asking = asyncio.create_task(self.worker.client.post(CHAT, json={**ASKED, **fields}))
            async with asyncio.timeout(60):
                while not upstream.requests:
                    await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            return
        async with self.worker.client.stream("POST", CHAT, json={**ASKED, "stream": True, **fields}) as response:
            async for line in response.aiter_lines():
                lines -= bool(line)
                if not lines:
                    return

    def billed(self) -> tuple[int, int]:
        """Nano-dollars, and requests of unknown price."""
        with open_ledger(self.worker.home, SQLITE) as ledger:
            prices = Prices(self.worker.home, self.settings)
            Ingester(StoredUsage(ledger), self.worker.home.journal, cost=prices.cost).run()
            return rows(ledger, "SELECT billed_nano, unpriced FROM credit_usage")[0]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(running_upstream()) for _ in range(2)]
        file = tmp_path / "weebill.toml"
        file.write_text(CONFIGURED.format(first=first.base_url, second=second.base_url))
        settings = load_settings(Sources(Home(tmp_path / "home"), {}, {("server", "port"): 0}, file)).settings
        worker = await stack.enter_async_context(running_worker(tmp_path / "home", settings))
        yield Bench(worker, first, second, settings)


def refusing(status: int) -> Script:
    return send(answer(status, json.dumps({"error": {"message": "No.", "type": "t"}}).encode()))


def words(count: int, then: Script) -> Script:
    """A stream of so many tokens, each in a packet of its own, and what follows."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(chunk(begins=True)))
        for number in range(count):
            writer.write(framed(chunk(f"w{number} ")))
            await writer.drain()
            await asyncio.sleep(0.02)
        await then(request, writer)

    return script


async def cut(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def succeed(bench: Bench) -> None:
    await bench.ask()


async def stream_to_its_end(bench: Bench) -> None:
    bench.first.script = stream(chunk("Hi", begins=True), chunk("", "stop"), USAGE_CHUNK, DONE)
    await bench.ask(stream=True)


async def hit_the_cache(bench: Bench) -> None:
    await bench.ask(temperature=0)
    await bench.worker.record(1)
    await bench.ask(temperature=0)
    assert len(bench.first.requests) == 1


async def ask_for_nothing(bench: Bench) -> None:
    await bench.ask(404, model="nothing")


async def be_refused(bench: Bench) -> None:
    bench.first.script = refusing(400)
    await bench.ask(400)


async def fail_everywhere(bench: Bench) -> None:
    bench.first.script = bench.second.script = refusing(500)
    await bench.ask(500)


async def fall_back(bench: Bench) -> None:
    bench.first.script = refusing(500)
    await bench.ask()
    assert len(bench.second.requests) == 1


async def fall_back_from_a_timeout(bench: Bench) -> None:
    bench.first.script = hang()
    await bench.ask()
    assert len(bench.second.requests) == 1


async def break_off(bench: Bench) -> None:
    bench.first.script = words(4, cut)
    await bench.ask(stream=True)


async def fall_silent(bench: Bench) -> None:
    bench.first.script = words(4, hang())
    await bench.ask(stream=True)


async def leave_before_the_answer(bench: Bench) -> None:
    bench.first.script = hang()
    await bench.leave(bench.first)


async def leave_during_a_stream(bench: Bench) -> None:
    bench.first.script = words(3, hang())
    await bench.leave(bench.first, 4)  # the first has no word


async def be_killed(bench: Bench) -> None:
    bench.first.script = words(4, hang())
    async with bench.worker.client.stream("POST", CHAT, json={**ASKED, "stream": True}) as response:
        lines = response.aiter_lines()
        seen = 0
        while seen < 5:
            seen += bool(await anext(lines))
        bench.worker.process.kill()
        await bench.worker.process.wait()


async def ask_without_a_price(bench: Bench) -> None:
    await bench.ask(model="own")


async def be_told_the_cost(bench: Bench) -> None:
    bench.first.script = complete({**completion(), "usage": {**USAGE, "cost": 0.0001}})
    await bench.ask(model="reporting/openai/gpt-4o-mini")


async def hedge(bench: Bench) -> None:
    """Both are asked once the first is slower than it was; the second answers, and the first is let go of."""
    for _ in range(25):
        await bench.ask(seed=next(SEEDS))
    bench.first.script = hang()
    await bench.ask(seed=next(SEEDS), provider={"hedge": True})


# Who acted, the outcome, and what is billed for it: nano-dollars, requests of unknown price; if all is measured.
CASES: Final[list[tuple[Callable[[Bench], Awaitable[None]], str, tuple[int, int], bool]]] = [
    (succeed, "ok", (REPORTED, 0), True),
    (stream_to_its_end, "ok", (REPORTED, 0), True),
    (hit_the_cache, "ok", (REPORTED, 0), True),  # of the first alone
    (ask_for_nothing, "rejected", (0, 0), True),
    (be_refused, "rejected", (0, 0), True),
    (fail_everywhere, "upstream_error", (0, 0), True),
    (fall_back, "ok", (REPORTED, 0), True),
    (fall_back_from_a_timeout, "ok", (PROMPT + REPORTED, 0), False),
    (break_off, "upstream_error", (price(ESTIMATE, 4), 0), False),
    (fall_silent, "timeout", (price(ESTIMATE, 4), 0), False),
    (leave_before_the_answer, "client_cancelled", (PROMPT, 0), False),
    (leave_during_a_stream, "client_cancelled", (price(ESTIMATE, 3), 0), False),
    (be_killed, "worker_died", (price(ESTIMATE, 4), 0), False),
    (ask_without_a_price, "ok", (0, 1), True),
    (be_told_the_cost, "ok", (100_000, 0), True),
    (hedge, "ok", (26 * REPORTED + PROMPT, 0), False),
]


@pytest.mark.parametrize(("act", "outcome", "billed", "measured"), CASES, ids=[case[0].__name__ for case in CASES])
async def test_what_is_billed(
    bench: Bench, act: Callable[[Bench], Awaitable[None]], outcome: str, billed: tuple[int, int], measured: bool
) -> None:
    await act(bench)
    records: list[UsageRecord] = []
    if outcome != "worker_died":
        async with asyncio.timeout(60):
            while not (records := bench.worker.records()) or records[-1].outcome != outcome:
                await asyncio.sleep(0.01)
        assert (records[-1].measured, sum(record.cost_nano or 0 for record in records)) == (measured, billed[0])
    assert bench.billed() == billed
