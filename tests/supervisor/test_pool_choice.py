"""Which model of the pool is loaded and which is ended, by the clock; with hosts that do nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from weebill.config.schema import LocalSettings
from weebill.models.needs import Costs
from weebill.models.store import Adapter, ServedModel
from weebill.process.messages import ProcessState
from weebill.supervisor.pool import Pool
from weebill.supervisor.pooled_model import PooledModel

MIB = 1 << 20


def offer(file: str, need: int, token: int = 0, *adapters: str) -> ServedModel:
    """Returns a model that needs `need` MiB, and `token` bytes for each token; and one for each adapter."""
    added = tuple(Adapter(each, Path(each), MIB) for each in adapters)
    return ServedModel(path=Path(file), costs=Costs(need * MIB, token), files=file, adapters=added)


class Host:
    """A host that is ready, or fails, when it is told to."""

    def __init__(self, name: str) -> None:
        self.name, self.started, self.ends = name, False, asyncio.Event()
        self.ready: object = None
        self.failure, self.failed_starts, self.answers = "", 0, False

    def start(self) -> None:
        self.started = True

    def load(self) -> None:
        self.ready, self.failure, self.failed_starts = object(), "", 0

    def fail(self) -> None:
        self.failure, self.failed_starts = "damaged", self.failed_starts + 1

    def snapshot(self) -> ProcessState:
        return ProcessState(name=self.name, role="engine", pid=1, state="ready", restarts=0, started_at=None)

    async def stop(self, grace_s: float) -> None:
        await self.ends.wait()


class Fixture:
    """A pool with room for two of its models, and a clock that only the test moves."""

    def __init__(self, **needs: int) -> None:
        self.now, self.made, self.changes = 1000.0, [], 0
        self.pool = Pool(self.make, 250 * MIB, LocalSettings, self.changed, lambda: self.now)
        self.pool.offer({name: offer(name, need) for name, need in needs.items()}, ())

    def make(self, model: PooledModel) -> Host:
        self.made.append(Host(model.name))
        return self.made[-1]

    def changed(self) -> None:
        self.changes += 1

    def loaded(self, name: str) -> Host:
        """Has the model loaded."""
        self.pool.want(name)
        host = self.made[-1]
        assert host.name == name
        host.load()
        self.pool.advance()
        return host

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.pool.advance()

    async def ended(self, host: Host) -> None:
        host.ends.set()
        await asyncio.sleep(0.01)

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.made]

    def model(self, name: str):
        return next(each for each in self.pool.models if each.name == name)


@pytest.fixture
def three() -> Fixture:
    return Fixture(one=100, two=100, three=100)


async def test_the_one_idle_longest_is_ended_and_its_memory_awaited(three: Fixture) -> None:
    three.loaded("one")
    second = three.loaded("two")
    three.after(5)
    three.pool.in_use(["one"])
    three.after(5)
    three.pool.want("three")
    assert [three.model(each).ending for each in ("one", "two")] == [False, True]
    assert three.names == ["one", "two"]  # the memory is still taken
    await three.ended(second)
    assert three.names == ["one", "two", "three"]


async def test_nobody_loses_what_is_in_use(three: Fixture) -> None:
    first = three.loaded("one")
    three.loaded("two")
    for _ in range(3):
        three.pool.in_use(["one", "two"])
        three.pool.want("three")
        three.after(1)
        assert three.names == ["one", "two"]
    three.pool.want("three")
    three.after(2)  # nobody has used the others any more
    assert three.model("one").ending
    await three.ended(first)
    assert three.names[-1] == "three"


async def test_what_nobody_waits_for_any_more_is_not_loaded(three: Fixture) -> None:
    three.loaded("one")
    three.loaded("two")
    three.pool.in_use(["one", "two"])
    three.pool.want("three")
    for _ in range(5):
        three.pool.in_use(["one", "two"])
        three.after(1)
    three.after(10)
    assert not three.model("one").ending
    assert three.names == ["one", "two"]


async def test_a_large_one_takes_the_place_of_several() -> None:
    several = Fixture(one=100, two=100, huge=240)
    first, second = several.loaded("one"), several.loaded("two")
    several.after(10)
    several.pool.want("huge")
    assert [several.model(each).ending for each in ("one", "two")] == [True, True]
    await several.ended(first)
    assert several.names == ["one", "two"]
    await several.ended(second)
    assert several.names[-1] == "huge"


async def test_a_model_that_is_wanted_while_it_ends_is_loaded_again(three: Fixture) -> None:
    host = three.loaded("one")
    assert three.pool.unload("one")
    assert not three.pool.unload("one")
    assert three.model("one").is_cold(three.now)
    three.pool.want("one")
    assert three.names == ["one"]
    await three.ended(host)
    assert three.names == ["one", "one"]


async def test_one_that_cannot_be_loaded_waits_longer_each_time(three: Fixture) -> None:
    waits = []
    for _ in range(3):
        three.pool.want("one")
        host = three.made[-1]
        host.fail()
        three.after(0.25)
        await three.ended(host)
        failed_at = three.now
        assert (three.model("one").failure, three.model("one").is_cold(three.now)) == ("damaged", False)
        three.pool.want("one")
        changes = three.changes
        while not three.model("one").is_cold(three.now):
            assert three.changes == changes
            three.after(0.25)
        assert three.changes > changes  # workers are told that it may be wanted
        waits.append(three.now - failed_at)
    assert waits == pytest.approx([5, 10, 20], abs=0.5)
    assert three.names == ["one"] * 3
    three.loaded("one")
    assert three.model("one").failure == ""


async def test_one_that_was_replaced_is_loaded_from_its_new_file(three: Fixture) -> None:
    host = three.loaded("one")
    three.pool.offer({"one": offer("other", 50)}, ())
    assert three.model("one").ending
    await three.ended(host)
    three.pool.want("one")
    assert (three.model("one").offer.first.files, three.model("one").need) == ("other", 50 * MIB)
    assert three.names == ["one", "one"]
    assert [each.name for each in three.pool.models] == ["one"]


async def test_contexts_are_what_fits_beside_the_models_that_stay() -> None:
    pool = Fixture().pool
    pool.offer({"kept": offer("kept", 10, 1000), "other": offer("other", 50, 10_000)}, ("kept",))
    windows = {each.name: each.window for each in pool.models}
    # Of 250 MiB, the one that stays takes 41.25, which leaves enough for two answers of the other one and not for four.
    assert windows["kept"][:2] == (8192, 4)
    assert windows["other"] == (8192, 2, 50 * MIB + 2 * 8192 * 10_000)


async def test_a_replaced_file_gets_contexts_of_its_own_once_its_host_has_ended() -> None:
    one = Fixture(one=100)
    host = one.loaded("one")
    one.pool.offer({"one": offer("another", 100, 10_000)}, ())
    assert one.model("one").window == (8192, 4, 100 * MIB)  # that of the host that is ending
    await one.ended(host)
    assert one.model("one").window[:2] == (8192, 1)


async def test_a_model_that_was_loaded_at_last_may_fail_again_with_a_short_wait(three: Fixture) -> None:
    async def failed() -> float:
        three.pool.want("one")
        host = three.made[-1]
        host.fail()
        three.after(0.25)
        await three.ended(host)
        return three.model("one").retry_at - three.now

    first, second = await failed(), (three.after(100), await failed())[1]
    assert second > first
    three.after(100)
    host = three.loaded("one")
    three.pool.unload("one")
    await three.ended(host)
    assert await failed() == first


async def test_a_model_whose_file_was_mended_need_not_wait(three: Fixture) -> None:
    """Even if it has the same name and contents, as after `weebill pull` of a damaged one."""
    three.pool.want("one")
    host = three.made[-1]
    host.fail()
    three.after(0.25)
    await three.ended(host)
    assert not three.model("one").is_cold(three.now)
    three.pool.offer({"one": offer("one", 100)}, ())
    assert three.model("one").is_cold(three.now)
    three.loaded("one")


async def test_a_model_that_shares_a_host_is_wanted_and_used_by_its_own_name(three: Fixture) -> None:
    base, adapted = offer("f", 100), offer("f", 100, 0, "a")
    three.pool.offer({"adapted": adapted, "base": base}, ())
    assert [each.name for each in three.pool.models] == ["base"]
    three.pool.want("adapted")
    host = three.made[-1]
    host.load()
    three.pool.advance()
    assert three.names == ["base"]
    assert three.model("base").need == 101 * MIB
    three.after(200)
    three.pool.in_use(["adapted"])
    three.after(200)
    assert not three.model("base").ending
    assert three.pool.unload("adapted")
    await three.ended(host)


@pytest.mark.parametrize("stays", [False, True])
async def test_the_first_request_for_a_new_adapter_has_the_host_started_again(three: Fixture, stays: bool) -> None:
    base, adapted = offer("f", 100), offer("f", 100, 0, "a")
    stay = ("base",) if stays else ()
    three.pool.offer({"base": base}, stay)
    if stays:
        three.pool.start()
        three.made[-1].load()
        host = three.made[-1]
    else:
        host = three.loaded("base")
    model = three.model("base")
    three.pool.offer({"base": base, "adapted": adapted}, stay)
    # Until it is wanted, nothing changes for others.
    assert (model.serves, model.lacks("base"), model.lacks("adapted")) == (True, False, True)
    three.pool.want("base")
    assert not model.ending
    three.pool.want("adapted")
    assert model.ending
    assert model.is_cold(three.now)  # requests for both wait
    three.after(3)
    three.pool.want("adapted")
    assert three.names == ["base"]  # never two copies
    await three.ended(host)
    assert three.names == ["base", "base"]
    assert model.is_cold(three.now)
    three.made[-1].load()
    three.pool.advance()
    assert (model.serves, model.lacks("adapted"), model.is_cold(three.now)) == (True, False, False)
    assert [each.sha256 for each in model.loaded.adapters] == ["a"]


async def test_a_host_that_stays_and_cannot_be_started_again_is_down(three: Fixture) -> None:
    base = offer("f", 100)
    three.pool.offer({"base": base}, ("base",))
    three.pool.start()
    host = three.made[-1]
    host.load()
    three.pool.offer({"base": base, "adapted": offer("f", 100, 0, "a")}, ("base",))
    three.pool.want("adapted")
    await three.ended(host)
    for _ in range(3):  # twice with the adapter, then without
        assert three.model("base").is_cold(three.now)
        three.model("base").boot()
        three.made[-1].fail()
        changes = three.changes
        three.after(0.25)
    assert three.changes > changes
    assert not three.model("base").is_cold(three.now)


async def test_one_file_is_not_loaded_under_a_new_name_before_the_old_one_has_ended(three: Fixture) -> None:
    host = three.loaded("one")
    three.pool.offer({"one": offer("other", 100)}, ())
    three.pool.offer({"one": offer("other", 100), "copy": offer("one", 100), "two": offer("two", 100)}, ())
    assert three.model("one").ending
    three.pool.want("copy")
    assert three.names == ["one"]
    three.after(1)
    three.pool.want("two")  # which has room, and need not wait for that
    assert three.names == ["one", "two"]
    await three.ended(host)
    three.after(0.25)
    assert three.names == ["one", "two", "copy"]


async def test_a_model_that_stays_is_what_its_host_has_loaded(three: Fixture) -> None:
    old, new = offer("one", 100), msgspec.structs.replace(offer("two", 100), task="embed")
    three.pool.offer({"kept": old}, ("kept",))
    three.pool.start()
    three.made[-1].load()
    three.pool.offer({"kept": new}, ("kept",))
    model = three.model("kept")
    assert (model.told("kept")[1], model.lacks("kept")) == (old, False)
    model.boot()  # in its next life
    assert model.told("kept")[1] == new


@pytest.mark.parametrize(("keep_s", "after"), [(0.0, 2), (20.0, 21), (1000.0, 1001)])
async def test_a_host_is_kept_as_long_as_was_asked(three: Fixture, keep_s: float, after: int) -> None:
    host = three.loaded("one")
    model = three.model("one")
    three.pool.in_use(["one"], [keep_s], "worker-0")
    assert three.pool.kept_s(model) == keep_s
    three.after(after - 1)
    assert not model.ending
    three.after(1)
    assert model.ending
    await three.ended(host)


async def test_one_that_is_kept_without_end_still_makes_room(three: Fixture) -> None:
    host = three.loaded("one")
    three.pool.in_use(["one"], [-1.0], "worker-0")
    three.after(100_000)
    assert not three.model("one").ending
    assert three.pool.kept_s(three.model("one")) is None
    three.loaded("two")
    three.pool.want("three")
    assert three.model("one").ending
    await three.ended(host)


async def test_the_longest_of_all_workers_counts(three: Fixture) -> None:
    host = three.loaded("one")
    three.pool.in_use(["one"], [-1.0], "worker-0")
    three.pool.in_use(["one"], [0.0], "worker-1")
    three.after(1000)
    assert not three.model("one").ending
    three.pool.in_use(["one"], [10.0], "worker-0")
    three.after(11)
    assert three.model("one").ending
    await three.ended(host)


async def test_a_model_of_a_new_file_is_not_asked_of_a_host_that_stays_with_the_old_one(three: Fixture) -> None:
    three.pool.offer({"kept": offer("one", 100)}, ("kept",))
    three.pool.start()
    host = three.made[-1]
    host.load()
    three.pool.offer({"kept": offer("two", 100), "adapted": offer("two", 100, 0, "a")}, ("kept",))
    model = three.model("kept")
    assert (model.lacks("kept"), model.lacks("adapted")) == (False, True)
    three.pool.want("adapted")
    assert model.ending
    await three.ended(host)
    assert (model.lacks("adapted"), model.loaded.first.files) == (False, "two")


async def test_the_old_file_of_a_host_that_stays_is_not_loaded_twice(three: Fixture) -> None:
    """For a model that was made of it and stays with it."""
    three.pool.offer({"kept": offer("old", 100), "made": offer("old", 100)}, ("kept",))
    three.pool.start()
    host = three.made[-1]
    host.load()
    three.pool.offer({"kept": offer("new", 100), "made": offer("old", 100)}, ("kept",))
    three.pool.want("made")
    assert (three.names, three.model("kept").ending) == (["kept"], True)
    await three.ended(host)
    assert three.names == ["kept", "kept", "made"]
    assert three.model("kept").loaded.first.files == "new"
