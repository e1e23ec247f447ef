"""Measures rankings of requests as the literature measures routers.

Requests go to the strong model from the highest gain down. Accuracy against the share that went there is a curve from
the weak model's accuracy to the strong one's. With the gap between the two as the unit:

- APGR, average performance gap recovered: the area under the curve, above the weak model; random order has 0.5.
- CPT(x), call-performance threshold: the least share that recovers x of the gap.

(Ong et al., "RouteLLM: Learning to route LLMs with preference data", 2024.) Rows of equal gain go in random order; the
figures are its expectation, so they depend only on the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 1000
SMALLEST_GAP = 1e-9  # in rows; less is the rounding error of zero
CONFIDENCE = 0.95
CALIBRATION_BINS = 10


class MeasureError(ValueError):
    """The measure is not defined on these rows."""


class Interval(NamedTuple):
    """A figure and its 95% confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measures:
    """The figures of a ranking. `apgr`, and the shares `cpt50` and `cpt80`, are from 0 to 1; lower shares are
    better.
    """

    rows: int
    weak: float
    strong: float
    apgr: Interval
    cpt50: Interval
    cpt80: Interval

    @classmethod
    def mean(cls, several: Sequence[Measures]) -> Measures:
        """Returns the mean of measures on independent rows or draws; bounds of intervals are means of the bounds."""

        def interval(of: Iterable[Interval]) -> Interval:
            return Interval(*np.mean(list(of), axis=0).tolist())

        return cls(
            rows=sum(each.rows for each in several),
            weak=float(np.mean([each.weak for each in several])),
            strong=float(np.mean([each.strong for each in several])),
            apgr=interval(each.apgr for each in several),
            cpt50=interval(each.cpt50 for each in several),
            cpt80=interval(each.cpt80 for each in several),
        )


def curve(gain: Floats, weak: Floats, strong: Floats) -> Floats:
    """Returns (N + 1,) mean quality after the first 0, 1, ... N rows have gone to the strong model."""
    steps = _steps(gain, strong - weak)
    quality: Floats = weak.mean() + np.concatenate(([0.0], np.cumsum(steps))) / len(gain)
    return quality


def apgr(gain: Floats, weak: Floats, strong: Floats) -> float:
    """Returns the APGR. Raises MeasureError if the strong model is no better than the weak one."""
    return float(_figures(_steps(gain, strong - weak))[0])


def calibration_error(chance: Floats, outcome: Floats) -> float:
    """Returns the expected calibration error: the mean distance between chance and outcome, over ten even bins."""
    place = np.minimum((chance * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    distance = np.bincount(place, chance - outcome, CALIBRATION_BINS)
    return float(np.abs(distance).sum() / len(chance))


def measure(gain: Floats, weak: Floats, strong: Floats, seed: int = 0) -> Measures:
    """Returns all figures, with intervals by the bootstrap over rows. Raises MeasureError as `apgr` does."""
    steps = _steps(gain, strong - weak)
    value = _figures(steps)
    generator = np.random.default_rng(seed)
    count = len(steps)
    samples = []
    for _ in range(RESAMPLES):
        drawn = np.sort(generator.integers(0, count, count))  # a sample of rows, still in the order of their gain
        if steps[drawn].sum() >= SMALLEST_GAP:
            samples.append(_figures(steps[drawn]))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, (tail, 1 - tail), axis=0)
    intervals = (Interval(*each) for each in np.transpose((value, low, high)).tolist())
    return Measures(count, float(weak.mean()), float(strong.mean()), *intervals)


def _steps(gain: Floats, improvement: Floats) -> Floats:
    """Returns the improvement by each row, best gain first; rows of equal gain have their mean."""
    if not len(gain):
        raise MeasureError("no row has the outcomes of both tiers, so that no order can be measured")
    order = np.argsort(-gain, kind="stable")
    ordered = improvement[order]
    starts = np.flatnonzero(np.diff(gain[order], prepend=np.inf))
    lengths = np.diff(starts, append=len(gain))
    steps: Floats = np.repeat(np.add.reduceat(ordered, starts) / lengths, lengths)
    return steps


def _figures(steps: Floats) -> tuple[float, float, float]:
    recovered = np.concatenate(([0.0], np.cumsum(steps)))
    if recovered[-1] < SMALLEST_GAP:
        raise MeasureError("the strong model is no better than the weak one on these rows: there is no gap to recover")
    recovered /= recovered[-1]
    area = (recovered.sum() - (recovered[0] + recovered[-1]) / 2) / len(steps)
    return area, _share(recovered, 0.5), _share(recovered, 0.8)


def _share(recovered: Floats, wanted: float) -> float:
    return float(np.argmax(recovered >= wanted - 1e-12)) / (len(recovered) - 1)
