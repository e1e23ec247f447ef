"""The quick way to a first choice, where nobody prefers anything and nothing is wrong: worked out once for a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Final
from urllib.parse import quote

from weebill.config.routing import Policy
from weebill.routing.candidates import Candidate
from weebill.routing.deployment_health import DeploymentHealth
from weebill.routing.deployments import Deployment
from weebill.routing.directory import Route
from weebill.routing.plan import RankedDeployment
from weebill.routing.policies import NEEDS_EXPLORING, WEIGHTS
from weebill.routing.steps import Try, patience

_NEARLY_ALL: Final = 0.99  # some of it has gone by when a request is routed


@dataclass(frozen=True, slots=True)
class FastChoice:
    """A choice that may be drawn.

    `first` is what is tried where the caller leaves at least `unhurried_s`; None where a credential has to be chosen.
    `head` and `tail` are the header line that names it and `policy`, around the milliseconds that it took.
    """

    choices: tuple[RankedDeployment]
    health: DeploymentHealth
    first: Try | None
    unhurried_s: float
    policy: str
    head: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class FastPath:
    """What is drawn from for a name.

    `lone` is the only choice there is, None where there are several. `drawn` are those of the first tier, each with
    the share of draws that it ends at; empty where the policy has to look at more. `turns` is whether any of them has
    several credentials, `explores` whether some draws are for keeping figures fresh.
    """

    route: Route
    policy: Policy
    lone: FastChoice | None
    drawn: tuple[tuple[float, FastChoice], ...]
    turns: bool
    explores: bool

    @classmethod
    def of(
        cls, route: Route, policy: Policy, health_of: Callable[[Deployment], DeploymentHealth], deadline_s: float
    ) -> FastPath:
        """The lot of a route by a policy, for requests that have `deadline_s` if their callers are in no hurry."""
        turns = any(
            each.deployment.upstream is not None and len(each.deployment.upstream.credentials) > 1
            for each in route.candidates
        )
        if len(route.candidates) == 1:
            [only] = route.candidates
            return cls(
                route, policy, _draw(only, "only", health_of(only.deployment), deadline_s, alone=True), (), turns, False
            )
        up = [each for each in route.candidates if each.deployment.upstream is not None]
        if policy not in WEIGHTS or not up:
            return cls(route, policy, None, (), turns, False)
        tier = min(each.tier for each in up)
        first = [each for each in up if each.tier == tier]
        weights = WEIGHTS[policy](first)
        ends = accumulate(weight / sum(weights) for weight in weights)
        draws = [_draw(each, policy, health_of(each.deployment), deadline_s, alone=False) for each in first]
        return cls(route, policy, None, tuple(zip(ends, draws, strict=True)), turns, policy in NEEDS_EXPLORING)

    def draw(self, lot: float, explore: float) -> FastChoice:
        """The choice for a number in [0, 1): by weight, but for a share of draws in which all are equal."""
        drawn = self.drawn
        if self.explores:
            if lot < explore:
                return drawn[int(lot / explore * len(drawn))][1]
            lot = (lot - explore) / (1 - explore)
        for end, draw in drawn:
            if lot < end:
                return draw
        return drawn[-1][1]


def how(answered: Deployment | None, policy: str) -> bytes:
    """The end of the header line about a request's way: the model that `answered`, None if none did, and `policy`."""
    model = "" if answered is None else f";model={quote(answered.model, safe='/:@+')}"
    return f"{model};policy={policy}\r\n".encode()


def _draw(candidate: Candidate, policy: str, health: DeploymentHealth, deadline_s: float, *, alone: bool) -> FastChoice:
    deployment = candidate.deployment
    upstream = deployment.upstream
    first, unhurried_s = None, inf
    if upstream is not None and len(upstream.credentials) == 1:
        first = Try(deployment, upstream.credentials[0], patience(deadline_s, not alone))
        unhurried_s = deadline_s * _NEARLY_ALL
    head = f"x-weebill-route: {deployment.provider}:200:".encode()
    return FastChoice(
        (RankedDeployment(candidate, 0.0),), health, first, unhurried_s, policy, head, b"ms" + how(deployment, policy)
    )
