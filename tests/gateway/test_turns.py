"""Several workers at one host with adapters: no two kinds of requests at once, and nobody waits without end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from tests.fixtures.upstream import complete, completion, running_upstream
from tests.fixtures.worker import running_worker
from weebill.config.schema import EngineSettings, LocalSettings, ServerSettings, Settings
from weebill.gateway.slots import SlotQueue
from weebill.gateway.turns import Turns
from weebill.process.messages import Adapters, Engines, EngineState, FromChild, Ping, Pong, Turn
from weebill.supervisor.turns import Turns as Desk

HOST = "llama:1"
KINDS = ("", "one", "two")


class Workers:
    """Queues of some workers for one host, and the supervisor's desk; messages take a turn of the loop each way."""

    def __init__(self, count: int, slots: int = 2) -> None:
        self.desk = Desk(self._tell)
        self.turns = [Turns() for _ in range(count)]
        self.said = 0
        self.at_work: Counter[str] = Counter()
        for index, turns in enumerate(self.turns):
            turns.follow(self._sender(str(index)))
        self.queues = [SlotQueue(slots, 1000, turns.at(HOST)) for turns in self.turns]

    def _sender(self, worker: str) -> Callable[[FromChild], None]:
        def send(message: FromChild) -> None:
            assert isinstance(message, Adapters)
            self.said += 1
            asyncio.get_running_loop().call_soon(self.desk.hear, worker, message)

        return send

    def _tell(self, worker: str, message: Turn) -> None:
        asyncio.get_running_loop().call_soon(self.turns[int(worker)].hear, message)

    async def ask(self, worker: int, adapters: str, turns_of_loop: int = 3) -> None:
        """A request that is at work for some turns of the loop."""
        count = await self.queues[worker].take("key", 1, adapters)
        self.at_work[adapters] += 1
        assert +self.at_work == {adapters: self.at_work[adapters]}, "two kinds at once"
        try:
            for _ in range(turns_of_loop):
                await asyncio.sleep(0)
        finally:
            self.at_work[adapters] -= 1
            self.queues[worker].give_back("key", count)


@pytest.mark.parametrize("seed", range(20))
async def test_requests_at_random(seed: int) -> None:
    random, workers = Random(seed), Workers(3)
    tasks = []
    for _ in range(60):
        asked = workers.ask(random.randrange(3), random.choice(KINDS), random.randrange(8))
        tasks.append(asyncio.create_task(asked))
        if random.random() < 0.5:
            await asyncio.sleep(0)
        if random.random() < 0.2:
            random.choice(tasks).cancel()
    async with asyncio.timeout(60):
        done = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [each for each in done if each is not None and not isinstance(each, asyncio.CancelledError)]
    assert not +workers.at_work


async def test_requests_without_a_pause_keep_nobody_waiting() -> None:
    workers = Workers(2)
    ended = asyncio.Event()

    async def again_and_again() -> None:
        while not ended.is_set():
            await workers.ask(0, "one")

    others = [asyncio.create_task(again_and_again()) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        for _ in range(5):
            await workers.ask(1, "two")
    ended.set()
    await asyncio.gather(*others)


async def test_a_turn_is_kept_while_nobody_wants_another_one() -> None:
    workers = Workers(2)
    for _ in range(5):
        await asyncio.gather(workers.ask(0, "one"), workers.ask(1, "one"))
    assert workers.said == 2


async def test_a_turn_that_is_given_up_is_that_of_others() -> None:
    workers = Workers(2)
    await workers.ask(0, "one")
    workers.turns[0].forget(HOST)
    async with asyncio.timeout(60):
        await workers.ask(1, "two")
    assert workers.said == 3


async def test_a_host_that_gets_its_first_adapters_is_used_in_turns(tmp_path: Path) -> None:
    """Also if it was used before, when it had none and its slots were as many."""
    settings = Settings(
        server=ServerSettings(port=0, workers=2), local=LocalSettings(engine=EngineSettings(parallel=2))
    )
    body = {"model": "tiny:1b", "messages": [{"role": "user", "content": "Hello"}]}
    async with running_upstream() as upstream:
        upstream.script = complete(completion("Good day."))
        origin = upstream.base_url.removesuffix("/v1")
        plain = EngineState(model="tiny:1b", api_key="secret", base_url=origin, context=2048, host=HOST)
        async with running_worker(tmp_path / "home", settings, (plain,)) as worker, asyncio.timeout(60):
            assert (await worker.client.post("/v1/chat/completions", json=body)).status_code == 200
            worker.link.send(Engines(engines=(replace(plain, adapters=("one",), scales=(1.0,)),)))
            worker.link.send(Ping())
            while not isinstance(await worker.link.receive(), Pong):
                pass
            asked = asyncio.create_task(worker.client.post("/v1/chat/completions", json=body))
            while not isinstance(message := await worker.link.receive(), Adapters):
                pass
            assert (message.host, message.adapters, len(upstream.requests)) == (HOST, "one", 1)
            worker.link.send(Turn(host=HOST, number=message.number, begins=True))
            assert (await asked).status_code == 200
        assert [b'"lora"' in each.body for each in upstream.requests] == [False, True]
