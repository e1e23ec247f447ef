"""The learner's knowledge: what it concludes from what is reported, and that it has it again after a restart."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec import Raw

from tests.learner.asked import ONE, PAIR, SETTINGS, Clock, ask, curve, features, lesson, standing, store_in
from weebill.auto.gains import decoded
from weebill.auto.judge_model import BY_MODEL
from weebill.auto.learning import (
    NOBODY,
    Audited,
    Decided,
    Pair,
    Rate,
    Report,
)
from weebill.auto.standing import nothing_decided, sentence
from weebill.config.auto import AUTO, AuditSettings, Tier
from weebill.learner.belief import initial
from weebill.learner.costs import costs
from weebill.learner.topics import Learning
from weebill.process.questions import Position, encode
from weebill.storage.outcomes import Outcome


class Reports:
    """Reports of a worker whose small model answers what is not hard."""

    def __init__(self, learning: Learning) -> None:
        self.learning = learning
        self.rng = random.Random(7)
        self.number = 0

    def send(self, count: int, probability: float = 1.0, kept_small: bool = False, judged: bool = True) -> None:
        decided, audited = [], []
        for _ in range(count):
            self.number += 1
            hard, drawn = self.number % 2 == 0, self.rng.random() < probability
            small = kept_small and not hard
            name = f"req_{self.number}"
            decided.append(
                Decided(
                    request_id=name, key_id="key", at=1000, tier="small" if small else "large",
                    features=features(hard), probability=probability, audited=drawn,
                    spent_nano=10 if small else 100, large_nano=100,
                )
            )  # fmt: skip
            if drawn:
                score = float(not hard) if judged else None
                audited.append(
                    Audited(
                        request_id=name, small=score, large=1.0 if judged else None, by="short",
                        spent_nano=100 if small else 10,
                    )
                )  # fmt: skip
        ask(self.learning, Report(PAIR, tuple(decided), tuple(audited)))


def test_at_first_it_only_says_that_it_is_there(learning: Learning, clock: Clock) -> None:
    first = lesson(learning, clock)
    assert (first.pair, first.decisions, first.threshold) == (NOBODY, 0, None)
    assert standing(learning) is None
    assert "nothing" in nothing_decided(AUTO)


def test_it_learns_what_is_hard_and_sets_a_threshold_between(learning: Learning, clock: Clock) -> None:
    reports = Reports(learning)
    reports.send(10)
    early = lesson(learning, clock)
    assert (early.decisions, early.threshold) == (10, None)
    reports.send(190)
    later = lesson(learning, clock)
    small, large = decoded(later.posterior)
    easy, hard = (float((large - small) @ np.frombuffer(features(each), "<f2")) for each in (False, True))
    assert later.threshold is not None
    assert easy < later.threshold <= hard
    assert hard > 0.7
    assert easy < 0.3


def test_its_figures_are_those_of_the_traffic(learning: Learning, clock: Clock) -> None:
    reports = Reports(learning)
    reports.send(100)
    reports.send(900, probability=0.2, kept_small=True)
    found = standing(learning)
    assert found is not None
    assert (found.decisions, found.newest, found.target) == (1000, 1000, "quality = 0.9")
    assert found.quality is not None
    assert found.quality.value == 1  # what stayed small was right
    assert found.large_share == pytest.approx(0.55)
    # 550 large at 100, 450 small at 10, and the audits.
    assert found.spend is not None
    assert found.audits_spend is not None
    assert found.spend - found.audits_spend == pytest.approx(0.595)
    assert found.audits_spend > 0.01
    assert sentence(found).startswith("1.000 of the large model's quality (0.9")


def test_losses_are_weighed_by_the_probability_of_their_audits(learning: Learning) -> None:
    decided = tuple(
        Decided(
            request_id=f"req_{at}", key_id="key", at=1, tier="small", features=features(False),
            probability=0.25, audited=at % 4 == 0,
        )
        for at in range(400)
    )  # fmt: skip
    audited = tuple(
        Audited(request_id=each.request_id, small=float(at % 10 > 0), large=1.0, by="short")
        for at, each in enumerate(each for each in decided if each.audited)
    )
    ask(learning, Report(PAIR, decided, audited))
    found = standing(learning)
    assert found is not None
    assert found.quality is not None
    assert found.quality.value == pytest.approx(0.9)
    assert found.quality.low < 0.87
    assert 0.93 < found.quality.high <= 1


def test_audits_that_could_not_be_judged_say_nothing(learning: Learning, clock: Clock) -> None:
    reports = Reports(learning)
    reports.send(100, judged=False)
    found = standing(learning)
    assert found is not None
    assert (found.audits, found.unjudged, found.quality) == (0, 100, None)
    assert sentence(found).startswith("the quality is not yet known (0 audits of at least 20)")
    assert lesson(learning, clock).threshold is None


def test_the_budget_of_a_day(tmp_path: Path, clock: Clock) -> None:
    poor = {AUTO: msgspec.structs.replace(ONE, audits=AuditSettings(budget_usd=1e-6))}
    learning = Learning(store_in(tmp_path), poor, clock=clock)
    reports = Reports(learning)
    reports.send(99)
    assert lesson(learning, clock).funded
    reports.send(1)
    assert not lesson(learning, clock).funded


def test_after_a_kill_it_knows_all_that_it_acknowledged(tmp_path: Path, clock: Clock) -> None:
    learning = Learning(store_in(tmp_path), SETTINGS, clock=clock)
    reports = Reports(learning)
    reports.send(60)
    reports.send(60, kept_small=True)
    ask(learning, Rate("req_1", "key", 0.0))
    told = lesson(learning, clock)
    again = Learning(store_in(tmp_path), SETTINGS, clock=clock)  # the first one is not closed
    anew = lesson(again, clock)
    assert standing(again) == standing(learning)
    assert anew.source != told.source
    np.testing.assert_allclose(decoded(anew.posterior), decoded(told.posterior), atol=1e-9)
    assert anew.threshold == told.threshold


def test_the_curve_tells_what_each_threshold_would_keep_and_take(learning: Learning, clock: Clock) -> None:
    assert curve(learning) is None
    reports = Reports(learning)
    reports.send(19)
    early = curve(learning)
    assert early is not None
    assert (early.audits, early.points, early.present) == (19, (), None)
    reports.send(181)
    told = lesson(learning, clock)
    found = curve(learning)
    assert found is not None
    assert (found.target, found.value, found.audits) == ("quality", 0.9, 200)
    assert found.present in found.points
    assert found.present is not None
    assert found.present.threshold == told.threshold
    # Half is easy, and an answer of the small model takes a tenth of a large one's.
    assert found.present.large_share == pytest.approx(0.5, abs=0.02)
    assert found.present.spend == pytest.approx(0.55, abs=0.02)
    assert found.present.quality is not None
    assert found.present.quality.value == pytest.approx(1.0)
    assert found.points[-1].quality is not None
    assert found.points[-1].quality.value == pytest.approx(0.5, abs=0.02)
    assert found.points[-1].spend == pytest.approx(0.1)
    assert (found.kept.large_share, found.kept.spend) == (1.0, 1.0)


def test_the_price_of_an_answer_is_not_that_of_a_judgement_or_of_two_answers() -> None:
    def one(name: str, tier: Tier, by: str, spent: int, auditing: int, *, escalated: bool = False) -> None:
        decided[name] = Decided(
            request_id=name, key_id="key", at=1, tier=tier, features=b"", escalated=escalated, spent_nano=spent,
            large_nano=100,
        )  # fmt: skip
        audited.append(Outcome(name, "audit", 1, tier, b"", 1.0, 1.0, 1.0, auditing, by))

    decided: dict[str, Decided] = {}
    audited: list[Outcome] = []
    one("small", "small", BY_MODEL, 6, 300)
    one("large", "large", "short", 101, 7)
    one("judged", "large", BY_MODEL, 102, 300)
    one("escalated", "large", "refusal", 108, 0, escalated=True)
    found = costs(audited, decided)
    np.testing.assert_array_equal(found.small, [6, 7, np.nan, np.nan])
    np.testing.assert_array_equal(found.large, [100] * 4)


def test_another_rating_takes_the_place_of_the_first(learning: Learning, clock: Clock) -> None:
    reports = Reports(learning)
    reports.send(30)
    before = decoded(lesson(learning, clock).posterior)
    ask(learning, Rate("req_1", "key", 0.0))
    assert not np.allclose(decoded(lesson(learning, clock).posterior), before, atol=1e-4)
    ask(learning, Rate("req_1", "key", 1.0))
    once = decoded(lesson(learning, clock).posterior)
    ask(learning, Rate("req_1", "key", 1.0))
    np.testing.assert_allclose(decoded(lesson(learning, clock).posterior), once, atol=1e-3)


def test_another_pair_is_learnt_from_the_beginning(learning: Learning, clock: Clock) -> None:
    Reports(learning).send(50)
    other = Pair("s/other", "l/large", "place-1")
    one = Decided(request_id="x", key_id="key", at=1, tier="large", features=features(False))
    ask(learning, Report(other, (one,)))
    told = lesson(learning, clock)
    assert (told.pair, told.decisions, told.audits) == (other, 1, 0)


def test_a_feed_tells_each_lesson_once(learning: Learning, clock: Clock) -> None:
    feed = learning.feed(Raw(encode(Position())))
    assert feed.news() is not None
    assert feed.news() is None
    Reports(learning).send(1)
    clock.now += 2
    assert feed.news() is not None
    assert feed.news() is None


def gained(learning: Learning, clock: Clock) -> float:
    """The gain that is expected of what is hard."""
    small, large = decoded(lesson(learning, clock).posterior)
    return float((large - small) @ np.frombuffer(features(True), "<f2"))


def test_however_often_a_client_changes_its_mind_nothing_else_is_forgotten(learning: Learning, clock: Clock) -> None:
    reports = Reports(learning)
    reports.send(100)
    for name in ("req_1", "req_3"):
        ask(learning, Rate(name, "key", 0.0))
    once = gained(learning, clock)
    for number in range(200):
        ask(learning, Rate(("req_1", "req_3")[number % 2], "key", 1.0 - number // 2 % 2))
    for name in ("req_1", "req_3"):
        ask(learning, Rate(name, "key", 0.0))
    assert gained(learning, clock) == pytest.approx(once, abs=1e-6)


def test_ratings_push_no_audit_out_of_the_store(tmp_path: Path) -> None:
    store = store_in(tmp_path, max_outcomes=50)
    decided = tuple(
        Decided(request_id=f"req_{at}", key_id="key", at=1, tier="large", features=features(False)) for at in range(40)
    )
    audited = tuple(Audited(request_id=each.request_id, small=1.0, large=1.0, by="short") for each in decided)
    store.add(Report(PAIR, decided, audited))
    for number in range(200):
        store.rate(f"req_{number % 2}", "key", number % 3 / 2, 1, "a comment")
    store.add(Report(PAIR))
    kept = store.outcomes(PAIR)
    assert sum(each.source == "audit" for each in kept) == 40
    assert [each.large for each in kept if each.source == "feedback"] == [0.0, 0.5]


def test_an_audit_is_judged_without_the_rating_of_the_same_answer(tmp_path: Path) -> None:
    belief = initial(PAIR)
    audits = [
        Outcome(f"req_{at}", "audit", 1, "large", features(at % 2 == 0), 1.0, float(at % 2), 1.0, None)
        for at in range(40)
    ]
    belief.learn(audits)
    alone = belief.expect_without(audits[:8])
    belief.learn([audits[at]._replace(source="feedback", small=None, large=0.0) for at in range(8)])
    np.testing.assert_allclose(belief.expect_without(audits[:8]), alone, atol=0.01)


def test_the_budget_is_of_all_pairs_and_of_more_decisions_than_are_kept(tmp_path: Path, clock: Clock) -> None:
    poor = {AUTO: msgspec.structs.replace(ONE, audits=AuditSettings(budget_usd=1e-6))}
    learning = Learning(store_in(tmp_path), poor, clock=clock)
    Reports(learning).send(100)
    assert not lesson(learning, clock).funded
    other = Pair("s/other", "l/large", "place-1")
    many = tuple(
        Decided(request_id=f"x_{at}", key_id="key", at=1, tier="large", features=features(False))
        for at in range(10_001)
    )
    for start in range(0, len(many), 1000):
        ask(learning, Report(other, many[start : start + 1000]))
    assert not lesson(learning, clock).funded
    assert not lesson(Learning(store_in(tmp_path), poor, clock=clock), clock).funded
    clock.now += 86_400 + 120
    ask(learning, Report(other, (Decided(request_id="y", key_id="key", at=1, tier="large", features=features(False)),)))
    assert lesson(learning, clock).funded


def test_a_clock_that_is_set_back_holds_nothing_up(learning: Learning, clock: Clock) -> None:
    reports = Reports(learning)
    reports.send(10)
    assert lesson(learning, clock).decisions == 10
    clock.now -= 500
    reports.send(1)
    assert lesson(learning, clock).decisions == 11


def test_a_late_audit_of_earlier_models_does_not_turn_it_back(learning: Learning, clock: Clock) -> None:
    Reports(learning).send(3)
    other = Pair("s/other", "l/large", "place-1")
    ask(learning, Report(other, (Decided(request_id="x", key_id="k", at=1, tier="large", features=features(False)),)))
    ask(learning, Report(PAIR, (), (Audited(request_id="req_1", small=1.0, large=1.0, by="short"),)))
    assert lesson(learning, clock).pair == other


def test_a_report_that_no_table_takes_does_not_hold_up_those_after_it(learning: Learning, clock: Clock) -> None:
    for wrong in ({"spent_nano": 1 << 63}, {"probability": float("nan")}):
        one = Decided(request_id="x", key_id="k", at=1, tier="large", features=features(False), **wrong)
        ask(learning, Report(PAIR, (one,)))
    Reports(learning).send(1)
    assert lesson(learning, clock).decisions == 1


def test_where_half_of_the_audits_cannot_be_judged_nothing_is_certain(learning: Learning) -> None:
    decided = tuple(
        Decided(
            request_id=f"req_{at}", key_id="key", at=1, tier="small", features=features(False),
            probability=1.0, audited=True,
        )
        for at in range(400)
    )  # fmt: skip
    scores = [None if at % 2 else float(at % 10 > 0) for at in range(400)]
    audited = tuple(
        Audited(request_id=each.request_id, small=score, large=None if score is None else 1.0, by="short")
        for each, score in zip(decided, scores, strict=True)
    )
    ask(learning, Report(PAIR, decided, audited))
    found = standing(learning)
    assert found is not None
    assert found.quality is not None
    assert found.quality.value == pytest.approx(0.8)
    assert 0.7 < found.quality.low < 0.77
    assert 0.83 < found.quality.high < 0.9
