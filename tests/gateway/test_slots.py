"""The slots of a local model: none is lost, none given twice, and no key has more than its share while others ask."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from weebill.gateway import slots as module
from weebill.gateway.slots import SlotQueue
from weebill.transport.errors import PoolFull, unsent


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def asked(places: SlotQueue, keys: str, count: int = 1) -> list[asyncio.Task[int]]:
    """A request by each of these keys, in their order."""
    tasks = [asyncio.create_task(places.take(key, count)) for key in keys]
    await settled()
    return tasks


def served(tasks: list[asyncio.Task[int]]) -> int:
    return sum(task.done() for task in tasks)


@contextmanager
def no_time_passing() -> Iterator[None]:
    """For what is to be seen before the time is over, however long the machine takes to show it."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: now)
        yield


async def leave(*tasks: asyncio.Task[int]) -> None:
    for task in tasks:
        task.cancel()
    await settled()


@pytest.mark.parametrize(
    ("asking", "begun"),
    [
        ("aaaaaa", "aaaa"),
        # The share of one that has only just come is free from the next end on.
        ("aaaaab", "aaaa"),
        ("baaaaa", "baa"),
        ("bbaaaa", "bbaa"),
        ("cbaaaa", "cbaa"),
        ("dcbaaa", "dcba"),
        ("edcbaa", "edcb"),
    ],
)
async def test_each_key_has_its_share(asking: str, begun: str) -> None:
    places = SlotQueue(4, 64)
    tasks = await asked(places, asking)
    assert "".join(key for key, task in zip(asking, tasks, strict=True) if task.done()) == begun
    assert places.waiting == len(asking) - len(begun)
    await leave(*tasks)
    for key in begun:
        places.give_back(key, 1)
    assert places.idle
    assert places.waiting == 0


async def test_what_comes_free_goes_to_who_holds_least() -> None:
    places = SlotQueue(4, 64)
    hostile = await asked(places, "aaaaaaaa")
    ordinary = await asked(places, "bb")
    places.give_back("a", 1)
    await settled()
    assert [task.done() for task in ordinary] == [True, False]
    places.give_back("a", 1)
    await settled()
    assert all(task.done() for task in ordinary)
    # While it is about to ask again, its share is kept for it.
    places.give_back("b", 1)
    await settled()
    assert served(hostile) == 4
    assert served(await asked(places, "b")) == 1
    await leave(*hostile)


async def test_a_share_is_kept_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RECENT_S", 0.05)
    places = SlotQueue(2, 64)
    with no_time_passing():
        [once] = await asked(places, "b")
        places.give_back("b", await once)
        tasks = await asked(places, "aa")
        assert served(tasks) == 1
    # Nothing else happens meanwhile.
    assert await asyncio.wait_for(tasks[1], 60) == 1


async def test_those_of_equal_rights_take_turns() -> None:
    places = SlotQueue(1, 64)
    tasks = await asked(places, "abcab")
    for at, key in enumerate("abcab"):
        # One after another: each key's first before the second of any.
        assert served(tasks) == at + 1
        assert tasks[at].done()
        places.give_back(key, 1)
        await settled()
    assert places.idle


@pytest.mark.parametrize("handed", [False, True])
async def test_who_leaves_takes_no_slot_along(handed: bool) -> None:
    places = SlotQueue(1, 64)
    await asked(places, "a")
    [leaving, staying] = await asked(places, "bc")
    if handed:
        # Both in one turn of the loop: it has been given the slot, and does not know it yet.
        places.give_back("a", 1)
        leaving.cancel()
    else:
        leaving.cancel()
        places.give_back("a", 1)
    with pytest.raises(asyncio.CancelledError) as left:
        await leaving
    assert unsent(left.value)
    assert await asyncio.wait_for(staying, 60) == 1
    places.give_back("c", 1)
    assert places.idle


async def test_what_is_worked_on_in_several_slots_counts_as_several() -> None:
    places = SlotQueue(4, 64)
    [two] = await asked(places, "a", count=2)
    assert await two == 2
    [all_of_them] = await asked(places, "a", count=9)
    [one] = await asked(places, "b")
    # What would take all of the slots waits until nobody else has asked of late, and keeps nobody else.
    assert one.done()
    assert not all_of_them.done()
    places.give_back("a", 2)
    places.give_back("b", 1)
    await settled()
    assert not all_of_them.done()
    # Two that want all wait for each other alone.
    [other] = await asked(places, "b", count=9)
    assert await asyncio.wait_for(all_of_them, 60) == 4
    assert not other.done()
    await leave(other)
    places.give_back("a", 4)
    assert places.idle


async def test_what_takes_all_is_next_once_it_has_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often others ask meanwhile, one after another."""
    monkeypatch.setattr(module, "_OVERDUE_S", 0.05)
    places = SlotQueue(4, 64)
    [one] = await asked(places, "b")
    [all_of_them] = await asked(places, "a", count=9)
    while not all_of_them.done():
        [more] = await asked(places, "b")
        places.give_back("b", await one)
        await asyncio.sleep(0.01)
        if not more.done():  # it waits for the one that is next
            await asyncio.wait_for(all_of_them, 60)
        one = more
    assert not one.done()
    places.give_back("a", await all_of_them)
    assert await asyncio.wait_for(one, 60) == 1


async def test_what_takes_all_is_next_though_nothing_else_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OVERDUE_S", 0.05)
    places = SlotQueue(4, 64)
    with no_time_passing():
        [once] = await asked(places, "b")
        places.give_back("b", await once)
        [all_of_them] = await asked(places, "a", count=9)
        assert not all_of_them.done()
    assert await asyncio.wait_for(all_of_them, 60) == 4


@pytest.mark.parametrize(
    ("most", "asking", "kept"),
    # The first of each has its slot, and waits for nothing.
    [(1, "aaab", 1), (4, "aaaaaaa", 2), (4, "aaaaab", 3), (9, "aaaaaaaaaaaabbbbbbbb", 7), (64, "a" * 70, 32)],
)
async def test_no_key_fills_the_queue(most: int, asking: str, kept: int) -> None:
    places = SlotQueue(1, most)
    await asked(places, "x")
    tasks = await asked(places, asking)
    refused = [task for task in tasks if task.done()]
    assert places.waiting == kept
    assert len(tasks) - len(refused) == kept
    for task in refused:
        assert isinstance(task.exception(), PoolFull)
    # Others can wait, too, where there is room for more than one.
    [late] = await asked(places, "z")
    assert late.done() == (kept == most)
    await leave(*[task for task in [*tasks, late] if not task.done()])
    places.give_back("x", 1)
    assert places.idle


async def test_a_free_slot_is_given_however_many_wait() -> None:
    places = SlotQueue(2, 1)
    await asked(places, "ba")
    tasks = await asked(places, "ca")
    assert [task.done() for task in tasks] == [False, True]
    places.give_back("b", 1)
    await settled()
    assert served(tasks) == 2
    await leave(*tasks)


async def test_other_adapters_are_next_once_all_slots_are_free() -> None:
    places = SlotQueue(4, 64)
    await asked(places, "aa")
    other = asyncio.create_task(places.take("b", 1, "lora"))
    await settled()
    [late] = await asked(places, "a")
    assert not other.done()
    assert not late.done()  # else `other` might wait without end
    places.give_back("a", 1)
    await settled()
    assert not other.done()
    places.give_back("a", 1)
    await settled()
    assert other.done()
    assert not late.done()
    alike = asyncio.create_task(places.take("c", 1, "lora"))
    await settled()
    assert not alike.done()  # `late` has waited for longer
    places.give_back("b", 1)
    await settled()
    assert late.done()
    places.give_back("a", 1)
    await settled()
    assert alike.done()
    places.give_back("c", 1)
    assert places.idle


async def test_answers_with_the_same_adapters_are_worked_on_at_once() -> None:
    places = SlotQueue(4, 64)
    tasks = [asyncio.create_task(places.take("a", 1, "lora")) for _ in range(5)]
    await settled()
    assert served(tasks) == 4
    await leave(tasks[4])
