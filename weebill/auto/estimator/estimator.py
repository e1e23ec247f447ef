"""The estimator: a few look-ups and two dot products for each request. Pure, and safe to share."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache, cached_property
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.artefact import (
    EMBEDDING,
    ROUTER,
    TIERS,
    Card,
    Embedding,
    Model,
    read_embedding,
    read_model,
)
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.estimator.estimate import Chances, merit
from weebill.auto.estimator.text import OPTIONS, ngrams, standardised, surface, visible
from weebill.auto.estimator.wordpiece import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Estimator:
    """Estimates from text alone. It reads its file once; later there is no file, network, clock or randomness."""

    def __init__(self, model: Model, embedding: Path = EMBEDDING) -> None:
        self._model = model
        self._embedding = embedding
        self._words = Words(model.vocabulary)
        self._quantiles: list[float] = model.quantiles.tolist()

    @classmethod
    def load(cls, path: Path | None = None) -> Estimator:
        """Returns the estimator in `path`, or the packaged one, which is read once for all reloads.

        Raises ArtefactError, or OSError.
        """
        return cls(read_model(path)) if path is not None else _packaged()

    @property
    def card(self) -> Card:
        """The description of this estimator."""
        return self._model.card

    def embedder(self, path: Path = EMBEDDING) -> Embedder:
        """Returns the embedder in `path`, which reads a text once with this estimator if their vocabularies are the
        same. Raises ArtefactError, or OSError.
        """
        embedding = read_embedding(path) if path != EMBEDDING else _packaged_embedding()
        return Embedder(embedding, self._words if embedding.vocabulary == self._model.vocabulary else None)

    def estimate(self, text: str) -> Chances:
        """Returns the chances of each tier for `text`. Every text has an estimate, even an empty one."""
        logits, options = self.logits(text)
        compact, large = logits[0], logits[-1]
        mid = logits[1] if len(logits) == len(TIERS) else (compact + large) / 2
        low, high = _logistic(compact), _logistic(large)
        return Chances(low, _logistic(mid), high, self._rank(merit(low, high, options)))

    def merit(self, text: str) -> float:
        """Returns the value that `Chances.gain` ranks."""
        logits, options = self.logits(text)
        return merit(_logistic(logits[0]), _logistic(logits[-1]), options)

    def logits(self, text: str) -> tuple[list[float], bool]:
        """Returns calibrated logits, one for each tier, and True if `text` has options to choose from."""
        model = self._model
        seen = visible(text)
        hashes, pieces = self._words.read(seen)
        marks = surface(seen, len(hashes))
        standard = standardised(marks, model.surface_mean, model.surface_scale)
        values: NDArray[np.float32] = standard @ model.surface + model.bias
        if len(hashes):
            buckets, weights = ngrams(hashes)
            rows = model.ngrams[buckets]
            tf_idf = weights * rows[:, 0]
            if (norm := float(tf_idf @ tf_idf)) > 0:
                values += (weights @ rows)[1:] / norm**0.5
        if len(pieces):
            total = model.pieces[pieces].sum(0)
            values += total[1:] / total[0]
        scale, shift = model.calibration
        return (scale * values + shift).tolist(), bool(marks[OPTIONS])

    def embed(self, text: str) -> NDArray[np.float32]:
        """Returns a unit vector, close to those of texts with the same meaning; zero for a text without a
        known word.
        """
        return self._embedder.embed(text)

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder.load(self._embedding)

    def _rank(self, value: float) -> float:
        """Returns the rank of a merit among the training rows', 0 to 1, interpolated between quantiles."""
        quantiles = self._quantiles
        above = bisect_left(quantiles, value)
        if above == 0:
            return 0.0
        if above == len(quantiles):
            return 1.0
        low, high = quantiles[above - 1], quantiles[above]
        return (above - 1 + (value - low) / (high - low)) / (len(quantiles) - 1)


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))


@cache
def _packaged() -> Estimator:
    return Estimator(read_model(ROUTER))


@cache
def _packaged_embedding() -> Embedding:
    return read_embedding(EMBEDDING)
