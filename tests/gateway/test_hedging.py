"""A second leg where the first is unusually slow, and what becomes of the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    Request,
    Script,
    answer,
    chunk,
    complete,
    completion,
    framed,
    hang,
    running_upstream,
    stream,
)
from tests.fixtures.worker import running_worker
from tests.gateway.test_failover import CHAT, GARBAGE, HELLO, NAMES, ROLE, Three, failing, said, settings
from tests.routing.deployments import deployment
from weebill.catalog.pricing import Tariff
from weebill.catalog.schema import Price
from weebill.config.routing import BreakerSettings, RoutingSettings
from weebill.config.schema import LocalSettings, MeteringSettings, ProviderSettings, ServerSettings, Settings
from weebill.gateway.hedging import hedged
from weebill.gateway.meter import Meter, Spending
from weebill.gateway.rate_limited_log import RateLimitedLog
from weebill.routing.attempts import Attempts, Shared
from weebill.routing.budget import RetryBudget
from weebill.routing.candidates import Candidate
from weebill.routing.health import Health
from weebill.routing.plan import RankedDeployment
from weebill.routing.steps import Try
from weebill.usage.intents import left_open
from weebill.usage.journal import JournalWriter
from weebill.wire.reply import Usage

HEDGE = {"provider": {"hedge": True}}
SLOW_S = 3.0


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Three]:
    async with AsyncExitStack() as stack:
        upstreams = {name: await stack.enter_async_context(running_upstream()) for name in NAMES}
        for name, each in upstreams.items():
            each.script = complete(completion(f"I am {name}."))
        worker = await stack.enter_async_context(running_worker(tmp_path / "home", settings(upstreams)))
        found = Three(worker, upstreams)
        # It has to be known how long `a` usually takes.
        for _ in range(25):
            assert said(await found.post()) == "I am a."
        found.asked()
        yield found


def late(seconds: float, script: Script) -> Script:
    async def scripted(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await script(request, writer)

    return scripted


async def test_the_second_answers_where_the_first_is_slow(three: Three) -> None:
    three.script(a=hang())
    response = await three.post(**HEDGE)
    assert said(response) == "I am b."
    first, second = response.headers["x-weebill-route"].split(";")[0].split(",")
    assert first.startswith("a:slow:")
    assert second.startswith("b:200:")
    # Who has lost is told so.
    await asyncio.wait_for(three.upstreams["a"].requests[0].closed.wait(), 60)
    assert three.asked() == {"a": 1, "b": 1}
    record = await three.worker.record(26)
    assert (record.upstream, record.outcome) == ("b", "ok")
    assert [each.split(":")[0] for each in record.attempts.split(",")] == ["a/m", "b/m"]


async def test_without_asking_for_it_nobody_else_is_asked(three: Three) -> None:
    three.script(a=late(0.5, complete(completion("I am a."))))
    assert said(await three.post()) == "I am a."
    assert three.asked() == {"a": 1}


async def test_a_quick_answer_needs_no_second(three: Three) -> None:
    # With one answer in ten that takes as long, it does not become unusual on a busy machine.
    three.script(a=late(0.5, complete(completion("I am a."))))
    for _ in range(4):
        await three.post()
    three.asked()
    three.script(a=complete(completion("I am a.")))
    assert said(await three.post(**HEDGE)) == "I am a."
    assert three.asked() == {"a": 1}


async def test_the_first_still_answers_where_the_second_fails(three: Three) -> None:
    three.script(a=late(0.5, complete(completion("I am a."))), b=failing(400), c=GARBAGE)
    assert said(await three.post(**HEDGE)) == "I am a."
    assert three.asked()["a"] == 1


async def test_the_second_answers_where_the_first_fails_late(three: Three) -> None:
    second, failed = asyncio.Event(), asyncio.Event()

    async def a(request: Request, writer: asyncio.StreamWriter) -> None:
        await second.wait()
        await failing(400)(request, writer)
        failed.set()

    async def b(request: Request, writer: asyncio.StreamWriter) -> None:
        second.set()
        await failed.wait()
        await late(0.2, complete(completion("I am b.")))(request, writer)

    three.script(a=a, b=b)
    assert said(await three.post(**HEDGE)) == "I am b."


async def test_where_both_fail_the_first_error_is_told(three: Three) -> None:
    three.script(a=late(0.3, failing(429)), b=failing(500), c=GARBAGE)
    response = await three.post(**HEDGE)
    assert response.status_code == 429
    assert "b/m: 500" in response.json()["error"]["message"]


async def test_streams_are_hedged_until_their_first_content(three: Three) -> None:
    for _ in range(25):
        three.script(a=stream(chunk("a", "stop"), DONE))
        await three.post(stream=True)
    three.asked()
    three.script(a=late(SLOW_S, stream(chunk("a", "stop"), DONE)), b=stream(chunk("b", "stop", begins=True), DONE))
    response = await three.post(stream=True, **HEDGE)
    assert response.content == chunk("b", "stop", begins=True) + DONE


async def test_a_client_that_leaves_takes_both_with_it(three: Three) -> None:
    three.script(a=hang(), b=hang())
    task = asyncio.create_task(three.post(**HEDGE))
    async with asyncio.timeout(60):
        while not three.upstreams["b"].requests:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60):
        for name in ("a", "b"):
            await three.upstreams[name].requests[0].closed.wait()


async def test_who_comes_second_is_let_go_of(three: Three) -> None:
    """In the very moment or not, and without harm to what follows."""
    body = json.dumps(completion("I am slow.")).encode()
    three.script(a=late(0.05, lambda request, writer: _send(writer, answer(200, body))))
    for _ in range(20):
        assert (await three.post(**HEDGE)).status_code == 200
    three.script(a=complete(completion("I am a.")))
    assert said(await three.post()) in ("I am a.", "I am b.")


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_both_are_paid(tmp_path: Path) -> None:
    async with running_upstream() as groq, running_upstream() as together:
        model, other = "llama-3.3-70b-versatile", "meta-llama/Llama-3.3-70B-Instruct-Turbo"
        providers = {
            "groq": ProviderSettings(dialect="openai", base_url=groq.base_url, api_key="k", models=(model,)),
            "together": ProviderSettings(
                dialect="openai", base_url=together.base_url, api_key="k", models=(other,), tier=1
            ),
        }
        both = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers=providers)
        async with running_worker(tmp_path / "home", both) as worker:
            asked = {**HELLO, "model": model}
            for _ in range(25):
                await worker.client.post(CHAT, json=asked)
            await worker.client.post(CHAT, json={**asked, "provider": {"only": ["together"]}})
            groq.script = late(SLOW_S, complete())
            await worker.client.post(CHAT, json={**asked, **HEDGE})
            record = await worker.record(27)
            alone = worker.records()[25]
            assert (alone.upstream, record.upstream) == ("together", "together")
            # What the other worked on in vain is on the bill, and known only as an estimate.
            assert record.cost_nano > alone.cost_nano > 0
            assert (alone.measured, record.measured) == (True, False)


async def test_a_stream_that_may_be_resumed_is_told_by_the_winner_alone(three: Three) -> None:
    for _ in range(25):
        three.script(a=stream(ROLE, chunk("a", "stop"), DONE))
        await three.post(stream=True)

    async def hangs_after_its_role(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(ROLE))
        await asyncio.sleep(SLOW_S)

    three.script(a=hangs_after_its_role, b=stream(ROLE, chunk("b", "stop"), DONE))
    body = {"model": "m", "input": "Hello", "store": False, "stream": True, "provider": {"hedge": True, "resume": True}}
    told = await three.worker.client.post("/v1/responses", json=body)
    numbers = [json.loads(line[6:])["sequence_number"] for line in told.text.splitlines() if line[:6] == "data: "]
    assert numbers == list(range(len(numbers)))
    assert '"text":"b"' in told.text


class Seven:
    usage = Usage(prompt_tokens=7, measured=True)


class Legs:
    """Two deployments, of which the first is known to be quick; a leg is the name of who answered."""

    def __init__(self) -> None:
        a, b = deployment("a"), deployment("b")
        self.health = Health(BreakerSettings(), Random(1))
        for _ in range(25):
            self.health.of(a).whole_answer.add(0.01)
        self.of = (self.health.of(a), self.health.of(b))
        shared = Shared(RoutingSettings(), self.health, RetryBudget(0.0, 10.0), Random(1))
        choices = [RankedDeployment(Candidate(each), 0.0) for each in (a, b)]
        self.attempts = Attempts(shared, choices, time.monotonic() + 1000)
        self.meter = Meter("r", "k", "e", time.monotonic())
        self.given_up: list[Any] = []

    async def hedged(self, **opening: Callable[[Spending], Awaitable[str]]) -> Any:
        def open_leg(step: Try, spending: Spending) -> Awaitable[Any]:
            spending.price, spending.used = Tariff(Price(input=1000, output=0)), Seven
            spending.sent, spending.prompt_bytes = True, 9
            return opening[step.deployment.provider](spending)

        exchange: Any = SimpleNamespace(request_id="r")
        leg, _ = await hedged(
            self.attempts, exchange, self.meter, open_leg, RateLimitedLog(), self.given_up.append, stream=False
        )
        return leg


async def test_one_that_fails_in_an_unforeseen_way_takes_nothing_with_it() -> None:
    legs = Legs()
    second, broken = asyncio.Event(), asyncio.Event()

    async def breaks(spending: Spending) -> str:
        await second.wait()
        broken.set()
        raise RuntimeError("not foreseen")

    async def answers(spending: Spending) -> str:
        second.set()
        await broken.wait()
        await asyncio.sleep(0.05)
        return "b"

    assert await legs.hedged(a=breaks, b=answers) == "b"
    assert legs.given_up == []
    assert [each.in_flight for each in legs.of] == [0, 1]


async def test_a_client_that_leaves_both_pays_both() -> None:
    legs = Legs()

    async def hangs(spending: Spending) -> str:
        await asyncio.sleep(60)
        return ""

    task = asyncio.create_task(legs.hedged(a=hangs, b=hangs))
    async with asyncio.timeout(60):
        while not legs.of[1].in_flight:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each.in_flight for each in legs.of] == [0, 0]
    assert (record := legs.meter.settle(499, "client_cancelled")) is not None
    assert record.cost_nano == 14


async def test_a_client_that_leaves_as_the_loser_is_let_go_of_is_gone() -> None:
    legs = Legs()
    leaving = asyncio.Event()

    async def stubborn(spending: Spending) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            leaving.set()
            await asyncio.sleep(0.05)
        return ""

    async def answers(spending: Spending) -> str:
        return "b"

    task = asyncio.create_task(legs.hedged(a=stubborn, b=answers))
    await leaving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert legs.given_up == ["b"]
    assert [each.in_flight for each in legs.of] == [0, 0]


async def test_the_second_is_noted_where_the_first_has_not_been_sent(tmp_path: Path) -> None:
    """As long as nobody has answered, word of who has been asked is left where a worker's death does not reach."""
    legs = Legs()
    journal = JournalWriter(tmp_path, 0, MeteringSettings())
    legs.meter = Meter("r", "k", "e", time.monotonic(), journal=journal)
    sent = asyncio.Event()

    async def waits(spending: Spending) -> str:
        await sent.wait()
        noted.append(left(tmp_path))
        spending.sending()
        noted.append(left(tmp_path))
        await asyncio.sleep(60)
        return ""

    async def answers(spending: Spending) -> str:
        noted.append(left(tmp_path))
        spending.sending()
        sent.set()
        await asyncio.sleep(0.05)
        return "b"

    noted: list[list[tuple[str, int]]] = []
    assert await legs.hedged(a=waits, b=answers) == "b"
    assert noted == [[], [("b", 9)], [("a", 9)]]
    assert left(tmp_path) == [("b", 9)]


def left(folder: Path) -> list[tuple[str, int]]:
    """The upstreams, and the sizes of the prompts, of what would be recorded if this process died."""
    found = [json.loads(line) for table in folder.glob("*.open") for line, _ in left_open(table.read_bytes())]
    return [(intent[5], intent[8]) for intent in found]
