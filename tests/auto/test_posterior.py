"""The posterior's algebra against the direct solution over all rows, and its honesty on pairs drawn from the prior."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.auto.moments import Moments, MomentsError, packed, together, unpacked
from weebill.auto.posterior import LEAST, MOST, Posterior, Prior, crossfit, difference, posterior

D = 6


def prior(tiers: int = 2, noise: float = 0.4) -> Prior:
    mean = np.zeros((2, D))
    mean[:, 0] = (0.5, 0.7)
    mean[0, 1] = -0.1
    return Prior(mean, np.array([0.15, *np.full(D - 1, 0.1)]), np.array([0.3, *np.full(D - 1, 0.6)]), noise).of_tiers(
        tiers
    )


def drawn(count: int, tiers: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, tiers, scores and weights of some outcomes."""
    generator = np.random.default_rng(seed)
    features = np.column_stack((np.ones(count), generator.normal(size=(count, D - 1))))
    return features, generator.integers(0, tiers, count), generator.random(count), generator.uniform(0.2, 1, count)


def sums(tiers: int, outcomes: tuple[np.ndarray, ...]) -> Moments:
    found = Moments.none(tiers, D)
    for features, tier, score, weight in zip(*outcomes, strict=True):
        found = found.with_outcome(features, int(tier), float(score), float(weight))
    return found


def equal(one: Moments, other: Moments) -> bool:
    return all(
        np.allclose(getattr(one, name), getattr(other, name), atol=1e-9) for name in ("count", "features", "scores")
    )


def direct(prior: Prior, features, tiers, scores, weights) -> np.ndarray:
    """The weights' mean by the conditional of a joint normal distribution over weights and scores, row by row."""
    count = len(prior.mean)
    covariance = np.linalg.inv(prior.precision().reshape(count * D, count * D))
    rows = np.zeros((len(features), count, D))
    rows[np.arange(len(features)), tiers] = features
    rows = rows.reshape(len(features), -1)
    of_scores = rows @ covariance @ rows.T + np.diag(prior.noise**2 / weights)
    shift = covariance @ rows.T @ np.linalg.solve(of_scores, scores - rows @ prior.mean.ravel())
    return (prior.mean.ravel() + shift).reshape(count, D)


@pytest.mark.parametrize("tiers", [2, 3])
def test_it_is_the_direct_solution(tiers):
    outcomes = drawn(40, tiers)
    assert np.allclose(posterior(prior(tiers), sums(tiers, outcomes)).mean, direct(prior(tiers), *outcomes), atol=1e-8)


@given(st.permutations(range(12)), st.integers(0, 12))
def test_neither_order_nor_the_split_in_parts_matters(order, cut):
    outcomes = drawn(12, 2)
    turned = tuple(column[list(order)] for column in outcomes)
    parts = [sums(2, tuple(column[part] for column in turned)) for part in (slice(cut), slice(cut, None))]
    assert equal(together(parts), sums(2, outcomes))


def test_many_rows_at_once_are_the_same_as_one_by_one():
    features, tiers, scores, _ = drawn(30, 2)
    table = np.full((30, 2), np.nan)
    table[np.arange(30), tiers] = scores
    assert equal(Moments.of(features, table), sums(2, (features, tiers, scores, np.ones(30))))


def test_a_fold_is_judged_by_what_the_others_show():
    folds = [drawn(15, 2, seed) for seed in range(3)]
    found = crossfit(prior(), [sums(2, fold) for fold in folds])
    for at, known in enumerate(found):
        rest = [fold for other, fold in enumerate(folds) if other != at]
        others = tuple(np.concatenate(columns) for columns in zip(*rest, strict=True))
        assert np.allclose(known.mean, direct(prior(), *others), atol=1e-8)


def test_an_outcome_leaves_the_sums_before_it_as_they_were():
    before = sums(2, drawn(3, 2))
    kept = before.scores.copy()
    before.with_outcome(np.ones(D), 0, 1.0)
    assert np.array_equal(before.scores, kept)


def test_without_outcomes_it_is_the_prior():
    known = posterior(prior(), Moments.none(2, D))
    assert np.allclose(known.mean, prior().mean)
    one = np.eye(D)[0]
    assert known.predict(one).variance == pytest.approx(prior().scale[0] ** 2)


def test_an_outcome_of_one_tier_tells_of_the_others_but_less():
    easy = Moments.none(3, D).with_outcome(np.eye(D)[0], 0, 1.0)
    moved = posterior(prior(3), easy).mean[:, 0] - prior(3).mean[:, 0]
    assert moved[0] > moved[1] > moved[2] > 0


def test_what_faded_is_further_from_sure():
    whole = sums(2, drawn(60, 2))
    one = np.ones(D)
    variances = [posterior(prior(), whole.faded(kept)).predict(one).variance for kept in (1, 0.5, 0)]
    assert (variances[0] < variances[1]).all()
    assert (variances[1] < variances[2]).all()


def test_chances_stay_within_bounds():
    known = Posterior(np.array([[5.0], [-5.0]]), np.zeros((2, 1, 1)))
    found = known.predict(np.ones(1))
    assert found.mean.tolist() == [5, -5]
    assert found.chances().tolist() == [MOST, LEAST]


def test_intervals_hold_for_pairs_that_the_prior_describes():
    """Over 400 pairs with normal noise, 95 % intervals of a tier's expected score hold it in 95 % of them."""
    generator = np.random.default_rng(5)
    whole = prior()
    covariance = np.linalg.inv(whole.precision().reshape(2 * D, 2 * D))
    held = []
    for seed in range(400):
        weights = generator.multivariate_normal(whole.mean.ravel(), covariance).reshape(2, D)
        features, tiers, _, ones = drawn(30, 2, seed)
        scores = (features * weights[tiers]).sum(1) + generator.normal(scale=whole.noise, size=30)
        known = posterior(whole, sums(2, (features, tiers, scores, np.ones_like(ones))))
        at = features[0]
        expected, variance = known.predict(at)
        held.append(np.abs(expected - weights @ at) <= 1.96 * variance**0.5)
    assert 0.93 <= np.mean(held) <= 0.97


def test_chances_are_calibrated_where_scores_are_true_or_false():
    """After 400 outcomes, requests given a chance of 0.5 to 0.7 are answered well as often as that."""
    generator = np.random.default_rng(1)
    features, tiers, _, ones = drawn(6000, 2, 3)
    chance = np.clip(0.55 + 0.15 * features[:, 1] + 0.1 * tiers, 0.05, 0.95)
    scores = (generator.random(6000) < chance).astype(float)
    own = slice(400)
    known = posterior(prior(), sums(2, (features[own], tiers[own], scores[own], np.ones_like(ones[own]))))
    found = known.means(features)[np.arange(6000), tiers].clip(LEAST, MOST)
    some = (found > 0.5) & (found < 0.7)
    some[own] = False
    assert some.sum() > 1000
    assert found[some].mean() == pytest.approx(scores[some].mean(), abs=0.04)


def test_sums_outlive_a_restart():
    whole = sums(3, drawn(20, 3))
    assert equal(unpacked(packed(whole, "place-1"), "place-1"), whole)


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"\xff", "place-1", "cannot be read"),
        (packed(sums(2, drawn(5, 2)), "place-1"), "place-2", "of the features place-1"),
        (
            packed(sums(2, drawn(5, 2)), "place-1").replace(b"\xa5count\xc4\x10", b"\xa5count\xc4\x08"),
            "place-1",
            "read",
        ),
        (packed(Moments(np.array([np.nan, 0]), np.zeros((2, D, D)), np.zeros((2, D))), "place-1"), "place-1", "number"),
    ],
    ids=["not bytes of ours", "other features", "cut", "not a number"],
)
def test_sums_that_do_not_fit_are_refused(data, name, words):
    with pytest.raises(MomentsError, match=words):
        unpacked(data, name)


def test_sums_of_other_tiers_or_features_are_refused():
    for other in (Moments.none(3, D), Moments.none(2, D + 1)):
        with pytest.raises(MomentsError):
            Moments.none(2, D) + other
        with pytest.raises(MomentsError):
            posterior(prior(), other)


@pytest.mark.parametrize("tiers", [2, 3])
def test_the_difference_is_that_of_the_joint_weights(tiers):
    known = prior(tiers)
    sums_of = sums(tiers, drawn(30, tiers))
    found, each = difference(known, sums_of), posterior(known, sums_of)
    np.testing.assert_allclose((found.small, found.large), (each.mean[0], each.mean[-1]))
    # The variance of a difference is a sum of variances less twice the covariance, and tiers go together.
    apart = each.covariance[0] + each.covariance[-1]
    assert (np.diag(found.covariance) < np.diag(apart)).all()
    alone = Prior(known.mean, known.scale, np.full(D, 1e-9), known.noise)
    independent, parts = difference(alone, sums_of), posterior(alone, sums_of)
    np.testing.assert_allclose(independent.covariance, parts.covariance[0] + parts.covariance[-1], atol=1e-8)
