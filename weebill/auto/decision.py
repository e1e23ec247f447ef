"""The tier for a request, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from weebill.config.auto import Tier


class TierChances(Protocol):
    """How likely each tier is to answer well; see `weebill.auto.estimator.estimate`."""

    @property
    def compact(self) -> float: ...
    @property
    def mid(self) -> float: ...
    @property
    def large(self) -> float: ...
    @property
    def gain(self) -> float: ...


class Decision(NamedTuple):
    """Which tier answers, and why: a rule's name, or how the gain stood to the threshold.

    `larger` is the tier that an answer is escalated to which fails a check, None if there is none. `stays` is whether
    the request must not leave this machine. `chances` are those of a request that no rule is for.
    """

    tier: Tier
    why: str
    larger: Tier | None = None
    stays: bool = False
    chances: TierChances | None = None


def by_rule(tiers: Sequence[Tier], local: frozenset[Tier], private: str, high_stakes: str) -> Decision | None:
    """What rules say; None where none says anything but that the request stays here, and there is a choice.

    `tiers` go from the smallest to the largest, `local` are those that this machine has; `private` and `high_stakes`
    are the rules' names, "" for none. Where both hold, the request stays here, with the largest tier that does.
    """
    allowed = _allowed(tiers, local, private)
    why = " and ".join(filter(None, (private, high_stakes)))
    if high_stakes:
        return Decision(allowed[-1], why, stays=bool(private))
    if len(allowed) == 1:
        return Decision(allowed[0], why or "the only tier", stays=bool(private))
    return None


def by_chances(
    tiers: Sequence[Tier], local: frozenset[Tier], private: str, chances: TierChances, threshold: float
) -> Decision:
    """What the learned router says: the large tier for a gain of at least `threshold`, else the small one.

    With three tiers, the one in between takes as many as the largest: those that come just below.
    """
    allowed = _allowed(tiers, local, private)
    tier = allowed[0]
    if chances.gain >= threshold:
        tier = allowed[-1]
    elif len(allowed) == 3 and chances.gain >= threshold - (1 - threshold):
        tier = allowed[1]
    sign = "<" if chances.gain < threshold else ">="
    why = f"{private} and " * bool(private) + f"gain {chances.gain:.2f}{sign}{threshold:.2f}"
    larger = allowed[-1] if tier != allowed[-1] else None
    return Decision(tier, why, larger, bool(private), chances)


def chance(chances: TierChances, tier: Tier) -> float:
    """That of one tier."""
    match tier:
        case "small":
            return chances.compact
        case "mid":
            return chances.mid
        case "large":
            return chances.large


def _allowed(tiers: Sequence[Tier], local: frozenset[Tier], private: str) -> Sequence[Tier]:
    """The tiers that a request may have. If none is here, routing says so of the smallest."""
    return ([tier for tier in tiers if tier in local] or tiers[:1]) if private else tiers
