"""The quick way to a first choice, where nobody prefers anything and nothing is wrong: worked out once for a name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from weebill.config.routing import Policy
from weebill.routing.directory import Route
from weebill.routing.filters import Filter
from weebill.routing.plan import Choice
from weebill.routing.policies import WEIGHTS


@dataclass(frozen=True, slots=True)
class Lot:
    """What is drawn from for a name.

    `lone` is the only choice there is, None where there are several. `drawn` are those of the first tier, each with
    the share of draws that it ends at; empty where the policy has to look at more. `turns` is whether any of them has
    several credentials.
    """

    route: Route
    policy: Policy
    lone: tuple[Choice] | None
    drawn: tuple[tuple[float, tuple[Choice]], ...]
    limits: tuple[Filter, ...]
    turns: bool

    @classmethod
    def of(cls, route: Route, policy: Policy) -> Lot:
        """The lot of a route by a policy."""
        choices: list[tuple[Choice]] = [(Choice(each, 0.0),) for each in route.candidates]
        turns = any(
            each.deployment.upstream is not None and len(each.deployment.upstream.credentials) > 1
            for each in route.candidates
        )
        if len(choices) == 1:
            return cls(route, policy, choices[0], (), route.limits, turns)
        up = [each for each in choices if each[0].candidate.deployment.upstream is not None]
        if policy not in WEIGHTS or not up:
            return cls(route, policy, None, (), route.limits, turns)
        tier = min(each[0].candidate.tier for each in up)
        first = [each for each in up if each[0].candidate.tier == tier]
        weights = WEIGHTS[policy]([each[0].candidate for each in first])
        ends = accumulate(weight / sum(weights) for weight in weights)
        return cls(route, policy, None, tuple(zip(ends, first, strict=True)), route.limits, turns)

    def draw(self, lot: float, explore: float) -> tuple[Choice]:
        """The choice for a number in [0, 1): by weight, but for a share of draws in which all are equal."""
        drawn = self.drawn
        if lot < explore:
            return drawn[int(lot / explore * len(drawn))][1]
        lot = (lot - explore) / (1 - explore)
        for end, choice in drawn:
            if lot < end:
                return choice
        return drawn[-1][1]
