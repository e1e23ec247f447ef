"""Rules, router and threshold together, and how the threshold is held."""

from __future__ import annotations

import random
from math import inf
from typing import Any, Literal, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auto.test_decision import asked, says
from weebill.auto.auto import Auto
from weebill.auto.cascade.checks import Checks
from weebill.auto.learning import Lesson, Pair, mid_threshold
from weebill.auto.profiles import find
from weebill.auto.rules import Subject
from weebill.auto.texts import question
from weebill.auto.threshold import Observed, Threshold
from weebill.auto.trust import Expected, Verifier, packaged
from weebill.config.auto import AutoSettings, CascadeSettings, Rule, TargetSettings, Tier
from weebill.wire.conversation import Conversation


class Estimate(NamedTuple):
    compact: float
    mid: float
    large: float
    gain: float


class Estimates:
    """A router that reads its gain from the question."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def estimate(self, text: str) -> Estimate:
        self.asked.append(text)
        gain = float(text)
        return Estimate(0.9 - 0.8 * gain, 0.9 - 0.4 * gain, 0.9, gain)


class Learner:
    """Expects of a request half of the gain that it names."""

    name = "said"

    def describe(self, asked: Conversation) -> bytes:
        return question(asked).encode()

    def expect(self, features: bytes, lesson: Lesson) -> Expected:
        return Expected(0.9 - float(features) / 2, 0.8, 0.1)


LOCAL = frozenset[Tier]({"small"})


def auto(target: TargetSettings, **fields: Any) -> tuple[Auto, Estimates]:
    estimates, lessons = Estimates(), fields.pop("lessons", [None])
    chosen = AutoSettings(small="s", large="l", target=target, **fields)
    name, value = target.chosen
    threshold = None if name == "quality" else Threshold(name, value, 0.1)
    decided = Auto(chosen, estimates, Checks(chosen.cascade), threshold, Learner(), lambda: lessons[-1])
    return decided, estimates


def lesson(threshold: float | None = None, gains: tuple[float, ...] = ()) -> Lesson:
    pair = Pair("s", "l", "")
    return Lesson(source="a", version=1, pair=pair, decisions=0, threshold=threshold, gains=gains)


def subject(text: str) -> Subject:
    return Subject(asked(says(text)), "chat.completions", "key")


def test_rules_need_no_estimate() -> None:
    decided, estimates = auto(TargetSettings(share=0.5), private=(Rule(regex="IBAN"),), high_stakes=(Rule(key="key"),))
    assert decided.decide(subject("My IBAN"), LOCAL, False).why == "private[1] and high_stakes[1]"
    assert decided.decide(subject("Anything"), LOCAL, False).tier == "large"
    assert estimates.asked == []


def test_the_request_may_have_to_stay() -> None:
    decided, _ = auto(TargetSettings(share=1))
    decision = decided.decide(subject("0.9"), LOCAL, True)
    assert (decision.tier, decision.why, decision.stays, decision.larger) == ("small", "local_only", True, None)
    assert decided.decide(subject("0.9"), LOCAL, False).tier == "large"


def test_a_request_without_a_question() -> None:
    decided, estimates = auto(TargetSettings(share=0.5))
    with pytest.raises(ValueError, match="could not convert"):
        decided.decide(Subject(Conversation(turns=()), "messages", "key"), LOCAL, False)
    assert estimates.asked == [""]


@pytest.mark.parametrize(
    ("name", "value", "threshold"),
    [("share", 0.2, 0.8), ("share", 1, 0.0), ("spend", 0.55, 0.5), ("spend", 1.0, 0.0)],
)
def test_where_it_begins(name: Literal["share", "spend"], value: float, threshold: float) -> None:
    assert Threshold(name, value, 0.1).value == pytest.approx(threshold)


@pytest.mark.parametrize(("name", "value"), [("share", 0.0), ("spend", 0.05)])
def test_nothing_for_the_large_model(name: Literal["share", "spend"], value: float) -> None:
    assert Threshold(name, value, 0.1).value > 1


def test_the_large_tier_answers_until_the_quality_is_known() -> None:
    lessons: list[Lesson | None] = [None]
    decided, _ = auto(TargetSettings(), lessons=lessons)
    first = decided.decide(subject("0.1"), LOCAL, False)
    assert (first.tier, first.why, first.larger) == ("large", "quality not yet known", None)
    lessons.append(lesson())
    assert decided.decide(subject("0.1"), LOCAL, False) == first
    lessons.append(lesson(threshold=-inf))
    assert decided.decide(subject("0.1"), LOCAL, False).why == "no other keeps the quality"
    lessons.append(lesson(threshold=0.2))
    known = decided.decide(subject("0.1"), LOCAL, False)
    assert (known.tier, known.why, known.larger) == ("small", "gain 0.05<0.20", "large")
    assert known.trust == (pytest.approx(0.85), pytest.approx(0.7), packaged())
    beyond = decided.decide(subject("0.42"), LOCAL, False)
    assert (beyond.why, beyond.trust) == ("gain 0.21>=0.20", None)


@pytest.mark.parametrize(
    ("threshold", "mid"), [(0.75, 0.5), (0.7, 0.5), (0.9, 0.9), (0.5, 0.0), (0.1, 0.0), (-inf, 0.0)]
)
def test_a_middle_tier_gets_as_many_as_the_large_one(threshold: float, mid: float) -> None:
    assert mid_threshold(lesson(threshold, gains=(0.0, 0.25, 0.5, 0.75))) == mid


def test_a_share_is_of_the_gains_that_were_learnt() -> None:
    lessons: list[Lesson | None] = [lesson()]
    decided, _ = auto(TargetSettings(share=0.5), lessons=lessons)
    assert decided.decide(subject("0.9"), LOCAL, False).why == "gain 0.90>=0.50"
    small = decided.decide(subject("0.4"), LOCAL, False)
    assert small.trust == (pytest.approx(0.9 - 0.8 * 0.4), CascadeSettings().least_chance, packaged())
    lessons.append(msgspec.structs.replace(lesson(), posterior=b"learnt"))
    small = decided.decide(subject("0.4"), LOCAL, False)
    assert (small.why, small.trust[0] if small.trust else None) == ("gain 0.40<0.50", pytest.approx(0.7))
    lessons.append(msgspec.structs.replace(lesson(gains=(0.0, 0.5, 0.6, 0.7)), posterior=b"learnt"))
    learnt = decided.decide(subject("0.9"), LOCAL, False)
    assert learnt.why == "gain 0.25<0.50"
    assert learnt.trust == (pytest.approx(0.45), CascadeSettings().least_chance, packaged())


def test_a_request_is_tried_on_the_small_tier_if_its_answer_may_do() -> None:
    seen = Verifier((0.0,), (1.0,), (1.0,), reach=1.0)
    lessons: list[Lesson | None] = [
        lesson(threshold=0.2),
        msgspec.structs.replace(lesson(threshold=0.2), verifier=seen),
    ]
    decided, _ = auto(TargetSettings(), lessons=lessons[:1])
    assert decided.decide(subject("0.5"), LOCAL, False).tier == "large"
    decided, _ = auto(TargetSettings(), lessons=lessons)
    tried = decided.decide(subject("0.5"), LOCAL, False)
    assert (tried.tier, tried.trust) == ("small", (pytest.approx(0.65), pytest.approx(0.7), seen))


def test_no_answer_will_do_by_a_verifier_that_sees_none() -> None:
    """What it has learnt before the settings took it out of the checks is no reason to try the small tier."""
    seen = Verifier((0.0,), (1.0,), (1.0,), reach=5.0)
    known = lesson(threshold=0.2, gains=(0.0, 0.2, 0.4, 0.6))
    known = msgspec.structs.replace(known, posterior=b"learnt", verifier=seen)
    unchecked = CascadeSettings(checks=("refusal",))
    decided, _ = auto(TargetSettings(), lessons=[known], cascade=unchecked)
    assert decided.decide(subject("0.5"), LOCAL, False).tier == "large"
    decided, _ = auto(TargetSettings(share=0.5), lessons=[known], cascade=unchecked)
    assert decided.decide(subject("0.5"), LOCAL, False).why == "gain 0.25<0.50"  # not 0.00


LARGE_COST, SMALL_COST = 1000, 100


def simulate(target: TargetSettings, traffic: list[tuple[Subject, int]]) -> tuple[float, float]:
    """The share of the large tier, and the spend as a share of it alone."""
    decided, _ = auto(target)
    large, spent, all_large = 0, 0, 0
    for each, cost in traffic:
        decision = decided.decide(each, LOCAL, False)
        tier = decision.tier
        used = cost if tier == "large" else cost // 10
        decided.observe(decision, tier, used, cost)
        large += tier == "large"
        spent += used
        all_large += cost
    return large / len(traffic), spent / all_large


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**32))
def test_targets_are_held_while_traffic_drifts(seed: int) -> None:
    rng = random.Random(seed)
    # Ranks that are uniform are what it was made for; these become harder and harder, and longer.
    gains = [min(1.0, rng.random() ** (2.5 - 2 * step / 4000)) for step in range(4000)]
    costs = [round(LARGE_COST * rng.lognormvariate(0, 0.5) * (1 + step / 4000)) for step in range(4000)]
    traffic = [(subject(str(gain)), cost) for gain, cost in zip(gains, costs, strict=True)]
    for value in (0.1, 0.3, 0.6):
        share, _ = simulate(TargetSettings(share=value), traffic)
        assert share == pytest.approx(value, abs=0.06)
        _, spend = simulate(TargetSettings(spend=max(value, 0.2)), traffic)
        assert spend == pytest.approx(max(value, 0.2), abs=0.06)


def test_an_escalation_counts_as_what_it_is() -> None:
    decided, _ = auto(TargetSettings(share=0.5))
    before = decided.decide(subject("0.49"), LOCAL, False)
    assert before.tier == "small"
    for _ in range(100):
        decided.observe(before, "large", 110, 100)
    # Half of them was to go to the large tier, and all of them did.
    assert decided.decide(subject("0.6"), LOCAL, False).tier == "small"


def test_without_a_price_spending_is_not_followed() -> None:
    threshold = Threshold("spend", 0.5, 0.1)
    before = threshold.value
    threshold.observe(Observed(True, 100, None))
    threshold.observe(Observed(True, 0, 0))
    assert threshold.value == before


class TestAbility:
    """What the profile of the default model cannot do goes to the large tier, whatever is expected otherwise."""

    CANNOT = (
        ("What is 17 * 23 + 4?", "maths"),
        ("\u00bfD\u00f3nde est\u00e1 la estaci\u00f3n de tren m\u00e1s cercana?", "es"),
        ("\u4eca\u5929\u7684\u5929\u6c14\u600e\u4e48\u6837\uff0c\u6211\u5e94\u8be5\u5e26\u4f1e\u5417\uff1f", "zh"),
        ("My phone was stolen, what should I do?", "give advice"),
    )

    def decided(self, **fields: Any) -> Auto:
        made, _ = auto(TargetSettings(share=0.0), **fields)
        made.profile = find("smollm2-135m", True, ())
        return made

    @pytest.mark.parametrize(("text", "why"), CANNOT)
    def test_goes_to_the_large_tier(self, text: str, why: str) -> None:
        decision = self.decided().decide(subject(text), LOCAL, False)
        assert (decision.tier, decision.why) == ("large", f"cannot {why}")
        assert decision.smaller == (None if why == "give advice" else "small")  # while the large one is down
        assert decision.features == b""  # nothing is learnt from what left no choice

    def test_stays_where_it_must(self) -> None:
        assert self.decided().decide(subject("What is 17 * 23?"), LOCAL, True).tier == "small"

    def test_is_asked_for_by_settings(self) -> None:
        without = self.decided(abilities=False)
        with pytest.raises(ValueError, match="could not convert"):  # so the estimator was asked
            without.decide(subject("What is 17 * 23?"), LOCAL, False)
