"""What the router says of a request."""

from __future__ import annotations

from typing import NamedTuple

# What a likely failure of the compact tier counts for by itself: for questions with options to choose from, and for
# all other text.
CAUTION_WITH_OPTIONS, CAUTION = 0.1, 0.3


def merit(compact: float, large: float, options: bool) -> float:
    """What `Chances.gain` ranks: the expected improvement, and a little for not trusting the compact tier alone.

    That a large model does worse than a compact one is believed of questions with options only. It is learned from
    such questions, where a short answer leaves no room to think, and carries over badly to free text.
    """
    improvement = large - compact
    if options:
        return improvement + CAUTION_WITH_OPTIONS * (1 - compact)
    return max(improvement, 0.0) + CAUTION * (1 - compact)


class Chances(NamedTuple):
    """How likely each tier is to answer well, each from 0 to 1, and what a larger one would add.

    `compact` and `large` are calibrated on recorded answers. `mid` is on the line between the two on the logit scale
    unless the router was trained on outcomes of a tier in between.
    `gain` ranks the request's `merit` among the prompts that the router was trained on: 0 is where a large model helps
    least, 1 where it helps most, so that sending `gain >= 0.8` to the large tier sends a fifth of traffic like theirs.
    It is what thresholds apply to.
    """

    compact: float
    mid: float
    large: float
    gain: float

    @property
    def improvement(self) -> float:
        """The expected quality that the large tier adds, from -1 to 1."""
        return self.large - self.compact
