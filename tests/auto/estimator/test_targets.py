"""Thresholds: small cases by hand, properties by hypothesis, and the controller under drift."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.auto.estimator.targets import (
    NONE_TO_LARGE,
    Controller,
    ObservedAnswer,
    Quality,
    Recorded,
    Share,
    Spend,
    TargetError,
    calibrate,
    settings,
)

# The large tier helps with the first two and harms the last.
FOUR = Recorded(
    gain=np.array([0.9, 0.6, 0.6, 0.1]),
    compact=np.array([0.0, 0.0, 1.0, 1.0]),
    large=np.array([1.0, 1.0, 1.0, 0.0]),
    compact_cost_nano=np.full(4, 10.0),
    large_cost_nano=np.full(4, 110.0),
)


def test_settings_are_all_that_the_gains_tell_apart():
    seen = [(each.threshold, each.share, each.quality, each.nano_per_request) for each in settings(FOUR)]
    assert seen == [
        (NONE_TO_LARGE, 0, 0.5, 10),
        (0.9, 0.25, 0.75, 35),
        (0.6, 0.75, 1.0, 85),
        (0.1, 1.0, 0.75, 110),
    ]


@pytest.mark.parametrize(
    ("target", "threshold"),
    [
        (Share(0), NONE_TO_LARGE),
        (Share(0.3), 0.9),
        (Share(0.74), 0.9),
        (Share(0.75), 0.6),
        (Share(1), 0.1),
        (Spend(34), NONE_TO_LARGE),
        (Spend(35), 0.9),
        (Spend(1000), 0.6),  # all that it buys; more would cost quality
        (Quality(0), NONE_TO_LARGE),
        (Quality(1), 0.9),  # the large tier alone reaches 0.75
    ],
)
def test_calibration_by_hand(target, threshold):
    assert calibrate(target, FOUR).threshold == threshold


def test_a_budget_below_the_cheapest_is_refused():
    with pytest.raises(TargetError, match="the least that these requests cost is 10"):
        calibrate(Spend(9), FOUR)


@pytest.mark.parametrize("make", [lambda: Share(1.1), lambda: Share(-0.1), lambda: Quality(2), lambda: Spend(0)])
def test_a_target_that_makes_no_sense_is_refused(make):
    with pytest.raises(TargetError):
        make()


def test_recorded_traffic_must_be_complete():
    none = np.array([])
    with pytest.raises(TargetError):
        Recorded(none, none, none, none, none)
    with pytest.raises(TargetError):
        Recorded(np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(1))


unit = st.floats(0, 1, allow_nan=False)
traffic = st.lists(st.tuples(unit, unit, unit, st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=40)


def recorded(rows) -> Recorded:
    return Recorded(*(np.array(column, float) for column in zip(*rows, strict=True)))


@given(traffic, unit)
def test_a_setting_does_what_it_says(rows, share):
    of = recorded(rows)
    setting = calibrate(Share(share), of)
    sent = of.gain >= setting.threshold
    assert sent.mean() == pytest.approx(setting.share)
    assert setting.share <= share + 1e-9
    assert np.where(sent, of.large, of.compact).mean() == pytest.approx(setting.quality, abs=1e-9)
    assert np.where(sent, of.large_cost_nano, of.compact_cost_nano).mean() == pytest.approx(setting.nano_per_request)


@given(traffic, unit)
def test_quality_is_kept_with_the_least_share(rows, fraction):
    of = recorded(rows)
    wanted = fraction * of.large.mean()
    setting = calibrate(Quality(fraction), of)
    assert setting.quality >= wanted - 1e-9
    assert all(each.quality < wanted + 1e-9 for each in settings(of) if each.share < setting.share)


def drifting(count: int, seed: int):
    """Gains whose distribution moves from one end to the other, with cliffs and ties on the way."""
    chance = random.Random(seed)
    for at in range(count):
        phase = at * 4 // count
        yield (chance.random() * 0.3, 0.5, 0.7 + chance.random() * 0.3, chance.random())[phase]


@given(unit, unit, st.integers(0, 1000))
def test_the_share_is_held_within_its_bound_whatever_the_traffic(share, start, seed):
    controller, sent, count = Controller(Share(share), start), 0, 2000
    for gain in drifting(count, seed):
        large = controller.sends_to_large(gain)
        sent += large
        controller = controller.after(ObservedAnswer(large, 1, 1, 0))
    assert abs(sent / count - share) <= (1 + 2 * controller.rate) / (controller.rate * count)


def test_the_budget_is_held_under_drift():
    chance, spent, count = random.Random(1), 0, 40_000
    controller = Controller(Spend(300), 0.5)
    for gain in drifting(count, 2):
        large = controller.sends_to_large(gain)
        cost = chance.randint(800, 1200) if large else chance.randint(80, 120)
        spent += cost
        controller = controller.after(ObservedAnswer(large, 1, 1, cost))
    assert spent / count == pytest.approx(300, rel=0.03)


def test_the_quality_is_held_under_drift():
    count, got, best = 40_000, 0.0, 0.0
    controller = Controller(Quality(0.95), 0.5)
    for gain in drifting(count, 3):
        large = controller.sends_to_large(gain)
        quality = 0.9 if large else 0.9 - 0.4 * gain
        got, best = got + quality, best + 0.9
        controller = controller.after(ObservedAnswer(large, quality, 0.9, 0))
    assert got / best == pytest.approx(0.95, abs=0.01)


@given(st.lists(st.tuples(st.booleans(), unit, unit, st.integers(0, 10**15)), max_size=200))
def test_the_threshold_stays_bounded(answers):
    for target in (Share(0.5), Quality(0.9), Spend(1)):
        controller = Controller(target, 0.5)
        for large, quality, best, cost in answers:
            controller = controller.after(ObservedAnswer(large, quality, best, cost))
            assert -0.1 <= controller.threshold <= 1.1
