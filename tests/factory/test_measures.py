"""The published figures on cases that can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.factory.measures import MeasureError, Measures, apgr, curve, measure

WEAK = np.array([0.0, 0, 1, 1])
STRONG = np.array([1.0, 1, 1, 1])


def test_the_best_order():
    # Half the gap after one row of four, all after two: 1/4 * (1/4 + 3/4 + 1 + 1).
    gain = np.array([4.0, 3, 2, 1])
    assert curve(gain, WEAK, STRONG).tolist() == [0.5, 0.75, 1, 1, 1]
    assert apgr(gain, WEAK, STRONG) == pytest.approx(0.75)
    found = measure(gain, WEAK, STRONG)
    assert (found.cpt50.value, found.cpt80.value) == (0.25, 0.5)


def test_the_worst_order():
    gain = np.array([1.0, 2, 3, 4])
    assert apgr(gain, WEAK, STRONG) == pytest.approx(0.25)
    assert measure(gain, WEAK, STRONG).cpt50.value == 0.75


def test_no_order_is_worth_what_chance_is():
    assert apgr(np.zeros(4), WEAK, STRONG) == pytest.approx(0.5)
    assert measure(np.zeros(4), WEAK, STRONG).cpt80.value == 1.0


def test_harm_counts():
    # The strong model loses the last row: the curve is above the strong model's level before it.
    weak, strong = np.array([0.0, 0, 1]), np.array([1.0, 1, 0])
    assert apgr(np.array([3.0, 2, 1]), weak, strong) == pytest.approx((0.5 + 1.5 + 1.5) / 3)


def test_without_a_gap_there_is_no_figure():
    with pytest.raises(MeasureError, match="no gap"):
        apgr(np.arange(4.0), STRONG, WEAK)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_the_order_of_rows_and_the_scale_of_gains_do_not_matter(rows):
    gain, weak, strong = (np.array(column, float) for column in zip(*rows, strict=True))
    if strong.sum() <= weak.sum():
        with pytest.raises(MeasureError):
            apgr(gain, weak, strong)
        return
    value = apgr(gain, weak, strong)
    turned = np.arange(len(gain))[::-1]
    assert apgr(gain[turned], weak[turned], strong[turned]) == pytest.approx(value)
    assert apgr(np.exp(gain) + 7, weak, strong) == pytest.approx(value)
    assert apgr(-gain, weak, strong) == pytest.approx(1 - value)


def test_intervals_hold_the_value_and_narrow_with_rows():
    generator = np.random.default_rng(0)

    def on(count):
        gain = generator.random(count)
        weak = (generator.random(count) > gain).astype(float)
        return measure(gain, weak, np.ones(count)).apgr

    few, many = on(200), on(20_000)
    for each in (few, many):
        assert each.low < each.value < each.high
        assert each.low < 2 / 3 < each.high  # the area under 1 - (1 - x)^2
    assert many.high - many.low < (few.high - few.low) / 5


def test_the_mean_of_measures():
    one = measure(np.array([4.0, 3, 2, 1]), WEAK, STRONG)
    other = measure(np.array([1.0, 2, 3, 4]), WEAK, STRONG)
    mean = Measures.mean([one, other])
    assert (mean.rows, mean.apgr.value, mean.cpt50.value) == (8, pytest.approx(0.5), 0.5)
