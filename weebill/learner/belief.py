"""The belief about a pair: the posterior of `weebill.auto.posterior`, in sums that fade and can be taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from weebill.auto.doubt import Doubt
from weebill.auto.gains import encoded, unpacked
from weebill.auto.learning import Pair, Source
from weebill.auto.moments import Moments
from weebill.auto.place import PriorFile, read_prior
from weebill.auto.posterior import Difference, Prior, difference
from weebill.storage.outcomes import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# As if the last 5,000 outcomes counted.
_FADE: Final = 1 - 1 / 5000
_SMALL, _LARGE = 0, 1
# An answer that fails a check is heard of whether it was drawn or not, one that passes only if it was drawn.
WEIGHTS: Final[Mapping[Source, float]] = {"audit": 1.0, "feedback": 1.0, "check": 0.2}


class Belief:
    """The belief in the two tiers after some outcomes."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self._moments = Moments.none(prior.tiers, prior.dimensions)
        self._learnt: dict[tuple[str, Source], int] = {}
        self._count = 0
        self._known: Difference | None = None

    @property
    def width(self) -> int:
        """The number of features."""
        return self._prior.dimensions

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Takes outcomes in, in this order; those of other features are passed over."""
        for outcome in outcomes:
            if len(outcome.features) == 2 * self._prior.dimensions:
                self._count += 1
                self._learnt[outcome.request_id, outcome.source] = self._count
                self._moments = _with(self._moments.faded(_FADE), outcome, 1.0)
                self._known = None

    def forget(self, outcome: Outcome) -> None:
        """Takes an outcome out."""
        self._moments = self._without([outcome])
        self._learnt.pop((outcome.request_id, outcome.source), None)
        self._known = None

    def gains(self, features: Sequence[bytes]) -> Floats:
        """Returns how much better the large tier is expected to be, for each of these."""
        gains: Floats = unpacked(features) @ self._difference().mean
        return gains

    def doubted_gains(self, features: Sequence[bytes]) -> Floats:
        """Returns how much better the large tier may well be (`weebill.auto.doubt`), for each of these."""
        return _doubted(self._difference(), features)

    def doubted_gains_without(self, outcomes: Sequence[Outcome]) -> Floats:
        """Returns the doubted gains of these as if none of them had been learnt."""
        return _doubted(difference(self._prior, self._without(outcomes)), [each.features for each in outcomes])

    def encoded(self) -> bytes:
        """Returns the belief for the workers."""
        return encoded(self._difference().mean)

    def doubt(self) -> bytes:
        """Returns the doubt about the belief, for the workers."""
        return Doubt.of(self._difference().covariance).encoded()

    def _difference(self) -> Difference:
        if self._known is None:
            self._known = difference(self._prior, self._moments)
        return self._known

    def _without(self, outcomes: Iterable[Outcome]) -> Moments:
        moments = self._moments
        for outcome in outcomes:
            if (at := self._learnt.get((outcome.request_id, outcome.source))) is not None:
                moments = _with(moments, outcome, -(_FADE ** (self._count - at)))
        return moments


def initial(pair: Pair) -> Belief:
    """Returns the belief in a pair without outcomes: the packaged prior. Raises ArtefactError, or OSError."""
    return Belief(_packaged().prior)


@cache
def _packaged() -> PriorFile:
    return read_prior()


def _doubted(known: Difference, features: Sequence[bytes]) -> Floats:
    rows = unpacked(features)
    gains: Floats = rows @ known.mean + Doubt.of(known.covariance)(rows)
    return gains


def _with(moments: Moments, outcome: Outcome, weight: float) -> Moments:
    [row] = unpacked([outcome.features])
    for tier, score in ((_SMALL, outcome.small), (_LARGE, outcome.large)):
        if score is not None:
            moments = moments.with_outcome(row, tier, score, weight * WEIGHTS[outcome.source])
    return moments
