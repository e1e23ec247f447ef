"""The threshold on the rank of the expected gain that keeps `share` or `spend` while traffic drifts.

The arithmetic is in `weebill.auto.estimator.targets`; this module feeds it with a worker's observations. `quality`
cannot be observed answer by answer: its threshold is the learner's (`weebill.auto.evidence`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from weebill.auto.estimator.targets import NONE_TO_LARGE, Controller, ObservedAnswer, Share, Spend

# A budget is scaled, so that this number stands for a typical request's cost.
_UNIT = 1_000_000
# The number of requests over which the largest tier's cost is averaged.
_MEMORY = 1000


class Observed(NamedTuple):
    """The outcome of one decision by chances.

    `large` is True if the largest tier was asked. `cost_nano` was spent in all; `large_cost_nano` would have been spent
    on the largest tier alone. None stands for an unknown price.
    """

    large: bool
    cost_nano: int | None
    large_cost_nano: int | None


class Threshold:
    """The threshold of one worker. Each worker keeps the target by itself, so all together do."""

    def __init__(self, name: Literal["share", "spend"], value: float, cost_ratio: float) -> None:
        """`cost_ratio` is the small tier's price divided by the largest tier's."""
        self.name = name
        self._spend = value if name == "spend" else None
        self._typical = 0.0
        self._seen = 0
        self._controller = Controller(
            Spend(_UNIT) if name == "spend" else Share(value), _start(name, value, cost_ratio)
        )

    @property
    def value(self) -> float:
        """Requests with a gain of at least this go to the largest tier."""
        return self._controller.threshold

    def take_over(self, value: float) -> None:
        """Goes on from the threshold of another worker."""
        self._controller = replace(self._controller, threshold=value)

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
        self._controller = self._controller.after(ObservedAnswer(observed.large, 0.0, 0.0, cost))


def _start(name: Literal["share", "spend"], value: float, cost_ratio: float) -> float:
    """Returns the first threshold. Gains are ranks, so the threshold is one minus the share."""
    share = value
    if name == "spend":
        # All that the largest tier does not answer costs the small tier's price.
        share = (value - cost_ratio) / (1 - cost_ratio) if cost_ratio < 1 else 1.0
    return 1 - min(share, 1.0) if share > 0 else NONE_TO_LARGE
