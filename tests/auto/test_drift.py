"""A change of the small model's answers is noticed by their signs."""

from __future__ import annotations

import random
from itertools import count

import pytest

from weebill.auto.drift import FIRST, LIMIT, Watch


def after(watch: Watch, rng: random.Random, shift: float, deviation: float = 1.0) -> int:
    """The answers until the alarm, whose first sign is shifted."""
    for number in count(1):
        signs = [rng.gauss(shift, deviation), *(rng.gauss(0, 1) for _ in range(3))]
        if watch.add(signs):
            return number
    raise AssertionError


def told(watch: Watch, rng: random.Random, answers: int) -> int:
    """The alarms among answers that are as they were."""
    return sum(watch.add([rng.gauss(0, 1) for _ in range(4)]) for _ in range(answers))


def test_false_alarms_are_seldom() -> None:
    assert told(Watch(), random.Random(3), 20_000) <= 10


@pytest.mark.parametrize(("shift", "within"), [(-0.7, 120), (0.7, 120), (-1.5, 40)])
def test_a_change_is_noticed_within_some_dozens_of_answers(shift: float, within: int) -> None:
    noticed = []
    for seed in range(20):
        rng, watch = random.Random(seed), Watch()
        told(watch, rng, 2 * FIRST)
        noticed.append(after(watch, rng, shift))
    assert sorted(noticed)[17] <= within


def test_after_an_alarm_what_is_new_is_usual() -> None:
    rng, watch = random.Random(1), Watch()
    told(watch, rng, FIRST)
    after(watch, rng, -3.0)
    assert not any(watch.add([rng.gauss(-3.0, 1), 0.0, 0.0, 0.0]) for _ in range(5 * FIRST))


def test_one_strange_answer_is_no_change() -> None:
    watch = Watch()
    assert not any(watch.add([0.0]) for _ in range(FIRST))
    assert not watch.add([-1e9])
    assert not any(watch.add([0.0]) for _ in range(1000))
    assert any(watch.add([-1.0]) for _ in range(int(LIMIT)))


def mixed(watch: Watch, rng: random.Random, answers: int, shift: float, *keys: str) -> int:
    """The alarms among answers to these keys in turn."""
    return sum(watch.add([rng.gauss(shift, 1), rng.gauss(0, 1)], keys[at % len(keys)]) for at in range(answers))


def test_no_minor_key_raises_an_alarm() -> None:
    """Again and again, it gets what answers it wants, and others get what they always did."""
    rng, watch = random.Random(2), Watch()
    mixed(watch, rng, FIRST, 0.0, "many", "more")
    alarms = 0
    for _ in range(20):
        alarms += sum(watch.add([-1e9, -1e9], "hostile") for _ in range(25))
        alarms += mixed(watch, rng, 100, 0.0, "many", "more")
    assert alarms == 0


@pytest.mark.parametrize("keys", [1, 2, 5, 100])
def test_a_change_is_noticed_whoever_asks(keys: int) -> None:
    rng, watch, names = random.Random(5), Watch(), [str(each) for each in range(keys)]
    mixed(watch, rng, 2 * FIRST, 0.0, *names)
    assert mixed(watch, rng, 100, -1.5, *names) == 1
