"""The chance of each tier to answer a request well, learned from outcomes of one's own. Pure.

The chance is linear in the request's features (the first of which is always 1), with normally distributed weights:

    score of tier t = features @ weights[t] + noise,    (weights[small], weights[large]) ~ Normal(prior)

1. The prior is what other pairs of models have in common: means, how much a weight differs from pair to pair, and how
   much those of one pair's tiers go together. As they do, an outcome of one tier tells something of the others too.
2. The posterior is exact and takes the outcomes' sums (`weebill.auto.moments`) alone. Where nothing is known it is the
   prior, and with every outcome it moves towards what the pair shows.

(Bishop, "Pattern Recognition and Machine Learning", 2006, section 3.3.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from weebill.auto.moments import Moments, MomentsError, together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST, MOST = 0.02, 0.98  # of a chance: a linear model reaches beyond 0 and 1, where no one can be as sure


@dataclass(frozen=True)
class Prior:
    """The weights' distribution for T tiers, smallest first, and D features.

    Weights of different features are independent; those of one feature differ from their mean by `scale` (D,), and go
    together between the smallest and the largest tier by `correlation` (D,), 0 to 1 (without 1); tiers in between are
    nearer to both. `noise` is the standard deviation of a score around its chance.
    """

    mean: Floats  # (T, D)
    scale: Floats
    correlation: Floats
    noise: float

    @property
    def tiers(self) -> int:
        return len(self.mean)

    @property
    def dimensions(self) -> int:
        return len(self.mean[0])

    def of_tiers(self, count: int) -> Prior:
        """Returns the prior for two or more tiers, the means of those in between evenly spaced."""
        share = np.linspace(0, 1, count)[:, None]
        return Prior((1 - share) * self.mean[0] + share * self.mean[-1], self.scale, self.correlation, self.noise)

    def precision(self) -> Floats:
        """Returns (T, D, T, D), the inverse of the weights' covariance."""
        tiers, dimensions = self.mean.shape
        apart = np.abs(np.subtract.outer(np.arange(tiers), np.arange(tiers))) / max(tiers - 1, 1)
        between = np.linalg.inv(self.correlation[:, None, None] ** apart) / self.scale[:, None, None] ** 2  # (D, T, T)
        found = np.zeros((tiers, dimensions, tiers, dimensions))
        each = np.arange(dimensions)
        found[:, each, :, each] = between
        return found


class Prediction(NamedTuple):
    """The expected score of each tier (T,), not held within 0 and 1, so that it ranks; and its variance (T,)."""

    mean: Floats
    variance: Floats

    def chances(self) -> Floats:
        """Returns the chance of each tier (T,) to answer well."""
        return self.mean.clip(LEAST, MOST)


@dataclass(frozen=True)
class Posterior:
    """The weights after some outcomes: their mean (T, D), and each tier's covariance (T, D, D)."""

    mean: Floats
    covariance: Floats

    def predict(self, features: Floats) -> Prediction:
        """Returns the prediction for features (D,)."""
        return Prediction(self.mean @ features, (self.covariance @ features) @ features)

    def means(self, features: Floats) -> Floats:
        """Returns (N, T) expected scores for features (N, D)."""
        return features @ self.mean.T


@dataclass(frozen=True)
class Difference:
    """The weights of the smallest and of the largest tier: their means (D,), and the covariance (D, D) of the largest
    tier's less the smallest one's.
    """

    small: Floats
    large: Floats
    covariance: Floats


def posterior(prior: Prior, moments: Moments) -> Posterior:
    """Returns what is known after the outcomes. Raises MomentsError if tiers or features differ from the prior's.

    It takes the inverse of a matrix of T * D rows: milliseconds, which a worker need not spend for each outcome.
    """
    mean, covariance = _joint(prior, moments)
    each = np.arange(prior.tiers)
    return Posterior(mean, covariance[each, :, each, :])


def difference(prior: Prior, moments: Moments) -> Difference:
    """Returns what is known of the gain of the largest tier. Raises MomentsError as `posterior` does."""
    mean, covariance = _joint(prior, moments)
    small, large = covariance[0], covariance[-1]
    return Difference(mean[0], mean[-1], large[:, -1] - large[:, 0] - small[:, -1] + small[:, 0])


def _joint(prior: Prior, moments: Moments) -> tuple[Floats, Floats]:
    """Returns the weights' mean (T, D) and covariance (T, D, T, D)."""
    shape = (tiers, dimensions) = prior.mean.shape
    if moments.scores.shape != shape:
        raise MomentsError(f"the prior is of shape {shape}, the outcomes' sums are of {moments.scores.shape}")
    precision = prior.precision()
    pull = np.einsum("tdue,ue->td", precision, prior.mean) + moments.scores / prior.noise**2
    each = np.arange(tiers)
    precision[each, :, each, :] += moments.features / prior.noise**2
    size = tiers * dimensions
    covariance = np.linalg.inv(precision.reshape(size, size)).astype(np.float64, copy=False)
    mean = (covariance @ pull.ravel()).reshape(shape)
    return mean, covariance.reshape(tiers, dimensions, tiers, dimensions)


def crossfit(prior: Prior, folds: Sequence[Moments]) -> list[Posterior]:
    """Returns for each fold the posterior after the outcomes of all the others, by which that fold can be judged."""
    whole = together(folds)
    return [posterior(prior, whole - fold) for fold in folds]
