"""The threshold on the expected gain, and how it is held to the operator's target while traffic drifts.

The arithmetic is `weebill.auto.estimator.targets`'; here is what a worker feeds it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from weebill.auto.estimator.targets import NONE_TO_LARGE, Controller, ObservedAnswer, Quality, Share, Spend, Target
from weebill.config.auto import TargetSettings

# A budget is counted in units of itself: so many nano-dollars stand for what a typical request may cost.
_UNIT = 1_000_000
# Which share the largest tier needs for which quality, on average of MMLU and GSM8K as RouteLLM recorded them
# (`python -m bench cost`). Where to begin; what is served then says better.
_SHARES_BY_QUALITY = ((0.8, 0.0), (0.9, 0.29), (0.95, 0.51), (0.98, 0.70), (1.0, 1.0))
# Over about so many requests, what the largest tier's answers cost is averaged.
_MEMORY = 1000


class Observed(NamedTuple):
    """What came of one decision by chances.

    `large` is whether the largest tier was asked; `quality` is the chance of the tier that answered, `large_quality`
    that of the largest. `cost_nano` was spent in all, `large_cost_nano` would have been by asking the largest tier
    alone; None where a price is not known.
    """

    large: bool
    quality: float
    large_quality: float
    cost_nano: int | None
    large_cost_nano: int | None


class Threshold:
    """One worker's. Each holds the target by itself, so all of them together do."""

    def __init__(self, target: TargetSettings, cost_ratio: float) -> None:
        """`cost_ratio` is what the small tier costs for each dollar of the largest."""
        name, value = target.chosen
        self._spend = value if name == "spend" else None
        self._typical = 0.0
        self._seen = 0
        self._controller = Controller(_target(name, value), _start(name, value, cost_ratio))

    @property
    def value(self) -> float:
        """Gains of at least this go to the largest tier."""
        return self._controller.threshold

    def observe(self, observed: Observed) -> None:
        """Move a little against the excess that was seen."""
        cost = 0
        if self._spend is not None:
            if not observed.large_cost_nano or observed.cost_nano is None:
                return
            self._seen = min(self._seen + 1, _MEMORY)
            self._typical += (observed.large_cost_nano - self._typical) / self._seen
            over = observed.cost_nano - self._spend * observed.large_cost_nano
            cost = round(_UNIT * (1 + over / (self._spend * self._typical)))
        self._controller = self._controller.after(
            ObservedAnswer(observed.large, observed.quality, observed.large_quality, cost)
        )


def _target(name: str, value: float) -> Target:
    match name:
        case "share":
            return Share(value)
        case "spend":
            return Spend(_UNIT)
        case _:
            return Quality(value)


def _start(name: str, value: float, cost_ratio: float) -> float:
    """Where to begin; gains are ranks, so that a share is a threshold on them, turned round."""
    match name:
        case "share":
            share = value
        case "spend":
            # What is spent is the small tier's price for all that is not given to the largest.
            share = (value - cost_ratio) / (1 - cost_ratio) if cost_ratio < 1 else 1.0
        case _:
            share = _share_for(value)
    return 1 - min(share, 1.0) if share > 0 else NONE_TO_LARGE


def _share_for(quality: float) -> float:
    """On straight lines between what was recorded."""
    for (below, less), (above, more) in pairwise(_SHARES_BY_QUALITY):
        if quality <= above:
            return max(0.0, less + (more - less) * (quality - below) / (above - below))
    return 1.0
