"""The decision on the tier of a request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from weebill.auto.trust import Trust
from weebill.config.auto import Tier

ADVICE: Final = "give advice"
"""The reason why no small tier answers what touches health, law, lost money or safety."""


class TierChances(Protocol):
    """The chances of each tier to answer well; see `weebill.auto.estimator.estimate`."""

    @property
    def compact(self) -> float: ...
    @property
    def mid(self) -> float: ...
    @property
    def large(self) -> float: ...
    @property
    def gain(self) -> float: ...


class Decision(NamedTuple):
    """The tier that answers, and the reason: a rule's name, or the gain and the threshold.

    `larger` is the tier that answers if a check fails, `smaller` the one that may if this tier cannot; None if there is
    none. `stays` requests must not leave this machine. Of requests that no rule decided, `features` are their
    description for the learner, and `chances` the packaged estimate, if it was asked. `trust` is that in the small
    tier's answer, if this tier is small and a larger one could answer.
    """

    tier: Tier
    why: str
    larger: Tier | None = None
    stays: bool = False
    chances: TierChances | None = None
    features: bytes = b""
    smaller: Tier | None = None
    trust: Trust | None = None


class Gain(NamedTuple):
    """The gain of the large tier, on the scale of `threshold`; from the threshold on, it answers.

    From `mid` on, the middle one of three tiers does. `why` replaces the comparison in the decision's reason.
    """

    value: float
    threshold: float
    mid: float
    why: str = ""

    @classmethod
    def of_rank(cls, rank: float, threshold: float) -> Gain:
        """Returns a gain that is a rank among requests; the middle tier gets as many as the large one."""
        return cls(rank, threshold, threshold - (1 - threshold))


def by_rule(tiers: Sequence[Tier], local: frozenset[Tier], private: str, high_stakes: str) -> Decision | None:
    """Returns the decision by rules; None if rules leave a choice.

    `tiers` go from the smallest to the largest, `local` are those on this machine; `private` and `high_stakes` are the
    names of the matched rules, "" for none. If both match, the request goes to the largest local tier.
    """
    allowed = _allowed(tiers, local, private)
    why = " and ".join(filter(None, (private, high_stakes)))
    if high_stakes:
        return Decision(allowed[-1], why, stays=bool(private))
    if len(allowed) == 1:
        return Decision(allowed[0], why or "the only tier", stays=bool(private))
    return None


def by_ability(tiers: Sequence[Tier], local: frozenset[Tier], private: str, cannot: str) -> Decision | None:
    """Returns the decision for a request that the smallest tier `cannot` do, for the reason given; "" if it can.

    The largest tier that is allowed answers; None leaves the choice open. The smallest one stands in for it, but for
    advice.
    """
    allowed = _allowed(tiers, local, private)
    if not cannot or allowed[0] != tiers[0] or len(allowed) == 1:
        return None
    why = f"{private} and " * bool(private) + f"cannot {cannot}"
    return Decision(allowed[-1], why, stays=bool(private), smaller=None if cannot == ADVICE else allowed[0])


def by_gain(tiers: Sequence[Tier], local: frozenset[Tier], private: str, gain: Gain) -> Decision:
    """Returns the decision by the gain: the large tier if it reaches the threshold, else the small one.

    With three tiers, the middle one gets as many requests as the largest: those just below the threshold.
    """
    allowed = _allowed(tiers, local, private)
    value, threshold, mid, reason = gain
    tier = allowed[0]
    if value >= threshold:
        tier = allowed[-1]
    elif len(allowed) == 3 and value >= mid:
        tier = allowed[1]
    sign = "<" if value < threshold else ">="
    why = f"{private} and " * bool(private) + (reason or f"gain {value:.2f}{sign}{threshold:.2f}")
    larger = allowed[-1] if tier != allowed[-1] else None
    smaller = allowed[0] if tier != allowed[0] else None
    return Decision(tier, why, larger, bool(private), smaller=smaller)


def _allowed(tiers: Sequence[Tier], local: frozenset[Tier], private: str) -> Sequence[Tier]:
    """Returns the tiers that the request may use. If none is local, routing refuses the smallest."""
    return ([tier for tier in tiers if tier in local] or tiers[:1]) if private else tiers
