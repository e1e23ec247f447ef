"""The learner notices that the small model is another one, and learns anew what its answers are worth."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.learner.asked import ONE, PAIR, SETTINGS, Clock, ask, features, lesson, standing, store_in
from weebill.auto.cascade.signs import Signs, packed
from weebill.auto.gains import decoded
from weebill.auto.learning import Audited, Decided, Report
from weebill.auto.standing import sentence
from weebill.auto.trust import packaged
from weebill.config.auto import AUTO, CascadeSettings
from weebill.learner.topics import Learning


class Traffic:
    """Decisions of a worker: as long as the threshold is known, what is not hard stays small."""

    def __init__(self, learning: Learning, clock: Clock) -> None:
        self.learning, self.clock = learning, clock
        self.rng = random.Random(11)
        self.number = 0

    def send(self, count: int, mean: float, right: float, kept_small: bool) -> None:
        decided, audited = [], []
        for _ in range(count):
            self.number += 1
            hard, name = self.number % 2 == 0, f"req_{self.number}"
            small = kept_small and not hard
            signs = packed(Signs(*(self.rng.gauss(mean, 0.3) for _ in range(4))))
            drawn = not kept_small or self.number % 10 == 1
            probability = 0.1 if kept_small else 1.0
            decided.append(
                Decided(
                    request_id=name, key_id="key", at=1000, tier="small" if small else "large",
                    features=features(hard), probability=probability, audited=drawn, signs=signs if small else b"",
                )
            )  # fmt: skip
            if drawn:
                score = float(not hard and self.rng.random() < right)
                audited.append(Audited(request_id=name, small=score, large=1.0, by="same", signs=signs))
        ask(self.learning, Report(PAIR, tuple(decided), tuple(audited)))
        self.clock.now += 10


@pytest.fixture
def traffic(learning: Learning, clock: Clock) -> Traffic:
    return Traffic(learning, clock)


def test_a_worse_model_in_place_of_the_small_one(traffic: Traffic, learning: Learning, clock: Clock) -> None:
    traffic.send(200, -0.5, 1.0, kept_small=False)
    known = lesson(learning, clock)
    assert known.threshold is not None
    assert known.threshold > 0
    for _ in range(30):
        traffic.send(10, -0.5, 1.0, kept_small=True)
    assert lesson(learning, clock).decisions == 500, "nothing has changed"
    sent = 0
    while lesson(learning, clock).decisions > 100:
        traffic.send(10, -1.2, 0.3, kept_small=True)
        sent += 10
        assert sent <= 300
    changed = lesson(learning, clock)
    assert changed.threshold is None, "the large model answers until it is known again"
    assert changed.made < 20
    told = standing(learning)
    assert told is not None
    assert told.since_change is not None
    assert f"changed {told.since_change} decisions ago" in sentence(told)
    traffic.send(200, -1.2, 0.3, kept_small=False)
    again = lesson(learning, clock)
    assert again.threshold is not None
    worth = known.threshold, again.threshold
    assert worth[1] == float("-inf"), "audits have confirmed it: no share of its answers keeps the quality"


def test_a_change_is_known_after_a_restart(traffic: Traffic, learning: Learning, clock: Clock, tmp_path: Path) -> None:
    traffic.send(200, -0.5, 1.0, kept_small=False)
    for _ in range(30):
        traffic.send(10, -0.5, 1.0, kept_small=True)
    for _ in range(10):
        traffic.send(10, -1.5, 0.3, kept_small=True)
    before = lesson(learning, clock)
    assert before.decisions < 100
    again = Learning(store_in(tmp_path), SETTINGS, clock=clock)
    after = lesson(again, clock)
    assert (after.decisions, after.made, after.threshold) == (before.decisions, before.made, before.threshold)


def test_several_changes_are_known_after_a_restart(
    traffic: Traffic, learning: Learning, clock: Clock, tmp_path: Path
) -> None:
    """Each of them has left a quarter of what was learnt before it."""
    traffic.send(200, -0.5, 1.0, kept_small=False)
    for mean, right in ((-0.5, 1.0), (-1.5, 0.3), (-0.5, 1.0)):
        for _ in range(40):
            traffic.send(10, mean, right, kept_small=True)
    before = decoded(lesson(learning, clock).posterior)
    after = decoded(lesson(Learning(store_in(tmp_path), SETTINGS, clock=clock), clock).posterior)
    np.testing.assert_allclose(after, before, atol=0.02)


def test_a_verifier_that_is_no_longer_asked_keeps_nothing(learning: Learning, clock: Clock) -> None:
    """Half of the small model's answers are right, and their signs tell which; unseen, none may stay."""
    decided, audited = [], []
    rng = random.Random(3)
    for at in range(300):
        name, right = f"req_{at}", rng.random() < 0.5
        signs = packed(Signs(*(rng.gauss(-0.1 if right else -1.5, 0.1) for _ in range(4))))
        decided.append(
            Decided(
                request_id=name, key_id="key", at=1000, tier="large", features=features(hard=False), probability=1.0,
                audited=True,
            )
        )  # fmt: skip
        audited.append(Audited(request_id=name, small=float(right), large=1.0, by="same", signs=signs))
    ask(learning, Report(PAIR, tuple(decided), tuple(audited)))
    seen = lesson(learning, clock)
    assert seen.verifier is not None
    assert seen.verifier.reach > 0
    assert seen.threshold is not None
    assert seen.threshold > 0
    learning.settings = {AUTO: msgspec.structs.replace(ONE, cascade=CascadeSettings(checks=("refusal",)))}
    unseen = lesson(learning, clock)
    assert (unseen.threshold, unseen.verifier) == (float("-inf"), packaged())
