"""Applies the learner's lessons to requests, in a few microseconds each."""

from __future__ import annotations

from bisect import bisect_right

from weebill.auto.decision import TierChances
from weebill.auto.gains import Line, decode, describe, packed, unpacked
from weebill.auto.learning import Lesson


class Learnt:
    """Applies lessons; keeps the last one decoded. Belongs to one thread."""

    def __init__(self) -> None:
        self._posterior = b""
        self._line: Line | None = None

    def describe(self, chances: TierChances) -> bytes:
        """Returns the features of a request."""
        return packed(describe(chances))

    def gain(self, features: bytes, lesson: Lesson) -> float:
        """Returns the gain that the lesson expects."""
        if self._line is None or self._posterior is not lesson.posterior:
            self._posterior, self._line = lesson.posterior, decode(lesson.posterior)
        [row] = unpacked([features])
        return self._line.gain(row)

    def rank(self, features: bytes, lesson: Lesson) -> float:
        """Returns the share of the newest requests that have a smaller gain."""
        gains = lesson.gains
        return bisect_right(gains, self.gain(features, lesson)) / len(gains)
