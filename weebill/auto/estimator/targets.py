"""Turns an operator's target into a threshold on `Chances.gain`, and lets the threshold follow drifting traffic.

1. Requests whose gain is at or above the threshold go to the large tier.
2. `calibrate` picks the threshold on recorded traffic.
3. `Controller` moves it a little after every answer, against the observed excess:

    threshold' = threshold + rate * excess

Summed over T requests, the mean excess is (threshold_T - threshold_0) / (rate * T). As the threshold cannot leave 0..1
by more than a step, the mean excess of a `Share` is at most (1 + 2 * rate) / (rate * T), whatever the traffic does.
(Gibbs and Candes, "Adaptive conformal inference under distribution shift", 2021, argue so for coverage.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Above every gain: no request goes to the large tier.
NONE_TO_LARGE = 1.0 + 1e-9
RATE = 0.005
# One request of a thousand times the budget must not close the large tier for the next thousand.
MAX_EXCESS = 10.0


class TargetError(ValueError):
    """The target is invalid, or no threshold reaches it on the recorded traffic."""


@dataclass(frozen=True, slots=True)
class ObservedAnswer:
    """The outcome of one request that `auto` served.

    `quality` is the answer's, 0 to 1, and `large_quality` the large tier's: measured if known, else the router's
    chances. `cost_nano` was spent, in nano-dollars.
    """

    large: bool
    quality: float
    large_quality: float
    cost_nano: int


@dataclass(frozen=True, slots=True)
class Share:
    """At most this share of the requests, 0 to 1, goes to the large tier."""

    large: float

    def __post_init__(self) -> None:
        if not 0 <= self.large <= 1:
            raise TargetError(f"a share is from 0 to 1, not {self.large}")

    def excess(self, answer: ObservedAnswer) -> float:
        """Returns a positive number if the answer used more of the large tier than the target allows."""
        return float(answer.large) - self.large


@dataclass(frozen=True, slots=True)
class Quality:
    """At least this fraction, 0 to 1, of the quality that the large tier alone would reach."""

    at_least: float

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= 1:
            raise TargetError(f"a fraction of the large tier's quality is from 0 to 1, not {self.at_least}")

    def excess(self, answer: ObservedAnswer) -> float:
        """Returns a positive number if the answer was better than needed, so fewer requests need the large tier."""
        return answer.quality - self.at_least * answer.large_quality


@dataclass(frozen=True, slots=True)
class Spend:
    """At most so many nano-dollars for a request, on average."""

    nano_per_request: int

    def __post_init__(self) -> None:
        if self.nano_per_request <= 0:
            raise TargetError(f"a budget is positive nano-dollars for a request, not {self.nano_per_request}")

    def excess(self, answer: ObservedAnswer) -> float:
        """Returns the cost over the budget, relative to the budget; at most 10 for one answer."""
        return min(answer.cost_nano / self.nano_per_request - 1, MAX_EXCESS)


Target = Share | Quality | Spend


@dataclass(frozen=True, slots=True)
class Recorded:
    """Recorded traffic, one element for each request, in any order.

    `gain` is the router's; `compact` and `large` are each tier's quality, 0 to 1, measured or the router's chances; the
    costs are nano-dollars for each tier's answer.
    """

    gain: Floats
    compact: Floats
    large: Floats
    compact_cost_nano: Floats
    large_cost_nano: Floats

    def __post_init__(self) -> None:
        sizes = {len(self.gain), len(self.compact), len(self.large), len(self.compact_cost_nano)}
        if sizes != {len(self.large_cost_nano)} or sizes == {0}:
            raise TargetError("recorded traffic needs at least one request, and every column for each")


@dataclass(frozen=True, slots=True)
class Setting:
    """A threshold, and its effect on the recorded traffic."""

    threshold: float
    share: float
    quality: float
    nano_per_request: float


def settings(recorded: Recorded) -> list[Setting]:
    """Returns every threshold that separates recorded requests, from all compact to all large.

    Requests of equal gain go together, so there is one setting more than there are different gains.
    """
    import numpy as np

    order = np.argsort(-recorded.gain, kind="stable")
    gains = recorded.gain[order]
    last = np.append(np.flatnonzero(np.diff(gains)), len(gains) - 1)  # the last of each run of equal gains
    count = len(gains)

    def path(compact: Floats, large: Floats) -> Floats:
        moved = np.cumsum((large - compact)[order])[last]
        quality: Floats = (compact.sum() + np.concatenate(([0.0], moved))) / count
        return quality

    thresholds = np.concatenate(([NONE_TO_LARGE], gains[last]))
    shares = np.concatenate(([0], last + 1)) / count
    quality = path(recorded.compact, recorded.large)
    spend = path(recorded.compact_cost_nano, recorded.large_cost_nano)
    return [Setting(*map(float, row)) for row in zip(thresholds, shares, quality, spend, strict=True)]


def calibrate(target: Target, recorded: Recorded) -> Setting:
    """Returns the setting that keeps `target` on the recorded traffic, and is best in what the target leaves open.

    A share or a budget is used as far as it adds quality; a quality is reached with the least share. Raises TargetError
    if none keeps the target: a budget below the cheapest mixture.
    """
    possible = settings(recorded)
    match target:
        case Share(large):
            kept = [each for each in possible if each.share <= large + 1e-12]
            return max(kept, key=lambda each: each.share)
        case Spend(nano):
            kept = [each for each in possible if each.nano_per_request <= nano]
            if not kept:
                least = min(each.nano_per_request for each in possible)
                raise TargetError(
                    f"{nano} nano-dollars a request cannot be kept: the least that these requests cost is {least:.0f}"
                )
            return max(kept, key=lambda each: (each.quality, -each.share))
        case Quality(fraction):
            wanted = fraction * possible[-1].quality
            return next(each for each in possible if each.quality >= wanted - 1e-12)


@dataclass(frozen=True, slots=True)
class Controller:
    """A threshold that keeps its target. Its state is two numbers; `after` is pure."""

    target: Target
    threshold: float
    rate: float = RATE

    def sends_to_large(self, gain: float) -> bool:
        return gain >= self.threshold

    def after(self, answer: ObservedAnswer) -> Controller:
        """Returns the controller after observing `answer`.

        The threshold stays within a step of 0..1: further out, no observation would change a decision.
        """
        moved = self.threshold + self.rate * self.target.excess(answer)
        slack = self.rate * MAX_EXCESS
        return replace(self, threshold=min(max(moved, -slack), 1 + slack))
