"""The trust in an answer: the verifier before and after it, the gains that follow, and how audits fit it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.auto.trust import TRIED, Expectations, Verifier, fitted, gains, packaged

SEEN = Verifier((-1.0, 0.0), (0.5, 1.0), (1.0, 0.5), offset=0.2, reach=0.4)
CHANCES = st.floats(0.02, 0.98)
SIGNS = st.tuples(st.floats(-5, 0), st.floats(-5, 5))


def odds(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


@given(CHANCES, SIGNS)
def test_the_log_odds_move_by_the_weighed_signs(small: float, signs: tuple[float, float]) -> None:
    units = [max(-4.0, min(4.0, each)) for each in ((signs[0] + 1) / 0.5, signs[1])]
    shift = 0.2 + 1.0 * units[0] + 0.5 * units[1]
    assert SEEN.shift(signs) == pytest.approx(shift)
    assert odds(SEEN.after(small, signs)) == pytest.approx(odds(small) + shift, abs=1e-6)
    assert SEEN.after(small, None) == small
    assert odds(SEEN.before(small)) == pytest.approx(odds(small) + 0.4)


@given(st.floats(-10, 10), st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)))
def test_no_estimate_and_no_signs_break_it(small: float, signs: tuple[float, float]) -> None:
    assert 0 <= SEEN.after(small, signs) <= 1


def test_a_gain_is_that_at_which_either_would_send_the_request_on() -> None:
    expected = Expectations(np.array([0.5, 0.5, 0.5]), np.array([0.9, 0.8, 0.6]), np.array([0.1, 0.1, 0.2]))
    signs = [(-1.0, 5.0), (-3.0, 0.0), None]
    found = gains(expected, signs, SEEN)
    # The first answer is better than its reach, the second far worse, and the third cannot be judged.
    assert found[0] == pytest.approx(1.0 - SEEN.before(0.5))
    assert found[1] == pytest.approx(0.9 - SEEN.after(0.5, signs[1]))
    assert found[2] == pytest.approx(0.3)


def test_without_audits_the_packaged_verifier_stays() -> None:
    nothing = np.zeros(0)
    assert fitted(SEEN, nothing, [], nothing) == SEEN
    assert fitted(SEEN, np.array([0.5]), [None], np.array([1.0])) == SEEN
    assert packaged().reach == 0.0


@pytest.mark.parametrize("weights", [(2.0, 0.0), (-1.5, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_audits_move_the_weights_towards_those_of_the_models(weights: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    prior = Verifier((-1.0, 0.0), (0.5, 1.0), (0.3, 0.3))
    rows = np.stack([-1 + 0.5 * rng.normal(size=3000), rng.normal(size=3000)], axis=1)
    small = rng.uniform(0.2, 0.8, 3000)
    true = Verifier(prior.usual, prior.spread, weights, offset=-0.5)
    scores = np.array([float(rng.random() < true.after(*each)) for each in zip(small.tolist(), rows, strict=True)])
    few, many = (fitted(prior, small[:n], list(rows[:n]), scores[:n]) for n in (20, 3000))
    assert many.weights == pytest.approx(weights, abs=0.2)
    assert many.offset == pytest.approx(-0.5, abs=0.15)
    distance = [sum(abs(a - b) for a, b in zip(each.weights, weights, strict=True)) for each in (prior, few, many)]
    assert distance[2] < distance[0]
    assert few.weights == pytest.approx(prior.weights, abs=0.9), "twenty audits do not turn it round"
    shifts = [many.shift(row) for row in rows]
    assert many.reach == pytest.approx(max(0.0, float(np.quantile(shifts, TRIED))))


def test_the_packaged_weights_say_that_a_surer_answer_is_likelier_right() -> None:
    verifier = packaged()
    sure, unsure = (-0.1, -0.1, -0.4, -0.1), (-2.0, -3.0, -6.0, -4.0)
    assert verifier.shift(sure) > 0 > verifier.shift(unsure)


@pytest.mark.parametrize("far", [-5.0, -99.0])
def test_signs_far_from_usual_move_the_weights_no_farther_than_they_deserve(far: float) -> None:
    """They say nothing of whether an answer is right, and so do the others: no weight is of any use."""
    rng, signs, scores = np.random.default_rng(5), [], []
    for at in range(300):
        signs.append((far,) * 4 if at % 25 == 0 else tuple(rng.normal(-0.5, 0.3, 4)))
        scores.append(float(rng.random() < 0.7))
    found = fitted(packaged(), np.full(300, 0.7), signs, np.array(scores))
    assert max(map(abs, found.weights)) < 0.5
    assert found.after(0.7, (-0.5,) * 4) == pytest.approx(0.7, abs=0.15)
