"""The names of a host come and go; the host stays."""

from __future__ import annotations

import pytest

from tests.supervisor.test_pool_choice import Fixture, offer


@pytest.fixture
def three() -> Fixture:
    return Fixture(one=100, two=100, three=100)


@pytest.mark.parametrize(
    "names",
    [
        # A copy, whose name is the first by now.
        ("copy", "one"),
        # The name that it was loaded by is gone.
        ("two",),
        # One that is not there when it is loaded.
        ("another",),
    ],
)
async def test_a_host_goes_on_whatever_its_models_are_called(names: tuple[str, ...]) -> None:
    pooled = Fixture()
    pooled.pool.offer({name: offer("f", 100) for name in ("one", "two")}, ())
    pooled.loaded("one")
    pooled.pool.offer({name: offer("f", 100) for name in names}, ())
    [model] = pooled.pool.models
    assert (model.name, model.key, model.serves) == (names[0], "one", True)
    for name in names:
        pooled.pool.want(name)
        assert not model.lacks(name)
        assert model.told(name)[1] == offer("f", 100)
    pooled.after(10)
    assert (model.serves, pooled.names) == (True, ["one"])


async def test_a_name_whose_file_is_another_one_leaves_its_host_to_the_others() -> None:
    pooled = Fixture()
    pooled.pool.offer({name: offer("f", 100) for name in ("one", "two")}, ())
    host = pooled.loaded("one")
    pooled.pool.offer({"one": offer("g", 100), "two": offer("f", 100)}, ())
    assert {each.name: (each.key, each.serves) for each in pooled.pool.models} == {
        "one": ("one (2)", False),
        "two": ("one", True),
    }
    pooled.pool.want("one")
    pooled.made[-1].load()
    pooled.pool.advance()
    assert [each.serves for each in pooled.pool.models] == [True, True]
    pooled.pool.offer({"one": offer("g", 100)}, ())
    await pooled.ended(host)
    assert [each.key for each in pooled.pool.models] == ["one (2)"]


async def test_a_name_that_is_gone_keeps_no_host(three: Fixture) -> None:
    names = {"one": offer("f", 100), "two": offer("f", 100)}
    three.pool.offer(names, ())
    host = three.loaded("one")
    three.pool.in_use(["one", "two"], [-1.0, 10.0], "worker-0")
    [model] = three.pool.models
    assert three.pool.kept_s(model) is None
    three.pool.offer({"two": names["two"]}, ())
    assert three.pool.kept_s(model) == 10
    three.after(11)
    assert model.ending
    await three.ended(host)


async def test_a_worker_that_has_ended_keeps_no_host(three: Fixture) -> None:
    host = three.loaded("one")
    three.pool.in_use(["one"], [-1.0], "worker-0")
    three.pool.in_use(["one"], [10.0], "worker-1")
    three.pool.forget("worker-0")
    three.after(11)
    assert three.model("one").ending
    await three.ended(host)
