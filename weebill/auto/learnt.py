"""Describes requests for the learner, and applies its lessons to them."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.doubt import Doubt
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.gains import decoded, packed
from weebill.auto.learning import Lesson
from weebill.auto.place import PRIOR, Places, read_prior
from weebill.auto.traits import subject
from weebill.wire.conversation import Conversation

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Learnt:
    """Places requests among texts; keeps the last lesson decoded. Belongs to one thread."""

    def __init__(self, places: Places, name: str) -> None:
        """`name` is that of the features."""
        self.name = name
        self._places = places
        self._posterior: bytes | None = None
        self._weights: NDArray[np.float64] = np.zeros(0)
        self._doubt = Doubt(np.zeros((0, 0)))

    @classmethod
    def load(cls, embedder: Embedder, path: Path = PRIOR) -> Learnt:
        """Returns one with the packaged features. Raises ArtefactError, or OSError."""
        projection = read_prior(path).projection
        return cls(Places(projection, embedder), projection.name)

    def describe(self, asked: Conversation) -> bytes:
        """Returns the features of a request."""
        return packed(self._places.features(subject(asked)))

    def gain(self, features: bytes, lesson: Lesson) -> float:
        """Returns the gain that the lesson expects, with the doubt about it."""
        self._hear(lesson)
        row = np.frombuffer(features, "<f2").astype(np.float64)
        return float(self._weights @ row) + self._doubt.about(row)

    def rank(self, features: bytes, lesson: Lesson) -> float:
        """Returns the share of the newest requests that have a smaller gain, without doubt."""
        self._hear(lesson)
        gain = float(self._weights @ np.frombuffer(features, "<f2"))
        return bisect_right(lesson.gains, gain) / len(lesson.gains)

    def _hear(self, lesson: Lesson) -> None:
        if self._posterior is not lesson.posterior:
            self._posterior, self._weights = lesson.posterior, decoded(lesson.posterior)
            self._doubt = Doubt.decoded(lesson.doubt)
