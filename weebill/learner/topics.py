"""The topic of the learner process: takes reports and ratings in, and tells the workers lessons.

All of it runs in one thread, the topic's own.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw

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
from weebill.config.schema import Settings
from weebill.learner.belief import Belief, initial
from weebill.learner.course import Course
from weebill.learner.state import Knowledge
from weebill.process.questions import Position, Unanswered, encode
from weebill.storage.outcomes import OutcomeError, OutcomeStore, UnkeepableError

log = logging.getLogger(__name__)

_decode_question: Final = msgspec.msgpack.Decoder(LearnerQuestion).decode
_decode_position: Final = msgspec.msgpack.Decoder(Position).decode


class Learning:
    """The knowledge of one installation, in its store. Raises OutcomeError."""

    def __init__(
        self,
        store: OutcomeStore,
        settings: Mapping[str, AutoSettings],
        believe: Callable[[Pair], Belief] = initial,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`settings` are those of each virtual model, by its name."""
        self.settings = settings
        self._believe = believe
        self._clock = clock
        self._store = store
        self._source = secrets.token_hex(8)
        self._version = 1
        self._nothing = encode(Lesson(source=self._source, version=1, pair=NOBODY, decisions=0))
        self._courses: dict[str, Course] = {}
        self._follow_settings()

    def configure(self, settings: Settings) -> None:
        """Takes over changed settings."""
        self.settings = settings.autos

    def answer(self, question: Raw) -> bytes:
        """Returns the answer that `weebill.auto.learning` defines. Raises Unanswered."""
        try:
            self._follow_settings()
            return encode(self._answered(_decode_question(question)))
        except OutcomeError as error:
            raise Unanswered(str(error)) from error

    def feed(self, position: Raw) -> LessonFeed:
        """Returns a feed of the lessons that are newer than that position."""
        return LessonFeed(self, _decode_position(position))

    def newest(self, known: Position) -> tuple[Position, bytes] | None:
        """Returns the first lesson that is not known, None if all are; works out those for which enough has
        happened.
        """
        now = self._clock()
        for auto, course in self._courses.items():
            settings = self.settings.get(auto)
            if settings is not None and course.refresh(settings, self._source, self._version + 1, now):
                self._version += 1
        since = known.version if known.source == self._source else -1
        lessons = {course.version: course.lesson for course in self._courses.values() if course.lesson}
        lessons = lessons or {1: self._nothing}
        version = min((each for each in lessons if each > since), default=None)
        return None if version is None else (Position(self._source, version), lessons[version])

    def _follow_settings(self) -> None:
        """Begins the courses of virtual models that are new, and ends those of others."""
        for auto in self.settings:
            if auto not in self._courses:
                self._courses[auto] = Course(auto, self._store, self._believe)
        self._courses = {auto: course for auto, course in self._courses.items() if auto in self.settings}

    def _answered(self, question: LearnerQuestion) -> Rated | list[Standing] | Tradeoff | None:
        match question:
            case Report():
                self._report(question)
                return None
            case Rate(request_id=request_id, key_id=key_id, score=score, comment=comment):
                return self._rated(request_id, key_id, score, comment)
            case StandingQuestion():
                return [each.standing(self.settings[auto]) for auto, each in self._known()]
            case CurveQuestion(auto=asked):
                return next((each.tradeoff(self.settings[auto]) for auto, each in self._known() if auto == asked), None)

    def _known(self) -> Iterator[tuple[str, Knowledge]]:
        """Yields the virtual models that have decided anything, with what is known of them."""
        for auto, course in self._courses.items():
            if course.knowledge is not None and auto in self.settings:
                yield auto, course.knowledge

    def _rated(self, request_id: str, key_id: str, score: float, comment: str) -> Rated | None:
        kept_for = [auto for auto, each in self.settings.items() if each.outcomes.keep_content]
        found = self._store.rate(request_id, key_id, score, int(self._clock()), comment, kept_for)
        if found is None:
            return None
        pair, outcome = found
        for course in self._courses.values():
            course.add(pair, (), (outcome,))
        return Rated(outcome.tier)

    def _report(self, report: Report) -> None:
        try:
            outcomes = self._store.add(report)
        except UnkeepableError as error:
            log.error("a report is passed over, as it could never be kept: %s", error)
            return
        for auto, course in self._courses.items():
            course.add(report.pair, [each for each in report.decided if each.auto == auto], outcomes)


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
