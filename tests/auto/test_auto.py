"""Rules, router and threshold together, and how the threshold is held."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auto.test_decision import asked, says
from weebill.auto.auto import Auto
from weebill.auto.cascade.checks import Checks
from weebill.auto.rules import Subject
from weebill.auto.threshold import Observed, Threshold
from weebill.config.auto import AutoSettings, Rule, TargetSettings, Tier
from weebill.wire.conversation import Conversation


class Expected(NamedTuple):
    compact: float
    mid: float
    large: float
    gain: float


class Estimates:
    """A router that reads its gain from the question."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def estimate(self, text: str) -> Expected:
        self.asked.append(text)
        gain = float(text)
        return Expected(0.9 - 0.8 * gain, 0.9 - 0.4 * gain, 0.9, gain)


LOCAL = frozenset[Tier]({"small"})


def auto(target: TargetSettings, **fields: object) -> tuple[Auto, Estimates]:
    estimates = Estimates()
    chosen = AutoSettings(small="s", large="l", target=target, **fields)  # type: ignore[arg-type]
    return Auto(chosen, estimates, Checks(chosen.cascade), Threshold(target, 0.1)), estimates


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
    ("target", "threshold"),
    [
        (TargetSettings(share=0.2), 0.8),
        (TargetSettings(share=1), 0.0),
        (TargetSettings(spend=0.55), 0.5),
        (TargetSettings(spend=1.0), 0.0),
        (TargetSettings(quality=0.9), 0.71),
        (TargetSettings(quality=1), 0.0),
        (TargetSettings(), 0.49),
    ],
)
def test_where_it_begins(target: TargetSettings, threshold: float) -> None:
    assert Threshold(target, 0.1).value == pytest.approx(threshold)


@pytest.mark.parametrize("target", [TargetSettings(share=0), TargetSettings(spend=0.05), TargetSettings(quality=0.5)])
def test_nothing_for_the_large_model(target: TargetSettings) -> None:
    assert Threshold(target, 0.1).value > 1


LARGE_COST, SMALL_COST = 1000, 100


def simulate(target: TargetSettings, traffic: list[tuple[Subject, int]]) -> tuple[float, float, float]:
    """The share, spend and expected quality of traffic, each against the large tier alone."""
    decided, _ = auto(target)
    large, spent, quality, best, all_large = 0, 0, 0.0, 0.0, 0
    for each, cost in traffic:
        decision = decided.decide(each, LOCAL, False)
        assert decision.chances is not None
        tier = decision.tier
        used = cost if tier == "large" else cost // 10
        decided.observe(decision, tier, used, cost)
        large += tier == "large"
        spent += used
        all_large += cost
        quality += decision.chances.large if tier == "large" else decision.chances.compact
        best += decision.chances.large
    return large / len(traffic), spent / all_large, quality / best


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**32))
def test_targets_are_held_while_traffic_drifts(seed: int) -> None:
    rng = random.Random(seed)
    # Ranks that are uniform are what it was made for; these become harder and harder, and longer.
    gains = [min(1.0, rng.random() ** (2.5 - 2 * step / 4000)) for step in range(4000)]
    costs = [round(LARGE_COST * rng.lognormvariate(0, 0.5) * (1 + step / 4000)) for step in range(4000)]
    traffic = [(subject(str(gain)), cost) for gain, cost in zip(gains, costs, strict=True)]
    for value in (0.1, 0.3, 0.6):
        share, _, _ = simulate(TargetSettings(share=value), traffic)
        assert share == pytest.approx(value, abs=0.06)
        _, spend, _ = simulate(TargetSettings(spend=max(value, 0.2)), traffic)
        assert spend == pytest.approx(max(value, 0.2), abs=0.06)
        _, _, quality = simulate(TargetSettings(quality=0.8 + value / 4), traffic)
        assert quality == pytest.approx(0.8 + value / 4, abs=0.06)


def test_an_escalation_counts_as_what_it_is() -> None:
    decided, _ = auto(TargetSettings(share=0.5))
    before = decided.decide(subject("0.49"), LOCAL, False)
    assert before.tier == "small"
    for _ in range(100):
        decided.observe(before, "large", 110, 100)
    # Half of them was to go to the large tier, and all of them did.
    assert decided.decide(subject("0.6"), LOCAL, False).tier == "small"


def test_without_a_price_spending_is_not_followed() -> None:
    threshold = Threshold(TargetSettings(spend=0.5), 0.1)
    before = threshold.value
    threshold.observe(Observed(True, 0.9, 0.9, 100, None))
    threshold.observe(Observed(True, 0.9, 0.9, 0, 0))
    assert threshold.value == before
