"""The belief about a pair: a Bayesian line for each tier, in sums alone, so that outcomes can be taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from weebill.auto.gains import WIDTH, Line, encode, unpacked
from weebill.auto.learning import Pair
from weebill.learner.state import WEIGHTS, Belief
from weebill.storage.outcomes import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The prior: each tier's weights are the shipped estimate's, give or take this much.
_PRIOR: Final = (np.array([0.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 0.0]))
_PRECISION: Final = np.diag(1 / np.array([0.5, 0.7, 0.7, 0.5]) ** 2)
_NOISE: Final = 0.45
_MEMORY: Final = 5000
"""The number of outcomes that count: older ones fade."""


class Lines:
    """Both tiers' lines: what was seen of features (T, D, D) and of their products with scores (T, D)."""

    def __init__(self, squares: Floats, products: Floats) -> None:
        self._squares = squares
        self._products = products

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            fade = 1 - 1 / _MEMORY
            self._squares *= fade
            self._products *= fade
            self._add(outcome, 1.0)

    def without(self, outcomes: Iterable[Outcome]) -> Belief:
        held_out = Lines(self._squares.copy(), self._products.copy())
        for outcome in outcomes:
            held_out._add(outcome, -1.0)
        return held_out

    def gains(self, features: Sequence[bytes]) -> Floats:
        small, large = self._weights()
        gains: Floats = unpacked(list(features)) @ (large - small)
        return gains

    def encoded(self) -> bytes:
        small, large = self._weights()
        return encode(Line(tuple((large - small).tolist())))

    def _weights(self) -> Floats:
        found: Floats = np.array(
            [
                np.linalg.solve(_PRECISION + seen / _NOISE**2, _PRECISION @ prior + product / _NOISE**2)
                for seen, product, prior in zip(self._squares, self._products, _PRIOR, strict=True)
            ]
        )
        return found

    def _add(self, outcome: Outcome, sign: float) -> None:
        [row] = unpacked([outcome.features])
        weight = sign * WEIGHTS[outcome.source]
        for tier, score in enumerate((outcome.small, outcome.large)):
            if score is not None:
                self._squares[tier] += weight * np.outer(row, row)
                self._products[tier] += weight * score * row


def initial(pair: Pair) -> Belief:
    """Returns the belief without outcomes."""
    return Lines(np.zeros((2, WIDTH, WIDTH)), np.zeros((2, WIDTH)))
