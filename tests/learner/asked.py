"""What the tests of the learner's knowledge ask of it: one pair of models, and requests that are hard or not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from msgspec import Raw

from weebill.auto.gains import packed
from weebill.auto.learning import CurveQuestion, Lesson, Pair, StandingQuestion
from weebill.auto.standing import Standing
from weebill.auto.tradeoff import Tradeoff
from weebill.config.auto import AUTO, AutoSettings, TargetSettings
from weebill.config.paths import Home
from weebill.learner.belief import initial
from weebill.learner.topics import Learning
from weebill.process.questions import Position, encode
from weebill.storage.opening import open_outcomes
from weebill.storage.outcomes import OutcomeStore

PAIR = Pair("s/small", "l/large", "place-1")
ONE = AutoSettings(small="s", large="l", target=TargetSettings(quality=0.9))
SETTINGS = {AUTO: ONE}
WIDTH = initial(PAIR).width


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def store_in(folder: Path, **bounds: int) -> OutcomeStore:
    """Opens the store of outcomes of the home `folder`."""
    return OutcomeStore(open_outcomes(Home(folder)), **bounds)


def features(hard: bool) -> bytes:
    row = np.zeros(WIDTH)
    row[0], row[1] = 1, 0.4 if hard else -0.4
    return packed(row)


def ask(learning: Learning, question: object) -> Raw:
    return Raw(learning.answer(Raw(encode(question))))


def standing(learning: Learning, auto: str = AUTO) -> Standing | None:
    standings = msgspec.msgpack.decode(ask(learning, StandingQuestion()), type=list[Standing])
    return next((each for each in standings if each.auto == auto), None)


def curve(learning: Learning) -> Tradeoff | None:
    return msgspec.msgpack.decode(ask(learning, CurveQuestion()), type=Tradeoff | None)


def lesson(learning: Learning, clock: Clock, auto: str = AUTO) -> Lesson:
    """Returns the newest lesson of `auto`; the only one there is, if it has none."""
    clock.now += 2
    known, lessons = Position(), []
    while (newest := learning.newest(known)) is not None:
        known = newest[0]
        lessons.append(msgspec.msgpack.decode(newest[1], type=Lesson))
    return next((each for each in reversed(lessons) if each.auto == auto), lessons[-1])
