"""The curve of `auto`: the quality that each threshold would keep, and its spend; for people and programs."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, structs

from weebill.auto.intervals import Bounds, Interval, bounds_of
from weebill.auto.learning import Pair

MOST_POINTS: Final = 64
"""The most points of a curve."""


class Point(Struct, frozen=True, kw_only=True):
    """A point of the curve: requests with a gain of at least `threshold` go to the large model, none if that is None.

    `large_share` is their share; `spend` is a share of what the large model alone costs, None without prices; `quality`
    a share of what the large model alone keeps, with a 95 % interval, None if it is not known.
    """

    threshold: float | None
    large_share: float
    spend: float | None
    quality: Interval | None

    def shown(self) -> PointShown:
        """Returns the fields for programs, the interval with names for its bounds."""
        return PointShown(**{**structs.asdict(self), "quality": bounds_of(self.quality)})


class PointShown(Struct, frozen=True, kw_only=True):
    """A `Point` as programs are shown it."""

    threshold: float | None
    large_share: float
    spend: float | None
    quality: Bounds | None


class Tradeoff(Struct, frozen=True, kw_only=True):
    """The curve for one pair of models.

    Its `points` go from the large model alone to the small model alone. There are none while the audits weigh less than
    `fewest`: they are `audits` in number, and as they fade with the requests that come after them, weigh as much as
    `effective` new ones. `present` is the point of the threshold that keeps a quality, None if there is none; `kept` is
    what the newest decisions have kept and taken, with their checks and without their audits.
    """

    pair: Pair
    target: Literal["quality", "spend", "share"]
    value: float
    audits: int
    effective: float
    fewest: int
    points: tuple[Point, ...]
    present: Point | None
    kept: Point

    def shown(self) -> TradeoffShown:
        """Returns the fields for programs."""
        present = None if self.present is None else self.present.shown()
        points = [each.shown() for each in self.points]
        parts = {"points": points, "present": present, "kept": self.kept.shown()}
        return TradeoffShown(**{**structs.asdict(self), **parts})


class TradeoffShown(Struct, frozen=True, kw_only=True):
    """A `Tradeoff` as programs are shown it."""

    pair: Pair
    target: Literal["quality", "spend", "share"]
    value: float
    audits: int
    effective: float
    fewest: int
    points: list[PointShown]
    present: PointShown | None
    kept: PointShown


def sentence(tradeoff: Tradeoff) -> str:
    """Returns the present point in one sentence, or why the curve is not known."""
    if not tradeoff.points:
        few = f"{tradeoff.audits:,} audit{'s' * (tradeoff.audits != 1)}"
        weigh = (
            f" that weigh as much as {int(tradeoff.effective)} new ones," if tradeoff.audits >= tradeoff.fewest else ""
        )
        return f"the curve is not yet known ({few}{weigh} of at least {tradeoff.fewest})"
    point, whose = (tradeoff.kept, "so far") if tradeoff.present is None else (tradeoff.present, "at the threshold")
    spend = "" if point.spend is None else f", {point.spend:.0%} of its spend"
    kept = "a quality that is not known"
    if point.quality is not None:
        value, low, high = point.quality
        kept = f"{value:.3f} of its quality ({low:.3f} to {high:.3f})"
    return f"{whose}, {point.large_share:.0%} of requests for the large model: {kept}{spend}"
