"""What the router says of a request."""

from __future__ import annotations

from typing import NamedTuple


class Chances(NamedTuple):
    """How likely each tier is to answer well, each from 0 to 1, and what a larger one would add.

    `compact` and `large` are calibrated on recorded answers. `mid` is on the line between the two on the logit scale
    unless the router was trained on outcomes of a tier in between.
    `gain` ranks the expected improvement, `large - compact`, among the prompts that the router was trained on: 0 is
    where a large model helps least, 1 where it helps most, so that sending `gain >= 0.8` to the large tier sends a
    fifth of traffic like theirs. It is what thresholds apply to.
    """

    compact: float
    mid: float
    large: float
    gain: float

    @property
    def improvement(self) -> float:
        """The expected quality that the large tier adds, from -1 to 1."""
        return self.large - self.compact
