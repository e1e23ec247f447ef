"""The audited truth about `auto`: the quality of its answers, with an interval, and the threshold that keeps a target.

An audit is a request whose answer was also made by the other tier, and both were scored. Whether a request is audited
is drawn before anybody knows the scores, with a probability that is kept.

1. `quality` weighs each audit by one over its probability (Horvitz and Thompson, "A generalization of sampling without
   replacement from a finite universe", 1952), so audits of different times may have different probabilities.
2. `choose` looks for the largest share of requests that the small tier may answer. Its quality is estimated on gains
   that were predicted without the audit itself, and must reach the target with as much certainty as `Caution` asks for.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from weebill.auto.intervals import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]

_Z: Final = 1.959964  # of a two-sided interval of 95 %
FEWEST: Final = 20
"""The number of audits below which nothing is said and everything is left to the large tier."""
MEMORY: Final = 300.0
"""The requests after which an audit counts 1/e of a new one for the threshold, unless too few were audited."""
MEMORY_AUDITS: Final = 25.0
"""The audits after which one counts at least 1/e of a new one."""


class Audits(NamedTuple):
    """N audits, each an element of four arrays.

    `small` and `large` are the scores of the tiers' answers, 0 to 1; `kept_small` is True if the client got the small
    tier's; `probability` is that of the audit, more than 0.
    """

    small: Floats
    large: Floats
    kept_small: Booleans
    probability: Floats


class Caution(NamedTuple):
    """The certainty that a threshold must have.

    With certainty `z` (in standard errors, one-sided), the quality may be at most `tolerance` below the target. No
    request with a gain of more than `most_gain` stays small: a share of useless answers would keep the target, too.
    """

    tolerance: float = 0.02
    z: float = 2.0
    most_gain: float = 0.5


class Choice(NamedTuple):
    """Requests with a gain of at least `threshold` go to the large tier; `small_share` of the audited ones are below,
    and `quality` is what that keeps of the large tier's.
    """

    threshold: float
    small_share: float
    quality: float


LARGE_ALONE: Final = Choice(-inf, 0.0, 1.0)
CAUTION: Final = Caution()


def quality(audits: Audits, requests: int, *, judged: float = 1.0, all_large: bool = False) -> Interval | None:
    """Returns the quality of the answers to `requests`, of which the audits are a sample, as a share of the large
    tier's alone; None if it is not known.

    The interval holds for the requests themselves, so it is a point where all of them were audited and judged, or where
    the large tier answered all of them (`all_large`). `judged` is the share of the audits drawn that could be judged;
    the others are taken for the same, so it is as if audits had been drawn so much more rarely.
    """
    if len(audits.small) < FEWEST:
        return None
    if all_large:
        return Interval(1.0, 1.0, 1.0)
    weights = 1 / (audits.probability * judged)
    large = float(np.average(audits.large, weights=weights))
    if not large:
        return None
    lost = np.where(audits.kept_small, audits.large - audits.small, 0.0)
    value = 1 - float(weights @ lost) / (requests * large)
    # One loss more, of the heaviest audit, as none among few says little.
    heaviest = float(weights.max()) if weights.max() > 1 else 0.0
    variance = float((weights * (weights - 1)) @ lost**2) + heaviest * (heaviest - 1)
    half = _Z * sqrt(variance) / (requests * large)
    return Interval(value, value - half, value + half)


def recency(ages: Floats) -> Floats:
    """Returns the weights of audits that are so many requests old: traffic changes, and what was true of other traffic
    misleads.

    An audit fades with the requests after it or with the audits after it, whichever are fewer: where few requests are
    audited, the newest would be too few to know anything.
    """
    later = np.argsort(np.argsort(ages, kind="stable"), kind="stable")
    return np.exp(-np.minimum(ages / MEMORY, later / MEMORY_AUDITS))


def effective(weights: Floats) -> float:
    """Returns the number of audits of equal weight that would say as much (Kish, "Survey sampling", 1965)."""
    return float(weights.sum() ** 2 / (weights @ weights)) if len(weights) else 0.0


def choose(gains: Floats, audits: Audits, weights: Floats, target: float, caution: Caution = CAUTION) -> Choice:
    """Returns the choice with the largest share of the small tier that keeps `target`, a share of the large tier's
    quality.

    `gains` are the audits' predicted gains, each from a model that has not seen it, and `weights` say how much each
    counts (`recency`). An audit's probability does not matter here: each is a draw from the traffic of its time.
    """
    count, weights = len(gains), weights / (weights.sum() or 1.0)
    large = float(weights @ audits.large)
    many = effective(weights)
    if many < FEWEST or not large:
        return LARGE_ALONE
    order = np.argsort(gains, kind="stable")
    ranked, counts, lost = gains[order], weights[order], (audits.large - audits.small)[order]
    loss = np.cumsum(counts * lost)
    # Again one loss more.
    spread = np.sqrt(np.maximum(np.cumsum(counts * lost**2) + 1 / many - loss**2, 0.0) / many)
    margin = np.maximum(0.0, caution.z * spread - caution.tolerance * large)
    enough = (loss + margin <= (1 - target) * large) & (ranked <= caution.most_gain)
    enough[:-1] &= ranked[1:] > ranked[:-1]  # equal gains go together
    kept = np.flatnonzero(enough)
    if not len(kept):
        return LARGE_ALONE
    last = int(kept[-1])
    threshold = min(float(ranked[last + 1]) if last + 1 < count else inf, np.nextafter(caution.most_gain, inf))
    return Choice(threshold, float(counts[: last + 1].sum()), 1 - float(loss[last]) / large)
