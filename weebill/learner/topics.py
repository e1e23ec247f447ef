"""The topic of the learner process: takes reports and ratings in, and tells the workers lessons.

All of it runs in one thread, the topic's own.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw

from weebill.auto.evidence import FEWEST
from weebill.auto.learning import (
    NOBODY,
    CurveQuestion,
    LearnerQuestion,
    Lesson,
    Pair,
    Rate,
    Rated,
    Report,
    StandingQuestion,
)
from weebill.auto.standing import Standing
from weebill.auto.tradeoff import Tradeoff
from weebill.config.auto import AutoSettings
from weebill.learner.belief import Belief, initial
from weebill.learner.spending import NANO, Spending
from weebill.learner.state import Knowledge
from weebill.process.questions import Position, Unanswered, encode
from weebill.storage.outcomes import OutcomeError, OutcomeStore, UnkeepableError

# Working out a threshold takes some milliseconds for each hundred audits.
_REFIT_S: Final = 1.0
_REFIT_AUDITS: Final = 25
_REFIT_DECISIONS: Final = 200

log = logging.getLogger(__name__)

_decode_question: Final = msgspec.msgpack.Decoder(LearnerQuestion).decode
_decode_position: Final = msgspec.msgpack.Decoder(Position).decode


class Learning:
    """The knowledge of one installation, in the store at `path`. Raises OutcomeError."""

    def __init__(
        self,
        path: Path,
        settings: AutoSettings,
        believe: Callable[[Pair], Belief] = initial,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._believe = believe
        self._clock = clock
        self._store = OutcomeStore(path)
        self._spending = Spending(self._store.spent())
        self._source = secrets.token_hex(8)
        self._version = 0
        self._lesson = b""
        self._changed = False
        self._fitted_at = 0.0
        self._fitted = (0, 0, settings)
        self._knowledge: Knowledge | None = None
        self._decisions = 0
        pair = self._store.newest_pair()
        if pair is None:
            self._version = 1
            self._lesson = encode(Lesson(source=self._source, version=1, pair=NOBODY, decisions=0))
        else:
            self._turn_to(pair)

    def answer(self, question: Raw) -> bytes:
        """Returns the answer that `weebill.auto.learning` defines. Raises Unanswered."""
        try:
            return encode(self._answered(_decode_question(question)))
        except OutcomeError as error:
            raise Unanswered(str(error)) from error

    def feed(self, position: Raw) -> LessonFeed:
        """Returns a feed of the lessons that are newer than that position."""
        return LessonFeed(self, _decode_position(position))

    def newest(self, known: Position) -> tuple[Position, bytes] | None:
        """Returns the newest lesson, None if it is known; works it out first if enough has happened."""
        self._refresh()
        position = Position(self._source, self._version)
        return None if not self._lesson or position == known else (position, self._lesson)

    def _answered(self, question: LearnerQuestion) -> Rated | Standing | Tradeoff | None:
        match question:
            case Report():
                self._report(question)
                return None
            case Rate(request_id=request_id, key_id=key_id, score=score, comment=comment):
                kept = comment if self.settings.outcomes.keep_content else ""
                found = self._store.rate(request_id, key_id, score, int(self._clock()), kept)
                if found is None:
                    return None
                pair, outcome = found
                if self._knowledge is not None and self._knowledge.pair == pair:
                    self._knowledge.add((), (outcome,))
                    self._changed = True
                return Rated(outcome.tier)
            case StandingQuestion():
                return None if self._knowledge is None else self._knowledge.standing(self.settings)
            case CurveQuestion():
                return None if self._knowledge is None else self._knowledge.tradeoff(self.settings)

    def _report(self, report: Report) -> None:
        try:
            outcomes = self._store.add(report)
        except UnkeepableError as error:
            log.error("a report is passed over, as it could never be kept: %s", error)
            return
        for each in outcomes:
            self._spending.add(each.at, each.spent_nano or 0)
        if self._knowledge is not None and self._knowledge.pair == report.pair:
            self._knowledge.add(report.decided, outcomes)
        elif report.decided:  # not for late audits of models that are no longer asked
            self._turn_to(report.pair)  # what was just kept is read with the rest
        self._decisions += len(report.decided)
        self._changed = True

    def _turn_to(self, pair: Pair) -> None:
        """Recalls all that is known of a pair."""
        self._knowledge = Knowledge(
            pair,
            self._store.count(pair),
            self._store.decisions(pair),
            self._store.outcomes(pair),
            lambda: self._believe(pair),
        )
        self._fitted = (-_REFIT_AUDITS, -_REFIT_DECISIONS, self.settings)
        self._changed = True

    def _refresh(self) -> None:
        now, knowledge = self._clock(), self._knowledge
        # A clock that was set back must not hold it up.
        if knowledge is None or self._fitted_at <= now < self._fitted_at + _REFIT_S:
            return
        audits, decisions, settings = self._fitted
        due = knowledge.judged >= audits + _REFIT_AUDITS or self._decisions >= decisions + _REFIT_DECISIONS
        due = due or audits < FEWEST <= knowledge.judged
        if due or settings != self.settings:
            knowledge.refit(self.settings)
            self._fitted = (knowledge.judged, self._decisions, self.settings)
        elif not self._changed:
            return
        self._changed = False
        self._fitted_at = now
        self._version += 1
        funded = self._spending.within_a_day(now) < self.settings.audits.budget_usd * NANO
        self._lesson = encode(knowledge.lesson(self.settings, self._source, self._version, funded=funded))


class LessonFeed:
    """Sends one asker the lessons."""

    def __init__(self, learning: Learning, known: Position) -> None:
        self._learning = learning
        self._known = known

    def news(self) -> bytes | None:
        """Returns a `Lesson` if there is one since the last call."""
        newest = self._learning.newest(self._known)
        if newest is None:
            return None
        self._known, lesson = newest
        return lesson
