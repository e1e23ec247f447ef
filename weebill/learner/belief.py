"""The belief about a pair: the posterior of `weebill.auto.posterior`, in sums that fade and can be corrected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from math import nan
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from weebill.auto.doubt import Doubt
from weebill.auto.gains import encoded, unpacked
from weebill.auto.learning import Pair, Source
from weebill.auto.moments import Moments
from weebill.auto.place import PriorFile, read_prior
from weebill.auto.posterior import Difference, Prior, difference
from weebill.auto.trust import Expectations
from weebill.storage.outcomes import MAX_DECISIONS, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# As if the last 5,000 outcomes counted.
_FADE: Final = 1 - 1 / 5000
_SMALL, _LARGE = 0, 1
# Requests whose outcomes can be taken out again: more than there are decisions to be audited or rated.
_MOST_KNOWN: Final = 2 * MAX_DECISIONS
# An answer that fails a check is heard of whether it was drawn or not, one that passes only if it was drawn.
WEIGHTS: Final[Mapping[Source, float]] = {"audit": 1.0, "feedback": 1.0, "check": 0.2}


class _Learnt(NamedTuple):
    """An outcome, and the number of outcomes up to it, from which follows how much it has faded."""

    at: int
    outcome: Outcome


class Belief:
    """The belief in the two tiers after some outcomes."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self._moments = Moments.none(prior.tiers, prior.dimensions)
        self._learnt: dict[str, dict[Source, _Learnt]] = {}
        self._count = 0
        self._known: Difference | None = None

    @property
    def width(self) -> int:
        """The number of features."""
        return self._prior.dimensions

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Takes outcomes in, in this order; those of other features are passed over.

        One that is known already is replaced, with the weight that it has left: nothing else fades, however often a
        client changes its mind.
        """
        new = []
        for outcome in outcomes:
            if len(outcome.features) != 2 * self._prior.dimensions:
                continue
            of_request = self._learnt.setdefault(outcome.request_id, {})
            known = of_request.get(outcome.source)
            if known is None:
                self._count += 1
                of_request[outcome.source] = learnt = _Learnt(self._count, outcome)
                new.append(learnt)
            else:
                self._take_in(new)
                new = []
                of_request[outcome.source] = replaced = known._replace(outcome=outcome)
                self._moments = self._moments - self._sums([known]) + self._sums([replaced])
        self._take_in(new)
        self._known = None
        for stale in list(islice(self._learnt, max(0, len(self._learnt) - _MOST_KNOWN))):
            del self._learnt[stale]

    def age(self, outcomes: int) -> None:
        """Lets everything fade as if so many outcomes had come since."""
        self._count += outcomes
        self._moments = self._moments.faded(_FADE**outcomes)
        self._known = None

    def expect(self, features: Sequence[bytes]) -> Expectations:
        """Returns what is expected of N requests."""
        return _expected(self._difference(), features)

    def expect_without(self, outcomes: Sequence[Outcome]) -> Expectations:
        """Returns what is expected of the requests of N outcomes as if nothing had been learnt of these requests,
        whatever the source.
        """
        known = [learnt for each in outcomes for learnt in self._learnt.get(each.request_id, {}).values()]
        without = difference(self._prior, self._moments - self._sums(known))
        return _expected(without, [each.features for each in outcomes])

    def encoded(self) -> bytes:
        """Returns the belief for the workers."""
        known = self._difference()
        return encoded(np.stack([known.small, known.large]))

    def doubt(self) -> bytes:
        """Returns the doubt about the belief, for the workers."""
        return Doubt.of(self._difference().covariance).encoded()

    def _difference(self) -> Difference:
        if self._known is None:
            self._known = difference(self._prior, self._moments)
        return self._known

    def _take_in(self, new: Sequence[_Learnt]) -> None:
        if new:
            self._moments = self._moments.faded(_FADE ** len(new)) + self._sums(new)

    def _sums(self, learnt: Sequence[_Learnt]) -> Moments:
        """Returns the sums over outcomes, each with the weight that it has left."""
        if not learnt:
            return Moments.none(self._prior.tiers, self._prior.dimensions)
        rows = unpacked([outcome.features for _, outcome in learnt])
        weights = np.array([WEIGHTS[outcome.source] * _FADE ** (self._count - at) for at, outcome in learnt])
        scores = np.array([_scores(outcome) for _, outcome in learnt])
        weighted = [np.where(np.isnan(each), 0.0, weights) for each in scores.T]
        told = [weight * np.nan_to_num(each) for weight, each in zip(weighted, scores.T, strict=True)]
        return Moments(
            np.array([weight.sum() for weight in weighted]),
            np.stack([(rows * weight[:, None]).T @ rows for weight in weighted]),
            np.stack([each @ rows for each in told]),
        )


def initial(pair: Pair) -> Belief:
    """Returns the belief in a pair without outcomes: the packaged prior. Raises ArtefactError, or OSError."""
    return Belief(_packaged().prior)


@cache
def _packaged() -> PriorFile:
    return read_prior()


def _scores(outcome: Outcome) -> tuple[float, float]:
    """Returns the scores of both tiers; NaN is not known."""
    return nan if outcome.small is None else outcome.small, nan if outcome.large is None else outcome.large


def _expected(known: Difference, features: Sequence[bytes]) -> Expectations:
    rows = unpacked(features)
    return Expectations(rows @ known.small, rows @ known.large, Doubt.of(known.covariance)(rows))
