"""Measures how well few outcomes of one's own rank and calibrate, on sources that the prior has not seen.

Each source is left out in turn; the features and the prior are made from the others, without prompts that the left-out
source has too. Then each of its pairs gets N outcomes, one side known in each, and routes the rest of its prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from weebill.auto.estimator.features import Report
from weebill.auto.moments import Moments
from weebill.auto.place import Projection
from weebill.auto.posterior import LEAST, MOST, Posterior, Prior, crossfit, posterior
from weebill.factory.measures import Interval, MeasureError, apgr, calibration_error
from weebill.factory.pairs import Pair, Texts
from weebill.factory.priors import learned, projection_of, spread
from weebill.factory.scores import seen_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OUTCOMES = (0, 50, 200)
ALL = -1  # every outcome of both tiers, by cross-validation: the most that these features can give
FOLDS = 5
DRAWS = 4
MOST_LEARNED = 0.6  # of a pair's prompts: the rest is to be routed
RESAMPLES = 1000


class Adapted(NamedTuple):
    """The figures of a pair after some outcomes, a mean over draws; errors of calibration are of each tier."""

    pair: Pair
    outcomes: int
    apgr: float
    small_error: float
    large_error: float


class Summary(NamedTuple):
    """Means over files or mixtures (over their pairs first), with the interval of a bootstrap over sources."""

    apgr: Interval
    small_error: Interval
    large_error: Interval


def adaptation(every: Sequence[Pair], texts: dict[str, list[Texts]], report: Report) -> Iterator[Adapted]:
    """Yields the figures of every pair; `texts` are those of each source's files."""
    sources = sorted(texts)
    for at, source in enumerate(sources):
        projection = projection_of([each for other in sources if other != source for each in texts[other]])
        seen = seen_in(frozenset[int]().union(*(each for of in texts[source] for each in of.shingles)))
        others = [pair for pair in every if pair.source != source]
        prior = learned(
            spread(projection), [pair.source for pair in others], [_unseen(pair, projection, seen) for pair in others]
        )
        yield from as_it_is([pair for pair in every if pair.source == source], projection, prior)
        report("sources", at + 1, len(sources))


def as_it_is(every: Sequence[Pair], projection: Projection, prior: Prior) -> Iterator[Adapted]:
    """Yields the figures of every pair with a prior that there is already, which should not have learned from them."""
    for pair in every:
        yield from _adapted(pair, projection, prior)


def summary(figures: Sequence[Adapted]) -> Summary:
    """Returns the mean over the names of the pairs, and its interval."""
    by_source: dict[str, dict[str, list[Floats]]] = {}
    for each in figures:
        of_name = by_source.setdefault(each.pair.source, {}).setdefault(each.pair.name, [])
        of_name.append(np.array([each.apgr, each.small_error, each.large_error]))
    sums = np.array([sum(np.mean(pairs, axis=0) for pairs in names.values()) for names in by_source.values()])
    counts = np.array([len(names) for names in by_source.values()])
    drawn = np.random.default_rng(0).integers(0, len(counts), (RESAMPLES, len(counts)))
    resampled = sums[drawn].sum(1) / counts[drawn].sum(1)[:, None]
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    return Summary(*(Interval(*row) for row in np.transpose((sums.sum(0) / counts.sum(), low, high)).tolist()))


def _unseen(pair: Pair, projection: Projection, seen: Callable[[frozenset[int]], bool]) -> Moments:
    kept = np.array([not seen(each) for each in pair.texts.shingles], bool)
    features = projection.features(pair.texts.vectors[kept], pair.texts.marks[kept])
    return Moments.of(features, pair.outcomes[kept])


def _adapted(pair: Pair, projection: Projection, prior: Prior) -> Iterator[Adapted]:
    features = projection.features(pair.texts.vectors, pair.texts.marks)
    count = len(features)
    for wanted in OUTCOMES:
        if wanted <= MOST_LEARNED * count:
            figures = [
                each
                for seed in range(DRAWS if wanted else 1)
                if (each := _drawn(pair.outcomes, features, prior, wanted, seed)) is not None
            ]
            if figures:
                yield Adapted(pair, wanted, *np.mean(figures, axis=0).tolist())
    fold = np.random.default_rng(0).permutation(count) % FOLDS
    parts = [np.flatnonzero(fold == each) for each in range(FOLDS)]
    expected = np.empty_like(pair.outcomes)
    for part, known in zip(
        parts, crossfit(prior, [Moments.of(features[part], pair.outcomes[part]) for part in parts]), strict=True
    ):
        expected[part] = known.means(features[part])
    if (figure := _figures(expected, pair.outcomes)) is not None:
        yield Adapted(pair, ALL, *figure)


def _drawn(outcomes: Floats, features: Floats, prior: Prior, wanted: int, seed: int) -> tuple[float, ...] | None:
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(features))
    own, rest = order[:wanted], order[wanted:]
    scores = outcomes[own].copy()
    scores[np.arange(wanted), generator.permutation(np.arange(wanted) % 2)] = np.nan
    known: Posterior = posterior(prior, Moments.of(features[own], scores))
    return _figures(known.means(features[rest]), outcomes[rest])


def _figures(expected: Floats, outcomes: Floats) -> tuple[float, ...] | None:
    """Returns the APGR and the error of calibration of each tier; None if the large model is no better here."""
    chances = expected.clip(LEAST, MOST)
    try:
        area = apgr(expected[:, 1] - expected[:, 0], outcomes[:, 0], outcomes[:, 1])
    except MeasureError:
        return None
    return area, *(calibration_error(*tier) for tier in zip(chances.T, outcomes.T, strict=True))
