"""The quality that every threshold would keep and the spend that it would take, by audits. Pure.

1. An audit weighs one over its probability (Horvitz and Thompson, 1952) times its recency, so the curve is of the
   traffic of late, whatever the probabilities were.
2. What is lost is the share of the large tier's quality that is in requests below the threshold, times what the small
   tier loses of that. Each is a ratio with a linearised variance. Among few audits without a loss, the variance says
   nothing, so the bounds are those of a score test (Wilson, "Probable inference", 1927), where the variance grows with
   the loss; they are combined as those of a product (Zou and Donner, 2008).
3. A spend needs prices: the small tier's is a ratio of sums over the audits in which both are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from weebill.auto.evidence import FEWEST, Audits, effective
from weebill.auto.intervals import Interval
from weebill.auto.standing import Standing
from weebill.auto.tradeoff import MOST_POINTS, Point, Tradeoff
from weebill.config.auto import TargetSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indexes = NDArray[np.intp]

_Z: Final = 1.959964  # of a two-sided interval of 95 %


class Costs(NamedTuple):
    """The prices of both tiers' answers to each audited request in nano-dollars, NaN where one is not known."""

    small: Floats
    large: Floats


def weigh(audits: Audits, recency: Floats) -> Floats:
    """Returns the weights of audits, which sum to 1."""
    weights: Floats = recency / audits.probability
    return weights / (weights.sum() or 1.0)


def curve(
    gains: Floats, audits: Audits, recency: Floats, costs: Costs, thresholds: Sequence[float] | None = None
) -> tuple[Point, ...]:
    """Returns the points of these thresholds, or of all of them: at most `MOST_POINTS`, evenly spread over the
    requests, from the large tier alone to the small tier alone. There are none where the audits say too little.

    `gains` are the audits' predicted gains, each from a model that has not seen it; `recency` says how much each
    counts.
    """
    weights = weigh(audits, recency)
    if effective(weights) < FEWEST or not weights @ audits.large:
        return ()
    order = np.argsort(gains, kind="stable")
    ranked, weights = gains[order], weights[order]
    small, large = audits.small[order], audits.large[order]
    edges = _spread(ranked, weights) if thresholds is None else np.maximum(thresholds, ranked[0])
    below = np.searchsorted(ranked, edges)
    shares = _before(weights)[below]
    most = inf if (small > large).any() else 1.0
    losses = _losses(weights, small, large, below)
    spends = _spends(weights, costs.small[order], costs.large[order], below)
    return tuple(
        Point(
            threshold=float(edge) if np.isfinite(edge) else None,
            large_share=1 - float(share),
            spend=spend,
            quality=Interval(*(min(most, max(0.0, 1 - float(each))) for each in loss)),
        )
        for edge, share, spend, loss in zip(edges, shares, spends, losses.T, strict=True)
    )


def tradeoff(
    standing: Standing,
    target: TargetSettings,
    gains: Floats,
    audits: Audits,
    recency: Floats,
    costs: Costs,
    threshold: float,
) -> Tradeoff:
    """Returns the curve with the present point; `threshold` is the one that keeps a quality, if that is the target."""
    name, value = target.chosen
    points = curve(gains, audits, recency, costs)
    present = curve(gains, audits, recency, costs, [threshold]) if name == "quality" else ()
    spent, auditing = standing.spend, standing.audits_spend
    return Tradeoff(
        pair=standing.pair,
        target=name,
        value=value,
        audits=standing.audits,
        effective=effective(weigh(audits, recency)),
        fewest=FEWEST,
        points=tuple(sorted({*points, *present}, key=lambda each: -each.large_share)),
        present=present[0] if present else None,
        kept=Point(
            threshold=standing.threshold,
            large_share=standing.large_share,
            spend=None if spent is None or auditing is None else spent - auditing,
            quality=standing.quality,
        ),
    )


def _spread(ranked: Floats, weights: Floats) -> Floats:
    """Returns thresholds between which about as many requests are; one for equal gains."""
    padded = np.append(ranked, inf)
    distinct = np.flatnonzero(np.diff(padded, prepend=-inf))
    if len(distinct) >= MOST_POINTS:  # there is room for one more
        at = np.searchsorted(_before(weights)[distinct], np.linspace(0, 1, MOST_POINTS - 1))
        distinct = distinct[np.unique(np.minimum(at, len(distinct) - 1))]
    return padded[distinct]


def _losses(weights: Floats, small: Floats, large: Floats, below: Indexes) -> Floats:
    """Returns what is lost if so many audits stay small, as rows: the value, its upper and its lower bound."""
    lost = large - small
    mass = _before(weights * large)
    part, total = mass[below], mass[-1]
    share = part / total
    rate = np.divide(_before(weights * lost)[below], part, out=np.zeros(len(below)), where=part > 0)
    squares = weights**2
    own, cross, base = (_before(squares * each)[below] for each in (lost**2, lost * large, large**2))
    rest = np.maximum(squares @ large**2 - base, 0.0)
    of_rate = _ratio(np.maximum(own - 2 * rate * cross + rate**2 * base, 0.0), part**2)
    of_share = ((1 - share) ** 2 * base + share**2 * rest) / total**2
    counts, own_weight = _before(squares)[below], _before(weights)[below]
    rate_up, rate_down = _bounds(rate, of_rate, _ratio(counts, part * own_weight))
    share_up, share_down = _bounds(share, of_share, np.full(len(below), weights @ weights / total))
    free = below < len(weights)  # with all of them below, no other request is
    share_up, share_down = share_up * free, share_down * free
    value = share * rate
    up = np.hypot(share * np.minimum(rate_up, 1 - rate), rate * share_up)
    down = np.hypot(share * rate_down, rate * share_down)
    return np.stack([value, value + up, value - down])


def _bounds(rate: Floats, variance: Floats, one: Floats) -> tuple[Floats, Floats]:
    """Returns how far the bounds are above and below a rate, whose variance changes by `one` for each unit that it is
    higher, and by minus that near 1.
    """
    plain = _Z * np.sqrt(variance)
    half = _Z**2 * one * np.clip(1 - 2 * rate, -1, 1) / 2
    root = np.hypot(half, plain)
    return np.maximum(plain, root + half), np.maximum(plain, root - half)


def _spends(weights: Floats, small: Floats, large: Floats, below: Indexes) -> list[float | None]:
    """Returns the spend if so many audits stay small, as a share of that of the large tier alone."""
    both = ~np.isnan(small) & ~np.isnan(large)
    alone = float(weights[both] @ large[both])
    if both.sum() < FEWEST or not alone:
        return [None] * len(below)
    price = float(weights[both] @ small[both]) / alone
    costs = _before(weights * np.nan_to_num(large))
    return [1 - (1 - price) * float(each) for each in costs[below] / costs[-1]]


def _before(values: Floats) -> Floats:
    """Returns the sums of the first 0, 1, 2 ... values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
