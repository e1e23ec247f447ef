"""The estimate for a request."""

from __future__ import annotations

from typing import NamedTuple

# The weight of a likely failure of the compact tier: for questions with options to choose from, and for other text.
CAUTION_WITH_OPTIONS, CAUTION = 0.1, 0.3


def merit(compact: float, large: float, options: bool) -> float:
    """Returns the expected improvement, plus a little for the risk of the compact tier alone; `Chances.gain` ranks it.

    A large model that does worse than a compact one is believed only for questions with options. That is learned from
    such questions, where a short answer leaves no room to think, and carries over badly to free text.
    """
    improvement = large - compact
    if options:
        return improvement + CAUTION_WITH_OPTIONS * (1 - compact)
    return max(improvement, 0.0) + CAUTION * (1 - compact)


class Chances(NamedTuple):
    """The chances of each tier to answer well, each from 0 to 1, and the gain of a larger tier.

    `compact` and `large` are calibrated on recorded answers. `mid` is halfway between them on the logit scale, unless
    the router was trained on a middle tier. `gain` is the rank of the request's `merit` among the training prompts: 0
    where a large model helps least, 1 where it helps most, so that sending `gain >= 0.8` to the large tier sends a
    fifth of similar traffic. Thresholds apply to `gain`.
    """

    compact: float
    mid: float
    large: float
    gain: float

    @property
    def improvement(self) -> float:
        """The expected quality that the large tier adds, from -1 to 1."""
        return self.large - self.compact
