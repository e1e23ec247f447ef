"""The audited truth: what is estimated covers what is true, and what is chosen keeps the target."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from numpy.typing import NDArray

from weebill.auto import evidence
from weebill.auto.evidence import FEWEST, LARGE_ALONE, MEMORY, MEMORY_AUDITS, Audits, Caution, Choice, quality, recency


def audits(small: object, large: object, kept: object = None, probability: object = 1.0) -> Audits:
    scores = np.asarray(small, float)
    return Audits(
        scores,
        np.asarray(large, float),
        np.zeros(len(scores), bool) if kept is None else np.asarray(kept, bool),
        np.broadcast_to(np.asarray(probability, float), scores.shape),
    )


def choose(gains: NDArray[np.float64], scores: Audits, target: float, caution: Caution = evidence.CAUTION) -> Choice:
    """The choice where all audits count alike."""
    return evidence.choose(gains, scores, np.ones(len(gains)), target, caution)


def drawn(rng: np.random.Generator, requests: int, probability: float) -> tuple[Audits, float]:
    """Audits of traffic whose second half the small tier answers, right in 6 of 7 cases, and the true quality."""
    small, large = rng.random(requests) < 0.72, rng.random(requests) < 0.84
    kept = np.arange(requests) >= requests // 2
    chances = np.where(kept, probability, 1.0)
    audited = rng.random(requests) < chances
    truth = np.where(kept, small, large).sum() / large.sum()
    return audits(small[audited], large[audited], kept[audited], chances[audited]), float(truth)


class TestQuality:
    @pytest.mark.parametrize("probability", [1.0, 0.3])
    def test_covers_the_truth_where_half_of_the_audits_cannot_be_judged(self, probability: float) -> None:
        covered = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            scores, truth = drawn(rng, 1000, probability)
            judged = rng.random(len(scores.small)) < 0.5
            known = Audits(*(each[judged] for each in scores))
            share = float((1 / known.probability).sum() / (1 / scores.probability).sum())
            found = quality(known, 1000, judged=share)
            assert found is not None
            covered += found.low <= truth <= found.high
        assert covered >= 186

    def test_of_requests_that_were_all_audited_is_exact(self) -> None:
        scores = audits([0, 1, 1, 0] * 10, [1, 1, 1, 0] * 10, [True, True, False, False] * 10)
        assert quality(scores, 40) == pytest.approx((1 - 10 / 30,) * 3)

    def test_is_one_where_the_large_tier_answered(self) -> None:
        found = quality(audits([0] * 30, [1] * 30), 30)
        assert found is not None
        assert found.value == 1.0

    def test_is_certain_where_the_large_tier_answered_everything(self) -> None:
        assert quality(audits([0] * 30, [1] * 30, None, 0.1), 300, all_large=True) == (1, 1, 1)
        assert quality(audits([0] * 5, [1] * 5), 5, all_large=True) is None

    def test_may_be_above_the_large_tiers(self) -> None:
        found = quality(audits([1] * 30, [0, 1] * 15, [True] * 30), 30)
        assert found is not None
        assert found.value == 2.0

    @pytest.mark.parametrize("count", [0, FEWEST - 1])
    def test_is_not_known_from_few(self, count: int) -> None:
        assert quality(audits([1] * count, [1] * count), 1000) is None

    def test_is_not_known_where_the_large_tier_is_never_right(self) -> None:
        assert quality(audits([1] * 50, [0] * 50), 50) is None

    def test_weighs_audits_by_their_probability(self) -> None:
        """One loss among the requests of which every tenth is audited stands for ten."""
        scores = audits([1] * 39 + [0], [1] * 40, [False] * 20 + [True] * 20, [1.0] * 20 + [0.1] * 20)
        found = quality(scores, 220)
        assert found is not None
        assert found.value == pytest.approx(1 - 10 / 220)
        assert found.low < found.value < found.high

    def test_one_audit_without_a_loss_is_no_certainty(self) -> None:
        found = quality(audits([1] * 30, [1] * 30, [True] * 30, 0.05), 600)
        assert found is not None
        assert found.low < 0.98 < found.value == 1.0

    @pytest.mark.parametrize("probability", [0.05, 0.15, 0.5])
    def test_the_interval_covers_the_truth(self, probability: float) -> None:
        rng = np.random.default_rng(7)
        covered = 0
        for _ in range(400):
            scores, truth = drawn(rng, 2000, probability)
            found = quality(scores, 2000)
            assert found is not None
            covered += found.low <= truth <= found.high
        assert covered >= 0.93 * 400


class TestChoice:
    def test_few_audits_leave_everything_to_the_large_tier(self) -> None:
        count = FEWEST - 1
        assert choose(np.zeros(count), audits([1] * count, [1] * count), 0.5) == LARGE_ALONE

    def test_a_small_tier_that_is_as_good_gets_everything(self) -> None:
        chosen = choose(np.linspace(-1, 1, 200), audits([1] * 200, [1] * 200), 0.95, Caution(most_gain=inf))
        assert chosen == pytest.approx((inf, 1.0, 1.0))

    def test_a_small_tier_that_is_never_right_gets_nothing(self) -> None:
        assert choose(np.linspace(0.7, 1, 200), audits([0] * 200, [1] * 200), 0.95) == LARGE_ALONE

    def test_no_request_stays_small_that_it_cannot_do(self) -> None:
        gains = np.linspace(0, 1, 200)
        chosen = choose(gains, audits([1] * 200, [1] * 200), 0.95)
        assert chosen.small_share == pytest.approx(0.5)
        assert np.mean(gains < chosen.threshold) == 0.5

    def test_the_threshold_separates_what_is_easy(self) -> None:
        gains = np.linspace(0, 1, 300)
        easy = gains < 0.6
        chosen = choose(gains, audits(easy, [1] * 300), 0.95, Caution(z=0, most_gain=inf))
        assert chosen.small_share == pytest.approx(0.65, abs=0.01)  # and as many of the others as the target leaves
        assert chosen.quality >= 0.95
        assert np.mean(gains < chosen.threshold) == pytest.approx(chosen.small_share)

    def test_equal_gains_go_together(self) -> None:
        gains = np.repeat([0.1, 0.9], 100)
        small = np.concatenate([np.ones(100), np.zeros(100)])
        chosen = choose(gains, audits(small, [1] * 200), 0.9, Caution(z=0, most_gain=inf))
        assert (chosen.threshold, chosen.small_share) == pytest.approx((0.9, 0.5))

    def test_certainty_costs_share(self) -> None:
        rng = np.random.default_rng(3)
        gains = rng.random(150)
        scores = audits(rng.random(150) > gains * 0.3, [1] * 150)
        shares = [choose(gains, scores, 0.9, Caution(0.02, z, inf)).small_share for z in (0.0, 1.0, 2.0, 3.0)]
        assert shares == sorted(shares, reverse=True)
        assert shares[0] > shares[-1]

    def test_the_target_is_kept_on_traffic_that_was_not_audited(self) -> None:
        rng = np.random.default_rng(11)
        kept = 0
        for _ in range(300):
            gains, fresh = rng.random(200), rng.random(4000)
            scores = audits(rng.random(200) > gains * 0.5, [1] * 200)
            chosen = choose(gains, scores, 0.95)
            answered_small = fresh < chosen.threshold
            right = np.where(answered_small, rng.random(4000) > fresh * 0.5, True)
            kept += right.mean() >= 0.93
        assert kept >= 0.95 * 300

    def test_new_audits_count_more(self) -> None:
        """The small tier was as good, and is not any more; or the other way round."""
        gains, ages = np.full(400, 0.2), np.arange(400)[::-1] * MEMORY / 100
        then_worse = audits([1] * 200 + [0] * 200, [1] * 400)
        then_better = audits([0] * 200 + [1] * 200, [1] * 400)
        caution = Caution(z=0)
        assert evidence.choose(gains, then_worse, recency(ages), 0.8, caution) == LARGE_ALONE
        assert evidence.choose(gains, then_better, recency(ages), 0.8, caution).small_share == pytest.approx(1.0)
        often = recency(np.linspace(MEMORY, 0, 1 + int(MEMORY)))
        assert (often[0], often[-1]) == pytest.approx((np.exp(-1), 1))

    def test_seldom_audits_fade_with_those_after_them(self) -> None:
        """After a long time one request in a hundred is audited: the small tier does not lose its place for that."""
        ages = np.arange(100)[::-1] * 100.0
        weights = recency(ages)
        assert weights[-1 - int(MEMORY_AUDITS)] == pytest.approx(np.exp(-1))
        always_right = audits([1] * 100, [1] * 100)
        assert evidence.choose(np.full(100, 0.1), always_right, weights, 0.95).small_share == pytest.approx(1.0)

    def test_few_effective_audits_are_few(self) -> None:
        gains = np.zeros(200)
        weights = np.exp(-np.arange(200) / 5)
        assert evidence.choose(gains, audits([1] * 200, [1] * 200), weights, 0.5) == LARGE_ALONE
