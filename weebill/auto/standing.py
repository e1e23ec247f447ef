"""The standing of `auto`: what it costs and what it keeps of the large model's quality, for people and programs."""

from __future__ import annotations

from msgspec import Struct, structs

from weebill.auto.intervals import Bounds, Interval, bounds_of
from weebill.auto.learning import Pair
from weebill.config.auto import AUTO


def nothing_decided(auto: str) -> str:
    """Returns the sentence for a virtual model without a standing."""
    return f"`{auto}` has decided nothing yet"


class Standing(Struct, frozen=True, kw_only=True):
    """The standing of `auto` for one pair of models.

    `decisions` were ever made, without those of rules. The other numbers are of the newest ones, `newest` of them:
    `audits` were judged, `unjudged` could not be. `quality` is the share of the large model's that the answers keep,
    with a 95 % interval; None with fewer than `fewest` audits. `large_share` is the share of requests that the large
    model answered. `spend` is what was spent as a share of the large model alone, audits included, and
    `audits_spend` the part that these took; None without prices. `ratings` are by clients, with their mean.
    `since_change` is the number of decisions since the small model's answers were last noticed to have changed, None if
    they never were.
    """

    pair: Pair
    target: str
    decisions: int
    newest: int
    audits: int
    unjudged: int
    fewest: int
    quality: Interval | None
    large_share: float
    spend: float | None
    audits_spend: float | None
    ratings: int
    mean_rating: float | None
    threshold: float | None
    since_change: int | None = None
    auto: str = AUTO

    def shown(self) -> StandingShown:
        """Returns the fields for programs, the interval with names for its bounds."""
        return StandingShown(**{**structs.asdict(self), "quality": bounds_of(self.quality)})


class StandingShown(Struct, frozen=True, kw_only=True):
    """A `Standing` as programs are shown it."""

    pair: Pair
    target: str
    decisions: int
    newest: int
    audits: int
    unjudged: int
    fewest: int
    quality: Bounds | None
    large_share: float
    spend: float | None
    audits_spend: float | None
    ratings: int
    mean_rating: float | None
    threshold: float | None
    since_change: int | None
    auto: str


def sentence(standing: Standing) -> str:
    """Returns the standing in one sentence."""
    spend = "" if standing.spend is None else f", {standing.spend:.0%} of its spend"
    audits = f"{standing.audits:,} audit{'s' * (standing.audits != 1)}"
    changed = ""
    if standing.since_change is not None:
        changed = f"; the small model's answers changed {standing.since_change:,} decisions ago"
    if standing.quality is None:
        return f"the quality is not yet known ({audits} of at least {standing.fewest}){spend}{changed}"
    value, low, high = standing.quality
    return f"{value:.3f} of the large model's quality ({low:.3f} to {high:.3f}, {audits}){spend}{changed}"
