"""The threshold on the expected gain, held to the operator's target while traffic drifts.

The arithmetic is in `weebill.auto.estimator.targets`; this module feeds it with a worker's observations.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from weebill.auto.estimator.targets import NONE_TO_LARGE, Controller, ObservedAnswer, Quality, Share, Spend, Target
from weebill.config.auto import TargetSettings

# A budget is scaled, so that this number stands for a typical request's cost.
_UNIT = 1_000_000
# The share of the largest tier that reaches a quality, on average of MMLU and GSM8K as RouteLLM recorded them (`python
# -m bench cost`). It is the start; the traffic then corrects it.
_SHARES_BY_QUALITY = ((0.8, 0.0), (0.9, 0.29), (0.95, 0.51), (0.98, 0.70), (1.0, 1.0))
# The number of requests over which the largest tier's cost is averaged.
_MEMORY = 1000


class Observed(NamedTuple):
    """The outcome of one decision by chances.

    `large` is True if the largest tier was asked; `quality` is the chance of the tier that answered, `large_quality`
    the largest tier's. `cost_nano` was spent in all; `large_cost_nano` would have been spent on the largest tier alone.
    None stands for an unknown price.
    """

    large: bool
    quality: float
    large_quality: float
    cost_nano: int | None
    large_cost_nano: int | None


class Threshold:
    """The threshold of one worker. Each worker keeps the target by itself, so all together do."""

    def __init__(self, target: TargetSettings, cost_ratio: float) -> None:
        """`cost_ratio` is the small tier's price divided by the largest tier's."""
        name, value = target.chosen
        self._spend = value if name == "spend" else None
        self._typical = 0.0
        self._seen = 0
        self._controller = Controller(_target(name, value), _start(name, value, cost_ratio))

    @property
    def value(self) -> float:
        """Requests with a gain of at least this go to the largest tier."""
        return self._controller.threshold

    def observe(self, observed: Observed) -> None:
        """Moves the threshold a little against the observed excess."""
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
    """Returns the first threshold. Gains are ranks, so the threshold is one minus the share."""
    match name:
        case "share":
            share = value
        case "spend":
            # All that the largest tier does not answer costs the small tier's price.
            share = (value - cost_ratio) / (1 - cost_ratio) if cost_ratio < 1 else 1.0
        case _:
            share = _share_for(value)
    return 1 - min(share, 1.0) if share > 0 else NONE_TO_LARGE


def _share_for(quality: float) -> float:
    """Returns the share for a quality, interpolated linearly."""
    for (below, less), (above, more) in pairwise(_SHARES_BY_QUALITY):
        if quality <= above:
            return max(0.0, less + (more - less) * (quality - below) / (above - below))
    return 1.0
