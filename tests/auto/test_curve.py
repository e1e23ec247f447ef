"""The curve over all thresholds: its ends, its order, and that its intervals cover what is true."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from weebill.auto.curve import Costs, curve, tradeoff, weigh
from weebill.auto.evidence import FEWEST, Audits, effective, recency
from weebill.auto.intervals import Interval
from weebill.auto.learning import Pair
from weebill.auto.standing import Standing
from weebill.auto.tradeoff import MOST_POINTS, Point, sentence
from weebill.config.auto import TargetSettings

Floats = NDArray[np.float64]


def audits(small: object, probability: object = 1.0) -> Audits:
    """Audits of which the large tier is always right."""
    scores = np.asarray(small, float)
    chances = np.broadcast_to(np.asarray(probability, float), scores.shape)
    return Audits(scores, np.ones(len(scores)), np.zeros(len(scores), bool), chances)


def costs(count: int, small: float = 6, large: float = 100) -> Costs:
    return Costs(np.full(count, small), np.full(count, large))


def points(gains: object, scores: Audits, prices: Costs | None = None, at: list[float] | None = None) -> list[Point]:
    """The curve where all audits are new."""
    count = len(scores.small)
    return list(curve(np.asarray(gains, float), scores, np.ones(count), prices or costs(count), at))


def interval(point: Point) -> Interval:
    assert point.quality is not None
    return point.quality


def spend(point: Point) -> float:
    assert point.spend is not None
    return point.spend


@st.composite
def traffic(draw: st.DrawFn) -> tuple[Floats, Audits, Floats, Costs]:
    """Audits of any scores, with any probabilities, ages and prices, of which the small tier's are not above."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(3 * FEWEST, 200))
    gains = np.round(rng.random(count), draw(st.integers(1, 6)))  # some are equal
    large = np.maximum(rng.integers(0, 3, count) / 2, np.arange(count) == 0)
    scores = Audits(rng.integers(0, 3, count) / 2, large, np.zeros(count, bool), rng.uniform(0.3, 1, count))
    prices = rng.lognormal(0, 1, count)
    return gains, scores, recency(np.arange(count)[::-1].astype(float)), Costs(prices * rng.random(count), prices)


@given(traffic())
def test_it_goes_from_the_large_tier_alone_to_the_small_tier_alone(drawn: tuple[Floats, Audits, Floats, Costs]) -> None:
    gains, scores, weights, prices = drawn
    found = curve(gains, scores, weights, prices)
    assert 2 <= len(found) <= MOST_POINTS
    assert (found[0].large_share, found[0].spend, found[0].quality) == (1.0, 1.0, (1.0, 1.0, 1.0))
    assert found[-1].large_share == pytest.approx(0, abs=1e-9)
    assert found[-1].threshold is None
    counts = weigh(scores, weights)
    alone = float(counts @ scores.small) / float(counts @ scores.large)
    assert interval(found[-1]).value == pytest.approx(alone)
    for one, other in pairwise(found):
        assert other.large_share < one.large_share
        assert spend(other) <= spend(one) + 1e-9
    for value, low, high in map(interval, found):
        assert 0 <= low <= value + 1e-9
        assert value <= high + 1e-9


def test_a_small_tier_that_is_as_good_keeps_everything() -> None:
    found = points(np.linspace(0, 1, 100), audits([1] * 100))
    assert {interval(each).value for each in found} == {1.0}
    assert interval(found[-1]).low == pytest.approx(0.96, abs=0.01)  # among a hundred, there may be some losses
    assert spend(found[-1]) == pytest.approx(0.06)


def test_equal_gains_go_together() -> None:
    found = points([0.2] * 50 + [0.7] * 50, audits([1] * 50 + [0] * 50))
    assert [each.threshold for each in found] == [0.2, 0.7, None]
    assert [each.large_share for each in found] == pytest.approx([1.0, 0.5, 0.0])
    assert [interval(each).value for each in found] == pytest.approx([1.0, 1.0, 0.5])


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_few_audits_say_nothing(count: int) -> None:
    assert not points(np.zeros(count), audits([1] * count))


def test_old_audits_say_little() -> None:
    weights = np.exp(-np.arange(200) / 5)
    assert effective(weights) < FEWEST
    assert not curve(np.zeros(200), audits([1] * 200), weights, costs(200))


def test_an_audit_counts_for_as_many_requests_as_its_probability_says() -> None:
    """Half of the audits are of the tenth of the requests that were all audited, and lost."""
    scores = audits([0] * 100 + [1] * 100, [1.0] * 100 + [1 / 9] * 100)
    [_, alone] = points([0.5] * 200, scores)
    assert interval(alone).value == pytest.approx(0.9)


def test_without_prices_there_is_no_spend() -> None:
    nothing = Costs(np.full(50, np.nan), np.full(50, 100.0))
    assert {each.spend for each in points(np.linspace(0, 1, 50), audits([1] * 50), nothing)} == {None}


def test_prices_of_some_are_those_of_all() -> None:
    some = Costs(np.where(np.arange(90) % 3 == 0, 20.0, np.nan), np.full(90, 100.0))
    found = points(np.linspace(0, 1, 90), audits([1] * 90), some)
    assert spend(found[-1]) == pytest.approx(0.2)


@pytest.mark.parametrize(("fresh", "rate"), [(100, 0.2), (100, 0.8), (1500, 0.2)])
def test_the_intervals_cover_the_truth(fresh: int, rate: float) -> None:
    """In 95 of 100 cases, and as fewer and fewer requests are audited: some tell much more than others."""
    rng = np.random.default_rng(17)
    thresholds = [0.3, 0.6, 0.9, 2.0]
    truth = [1 - rate * min(1, each) ** 2 / 2 for each in thresholds]
    covered = np.zeros(len(thresholds))
    for _ in range(400):
        chances = np.where(np.arange(fresh) < 100, 1.0, np.minimum(1.0, 2.5 / np.sqrt(np.arange(fresh) + 1)))
        drawn = np.flatnonzero(rng.random(fresh) < chances)
        gains = rng.random(len(drawn))
        scores = audits(rng.random(len(drawn)) >= rate * gains, chances[drawn])
        ages = (fresh - 1 - drawn).astype(float)
        found = curve(gains, scores, recency(ages), costs(len(drawn)), thresholds)
        covered += [low <= true <= high for true, (_, low, high) in zip(truth, map(interval, found), strict=True)]
    assert covered.min() >= 0.93 * 400


def standing(**more: object) -> Standing:
    fields = {
        "pair": Pair("s/small", "l/large", "place-1"), "target": "", "decisions": 400, "newest": 400, "audits": 100,
        "unjudged": 0, "fewest": FEWEST, "quality": Interval(0.9, 0.8, 1.0), "large_share": 0.7, "spend": 0.8,
        "audits_spend": 0.1, "ratings": 0, "mean_rating": None, "threshold": None,
    }  # fmt: skip
    return Standing(**(fields | more))  # type: ignore[arg-type]


GAINS = np.linspace(0.1, 0.9, 100)


def test_the_present_threshold_is_one_of_the_points() -> None:
    scores = audits(GAINS < 0.5)
    found = tradeoff(standing(), TargetSettings(quality=0.9), GAINS, scores, np.ones(100), costs(100), 0.5)
    assert found.present in found.points
    assert len(found.points) <= MOST_POINTS
    assert found.present is not None
    assert (found.present.threshold, found.present.large_share) == pytest.approx((0.5, 0.5))
    assert (found.kept.large_share, found.kept.spend) == pytest.approx((0.7, 0.7))
    expected = "at the threshold, 50% of requests for the large model: 1.000 of its quality (0.9"
    assert sentence(found).startswith(expected)
    assert sentence(found).endswith(", 53% of its spend")


def test_where_no_threshold_keeps_the_target_the_large_tier_is_alone() -> None:
    scores = audits(GAINS < 0)
    found = tradeoff(standing(), TargetSettings(quality=0.9), GAINS, scores, np.ones(100), costs(100), -np.inf)
    assert found.present == found.points[0]
    assert found.present.large_share == 1


def test_other_targets_have_no_present_threshold() -> None:
    scores = audits(GAINS < 0.5)
    found = tradeoff(standing(), TargetSettings(share=0.5), GAINS, scores, np.ones(100), costs(100), 0.5)
    assert (found.present, found.target, found.value) == (None, "share", 0.5)
    assert sentence(found) == (
        "so far, 70% of requests for the large model: 0.900 of its quality (0.800 to 1.000), 70% of its spend"
    )


@pytest.mark.parametrize(
    ("count", "age", "why"),
    [
        (1, 0.0, "1 audit of at least 20"),
        (100, 0.25, "100 audits that weigh as much as 8 new ones, of at least 20"),
    ],
)
def test_what_is_not_known_is_said(count: int, age: float, why: str) -> None:
    weights = np.exp(-np.arange(count) * age)
    found = tradeoff(
        standing(audits=count), TargetSettings(), np.zeros(count), audits([1] * count), weights, costs(count), -np.inf
    )
    assert (found.points, found.present) == ((), None)
    assert sentence(found) == f"the curve is not yet known ({why})"
