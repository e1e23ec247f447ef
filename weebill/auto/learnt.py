"""Describes requests for the learner, and applies its lessons to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.doubt import Doubt
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.gains import decoded, packed
from weebill.auto.learning import Lesson
from weebill.auto.place import PRIOR, Places, read_prior
from weebill.auto.traits import subject
from weebill.auto.trust import Expected
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
        self._weights: NDArray[np.float64] = np.zeros((2, 0))
        self._doubt = Doubt(np.zeros((0, 0)))

    @classmethod
    def load(cls, embedder: Embedder, path: Path = PRIOR) -> Learnt:
        """Returns one with the packaged features. Raises ArtefactError, or OSError."""
        projection = read_prior(path).projection
        return cls(Places(projection, embedder), projection.name)

    def describe(self, asked: Conversation) -> bytes:
        """Returns the features of a request."""
        return packed(self._places.features(subject(asked)))

    def expect(self, features: bytes, lesson: Lesson) -> Expected:
        """Returns what the lesson expects of a request."""
        if self._posterior is not lesson.posterior:
            self._posterior, self._weights = lesson.posterior, decoded(lesson.posterior)
            self._doubt = Doubt.decoded(lesson.doubt) if lesson.doubt else Doubt.none(self._weights.shape[1])
        row = np.frombuffer(features, "<f2").astype(np.float64)
        small, large = (self._weights @ row).tolist()
        return Expected(small, large, self._doubt.about(row))
