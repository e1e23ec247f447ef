"""What several workers are told of each other's use of the local models."""

from __future__ import annotations

import asyncio

import pytest

from tests.supervisor.test_pool_choice import Fixture
from weebill.process.messages import Adapters, InUse, Kept, ToChild, Turn, Wanted
from weebill.supervisor.local_use import LocalUse


class Worker:
    """A worker that notes what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: list[ToChild] = []

    def tell(self, message: ToChild) -> None:
        self.told.append(message)


def kept(worker: Worker) -> dict[str, float]:
    last = worker.told[-1]
    assert isinstance(last, Kept)
    return dict(zip(last.hosts, last.keep_s, strict=True))


async def test_a_worker_knows_how_long_the_others_keep_a_host() -> None:
    one, workers = Fixture(small=100, other=100), [Worker("a"), Worker("b")]
    use = LocalUse(one.pool, lambda: workers)
    use.hear("a", Wanted(model="small"))
    one.made[-1].load()
    assert use.kept("a") == use.kept("b") == Kept(hosts=("small",), keep_s=(300.0,))
    use.hear("a", InUse(models=("small",), keep_s=(2000.0,)))
    use.hear("b", InUse(models=("small",), keep_s=(-1.0,)))
    await asyncio.sleep(0.4)
    assert [kept(each) for each in workers] == [{"small": -1.0}, {"small": 2000.0}]
    assert [len(each.told) for each in workers] == [1, 1]  # however much was said
    one.now += 1000
    use.forget("b")
    await asyncio.sleep(0.4)
    assert [kept(each) for each in workers] == [{}, {"small": 1000.0}]


async def test_a_worker_alone_is_told_nothing() -> None:
    one, worker = Fixture(small=100), Worker("a")
    use = LocalUse(one.pool, lambda: [worker])
    use.hear("a", InUse(models=("small",)))
    await asyncio.sleep(0.4)
    assert worker.told == []


@pytest.mark.parametrize("ends", [True, False])
async def test_a_turn_is_told_to_the_worker_whose_it_is(ends: bool) -> None:
    workers = [Worker("a"), Worker("b")]
    use = LocalUse(Fixture(small=100).pool, lambda: workers)
    use.hear("a", Adapters(host="small", adapters="x", number=1))
    use.hear("b", Adapters(host="small", adapters="y", number=7))
    if ends:
        use.forget("a")
    else:
        use.hear("a", Adapters(host="small", adapters=None, number=2))
    assert workers[0].told == [Turn(host="small", number=1, begins=True), Turn(host="small", number=1, begins=False)]
    assert workers[1].told == [Turn(host="small", number=7, begins=True)]
