"""The trust in the small model's answer: its chance to be right before it is seen, and after the verifier has seen it.

1. Before, there is an estimate for the request, and the verifier's `reach`: the log-odds that one answer in three gains
   by being seen. A request whose answer would do with that is worth trying on the small model.
2. After, the verifier moves the log-odds by a weighed sum of the answer's signs (`weebill.auto.cascade.signs`).
3. The gain of the large model is its own chance less the small one's, and the doubt about both. The same threshold
   holds before and after, so an answer goes to the client exactly if its request would have, had the estimate known
   what the verifier knows.

The packaged weights are those of the default model; audits of a pair move them towards its own, by logistic regression
with the packaged ones as its prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import exp, log
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DATA: Final = Path(__file__).parent / "data" / "verifier.json"
TRIED: Final = 2 / 3
"""The quantile of the shifts that is the verifier's reach."""
# The spreads beyond which a sign counts as no stranger.
_MOST: Final = 4.0
# No estimate is surer than this.
_LEAST: Final = 0.01
# The precision of the prior of a weight and of the offset: one over its variance.
_PULL: Final = 10.0
_PULL_OFFSET: Final = 4.0


class Verifier(Struct, frozen=True):
    """Moves the log-odds of an answer by `offset` and the product of `weights` with its signs, standardised.

    Each sign is `usual` for answers of all kinds, and one unit is its `spread`, of which no more than a few count: some
    strange answers must not decide what all others are worth. The verifier's `reach` is 0 as long as nothing is known
    of these models.
    """

    usual: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float = 0.0
    reach: float = 0.0

    def shift(self, signs: Sequence[float]) -> float:
        """Returns the change of the log-odds."""
        each = zip(self.weights, signs, self.usual, self.spread, strict=True)
        return self.offset + sum(weight * _standard(sign, usual, spread) for weight, sign, usual, spread in each)

    def before(self, small: float) -> float:
        """Returns the chance that one in three answers reaches once it is seen, by the chance before."""
        return _moved(small, self.reach)

    def after(self, small: float, signs: Sequence[float] | None) -> float:
        """Returns the chance of an answer by that before and by its signs, None if it has none."""
        return small if signs is None else _moved(small, self.shift(signs))


class Expected(NamedTuple):
    """The scores that are expected of both tiers for a request, and the doubt about the gain (`weebill.auto.doubt`)."""

    small: float
    large: float
    doubt: float


class Expectations(NamedTuple):
    """The same for N requests, in arrays (N,)."""

    small: Floats
    large: Floats
    doubt: Floats


class Trust(NamedTuple):
    """The estimated chance of the small tier before its answer is seen, and the least one after that lets it pass."""

    small: float
    least: float
    verifier: Verifier


def gains(expected: Expectations, signs: Sequence[Sequence[float] | None], verifier: Verifier) -> Floats:
    """Returns the gains (N,) of audited requests, at which the small tier's answer would just not have been sent.

    A gain is the larger one of those before and after the answer is seen, as either sends the request to the large
    tier.
    """
    import numpy as np

    pairs = zip(expected.small.tolist(), signs, strict=True)
    chances = np.array([min(verifier.before(chance), verifier.after(chance, seen)) for chance, seen in pairs])
    found: Floats = expected.large + expected.doubt - chances
    return found


def fitted(prior: Verifier, small: Floats, signs: Sequence[Sequence[float] | None], scores: Floats) -> Verifier:
    """Returns the verifier by N audited answers: the chances before (N,), the signs, and the scores (N,).

    Of few audits with signs, it stays near `prior`.
    """
    import numpy as np

    from weebill.auto.logistic import regression

    seen = [at for at, each in enumerate(signs) if each is not None]
    if not seen:
        return prior
    clipped, scores = np.clip(small[seen], _LEAST, 1 - _LEAST), scores[seen]
    odds = np.log(clipped / (1 - clipped))
    rows = np.array([signs[at] for at in seen])
    columns = np.column_stack([np.clip((rows - prior.usual) / prior.spread, -_MOST, _MOST), np.ones(len(seen))])
    start = np.array([*prior.weights, prior.offset])
    pull = np.array([*[_PULL] * len(prior.weights), _PULL_OFFSET])
    found = regression(columns, scores, odds, start, pull)
    reach = max(0.0, float(np.quantile(columns @ found, TRIED)))
    *weights, offset = found.tolist()
    return Verifier(prior.usual, prior.spread, tuple(weights), offset, reach)


class _File(Struct, frozen=True):
    """The packaged verifier; the other members of the file say where it comes from."""

    verifier: Verifier


@cache
def packaged() -> Verifier:
    """Returns the verifier of the default model. Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode(DATA.read_bytes(), type=_File).verifier


def _standard(sign: float, usual: float, spread: float) -> float:
    return max(-_MOST, min(_MOST, (sign - usual) / spread))


def _moved(chance: float, by: float) -> float:
    chance = min(1 - _LEAST, max(_LEAST, chance))
    return 1 / (1 + exp(-max(-30.0, min(30.0, log(chance / (1 - chance)) + by))))
