"""Makes the prior over pairs of models: the features, and the weights that pairs have in common.

1. Features: the directions in which the embedded prompts differ most, and the mean and deviation of each mark.
2. Spread: how far a pair's weights are from those of other pairs, by block: constants of this file.
3. Mean: the weights' mean over pairs that, with this spread, explains their outcomes best; each source counts the same.

Spreads and correlations that were learned (expectation maximisation over all pairs) did worse on sources that were left
out: there are too few sources to tell in which directions pairs differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.moments import Moments
from weebill.auto.place import Projection
from weebill.auto.posterior import Prior
from weebill.factory.pairs import Pair, Texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DIRECTIONS = 32
ROWS_OF_FILE = 400  # that the directions are found from, so that no file outweighs the others
# Standard deviations of the constant, of a weight of the embedding and of a mark. Half of the last two costs up to
# 0.009 APGR after 50 or 200 outcomes, double up to 0.005.
CONSTANT_SCALE, DIRECTION_SCALE, MARK_SCALE = 0.17, 0.2, 0.15
CORRELATION = 0.6
NOISE = 0.43  # of a score that is 0 or 1 and as often one as the other it is 0.5, of one that is mostly 1, less
START = (0.5, 0.72)  # the mean scores of the tiers, before any source has spoken
START_WEIGHT = 12.0  # in sources: with so few, their mean is not to be believed
ROWS_OF_PAIR = 1500


def projection_of(texts: Sequence[Texts]) -> Projection:
    """Returns the features for texts like these."""
    vectors = np.concatenate([each.vectors[:ROWS_OF_FILE] for each in texts])
    marks = np.concatenate([each.marks[:ROWS_OF_FILE] for each in texts])
    centre = vectors.mean(0)
    _, _, directions = np.linalg.svd(vectors - centre, full_matrices=False)
    return Projection(centre, directions[:DIRECTIONS].T, marks.mean(0), marks.std(0) + 1e-6)


def spread(projection: Projection) -> Prior:
    """Returns the prior that no source has spoken to yet."""
    marks, directions = len(projection.surface_mean), projection.directions.shape[1]
    mean = np.zeros((len(START), projection.dimensions))
    mean[:, 0] = START
    scale = np.repeat((CONSTANT_SCALE, DIRECTION_SCALE, MARK_SCALE), (1, directions, marks))
    return Prior(mean, scale, np.full(projection.dimensions, CORRELATION), NOISE)


def moments_of(pair: Pair, projection: Projection) -> Moments:
    """Returns the sums over all outcomes of a pair."""
    return Moments.of(projection.features(pair.texts.vectors, pair.texts.marks), pair.outcomes)


def learned(start: Prior, sources: Sequence[str], moments: Sequence[Moments]) -> Prior:
    """Returns the prior whose mean fits the pairs best; `sources` names each pair's.

    A pair's outcomes, with its own weights integrated out, say this of the mean of all pairs' weights: their precision
    is P - P (P + L)^-1 P, where P is that of the spread, L that of the pair's outcomes.
    """
    size = start.mean.size
    precision = start.precision().reshape(size, size)
    known, pull = START_WEIGHT * precision, START_WEIGHT * (precision @ start.mean.ravel())
    pairs_of = Counter(sources)
    each = np.arange(start.tiers)
    for source, sums in zip(sources, moments, strict=True):
        trusted = min(1.0, ROWS_OF_PAIR / max(sums.count.max(), 1.0)) / start.noise**2
        of_pair = np.zeros((*start.mean.shape, *start.mean.shape))
        of_pair[each, :, each, :] = trusted * sums.features
        given = precision @ np.linalg.inv(precision + of_pair.reshape(size, size))
        known = known + (precision - given @ precision) / pairs_of[source]
        pull = pull + given @ (trusted * sums.scores.ravel()) / pairs_of[source]
    mean = np.linalg.solve(known, pull).astype(np.float64, copy=False).reshape(start.mean.shape)
    return Prior(mean, start.scale, start.correlation, start.noise)
