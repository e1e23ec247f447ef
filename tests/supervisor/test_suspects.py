"""Adapters that keep a host from starting: their names are down, all others of the host go on."""

from __future__ import annotations

import pytest

from tests.supervisor.test_pool_choice import Fixture, Host, offer
from weebill.engine.role import EngineReady
from weebill.models.store import ServedModel
from weebill.process.messages import Ready, own
from weebill.supervisor.engine_states import state_of, statuses_of
from weebill.supervisor.pooled_model import PooledModel


class Shared(Fixture):
    """A pool with one file, `base`, and models of it with these adapters, some of which no host loads."""

    def __init__(self, broken: str, /, **adapters: str) -> None:
        super().__init__()
        self.broken = frozenset(broken)
        self.members = {"base": offer("f", 100), **{name: adapted(*each.split()) for name, each in adapters.items()}}
        self.pool.offer(self.members, ())

    @property
    def shared(self) -> PooledModel:
        [found] = self.pool.models
        return found

    def lives(self, host: Host) -> bool:
        """Has a host live once, as its process would; returns True if it serves."""
        if {each.sha256 for each in self.shared.boot().adapters} & self.broken:
            host.fail()
        else:
            host.load()
            host.ready = Ready(own=own(EngineReady(base_url="http://127.0.0.1:1", context=8192)))
        self.pool.advance()
        return host.ready is not None

    async def ask(self, name: str) -> bool:
        """Has a request wait for a name, until it is served or down; returns True if it is served."""
        for _ in range(12):
            state = state_of(self.shared, name, "", self.now)
            if not state.cold:
                return state.base_url is not None
            self.pool.want(name)
            if self.shared.ending:
                await self.ended(self.made[-1])
            elif self.made and self.shared.host is not None and self.made[-1].ready is None:
                self.lives(self.made[-1])
        raise AssertionError(f"{name} is neither served nor down")


def adapted(*adapters: str) -> ServedModel:
    return offer("f", 100, 0, *adapters)


@pytest.mark.parametrize("first", ["base", "good", "bad"])
async def test_one_that_no_host_loads_is_down_alone(first: str) -> None:
    pooled = Shared("x", good="y", bad="x")
    await pooled.ask(first)
    assert [await pooled.ask(name) for name in ("bad", "base", "good", "bad")] == [False, True, True, False]
    # Nobody disturbs the others by asking for it.
    host, hosts = pooled.shared.host, len(pooled.made)
    pooled.pool.want("bad")
    assert (pooled.shared.host, pooled.shared.ending, len(pooled.made)) == (host, False, hosts)
    [served, down] = statuses_of(pooled.shared, pooled.now, None)
    assert (served.names, served.failure) == (("base", "good"), "")
    assert (down.name, down.state, down.need) == ("bad", "down", 0)
    assert "adapter x, as the log says" in down.failure


async def test_of_several_each_is_found_by_itself() -> None:
    pooled = Shared("xz", one="x", two="y", both="x y", three="z")
    found = {name: await pooled.ask(name) for name in ("base", "both", "one", "two", "three", "base")}
    assert found == {"base": True, "both": False, "one": False, "two": True, "three": False}
    # One that hosts were ready with is not doubted later.
    assert await pooled.ask("two")


async def test_what_is_offered_anew_gets_another_chance() -> None:
    pooled = Shared("x", bad="x")
    assert not await pooled.ask("bad")
    assert await pooled.ask("base")
    pooled.broken = frozenset()
    pooled.pool.offer(pooled.members, ())
    assert await pooled.ask("bad")


async def test_a_host_that_fails_once_is_started_again_with_all() -> None:
    pooled = Shared("", one="x")
    pooled.pool.want("one")
    [host] = pooled.made
    host.fail()
    pooled.pool.advance()
    assert not pooled.shared.ending
    assert pooled.lives(host)
    assert await pooled.ask("one")


async def test_a_file_that_cannot_be_loaded_is_not_the_fault_of_its_adapters() -> None:
    pooled = Shared("x", one="x")
    pooled.pool.want("base")
    [host] = pooled.made
    for _ in range(3):
        pooled.shared.boot()
        host.fail()
        pooled.pool.advance()
    assert (pooled.shared.failure, pooled.shared.ending) == ("damaged", True)
    assert not pooled.shared.is_at_fault("one")
    await pooled.ended(host)


async def test_models_whose_names_all_have_an_adapter_fail_as_others_do() -> None:
    pooled = Fixture()
    pooled.pool.offer({"one": adapted("x")}, ())
    pooled.pool.want("one")
    [host] = pooled.made
    host.fail()
    pooled.pool.advance()
    assert pooled.model("one").failure == "damaged"
    await pooled.ended(host)
