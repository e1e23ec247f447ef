"""Logistic regression with a prior, by Newton's method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS: Final = 30
_SMALLEST: Final = 1e-6


def regression(columns: Floats, scores: Floats, odds: Floats, start: Floats, pull: Floats) -> Floats:
    """Returns the weights (K,) by which `odds + columns @ weights` are the likeliest log-odds of the scores.

    `columns` are (N, K), `scores` (N,) from 0 to 1, `odds` (N,) are known beforehand. The weights' prior is normal
    about `start` (K,), with the precisions `pull` (K,).
    """

    def cost(weights: Floats) -> float:
        log_odds, moved = odds + columns @ weights, weights - start
        return float((np.logaddexp(0, log_odds) - scores * log_odds).sum() + moved @ (pull * moved) / 2)

    found = start
    for _ in range(_STEPS):
        chance = np.exp(-np.logaddexp(0, -(odds + columns @ found)))
        slope = (scores - chance) @ columns - pull * (found - start)
        curve = (columns.T * (chance * (1 - chance))) @ columns + np.diag(pull)
        step, now = np.linalg.solve(curve, slope), cost(found)
        # Where some rows are far from the others, a whole step would go beyond the lowest cost, and the next one
        # farther.
        while cost(found + step) > now and np.abs(step).max() > _SMALLEST:
            step = step / 2
        found = found + step
        if np.abs(step).max() <= _SMALLEST:
            break
    return found
