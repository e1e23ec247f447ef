"""The fast path: picks the first choice without making a plan, if nobody prefers anything and all are healthy.

1. For each name, the candidates and the policy's weights are worked out once (`FastPath.of`).
2. A request takes one by a random number (`choose`); its `Try` and header line are ready-made.
3. The plan is made only if that attempt fails (`Attempts`).
"""

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
from weebill.routing.directory import ModelRoute
from weebill.routing.plan import RankedDeployment
from weebill.routing.policies import NEEDS_EXPLORING, WEIGHTS
from weebill.routing.steps import Try, patience

_NEARLY_ALL: Final = 0.99  # part of the time has passed when a request is routed


@dataclass(frozen=True, slots=True)
class FastChoice:
    """A first choice of the fast path.

    `first` is the step if the caller leaves at least `unhurried_s` seconds; None if a credential has to be picked
    first. `head` and `tail` are the header line that names it and `policy`, around the milliseconds that it took.
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
    """The first choices for a name.

    `only` is the choice if there is just one, else None. `weighted` are the choices of the first tier, each with the
    upper end of its share of [0, 1]; empty if the policy needs more than weights. `rotates` if any has several
    credentials, `explores` if some requests go to a random one, to keep its figures fresh.
    """

    route: ModelRoute
    policy: Policy
    only: FastChoice | None
    weighted: tuple[tuple[float, FastChoice], ...]
    rotates: bool
    explores: bool

    @classmethod
    def of(
        cls, route: ModelRoute, policy: Policy, health_of: Callable[[Deployment], DeploymentHealth], deadline_s: float
    ) -> FastPath:
        """Returns the fast path of a route by a policy, for requests that have `deadline_s` seconds."""
        rotates = any(
            each.deployment.upstream is not None and len(each.deployment.upstream.credentials) > 1
            for each in route.candidates
        )
        if len(route.candidates) == 1:
            [only] = route.candidates
            return cls(
                route,
                policy,
                _fast_choice(only, "only", health_of(only.deployment), deadline_s, alone=True),
                (),
                rotates,
                False,
            )
        up = [each for each in route.candidates if each.deployment.upstream is not None]
        if policy not in WEIGHTS or not up:
            return cls(route, policy, None, (), rotates, False)
        tier = min(each.tier for each in up)
        first = [each for each in up if each.tier == tier]
        weights = WEIGHTS[policy](first)
        ends = accumulate(weight / sum(weights) for weight in weights)
        choices = [_fast_choice(each, policy, health_of(each.deployment), deadline_s, alone=False) for each in first]
        return cls(route, policy, None, tuple(zip(ends, choices, strict=True)), rotates, policy in NEEDS_EXPLORING)

    def choose(self, at: float, explore: float) -> FastChoice:
        """Returns the choice for a random number in [0, 1): by weight, but for the share `explore`, in which all are
        equal.
        """
        choices = self.weighted
        if self.explores:
            if at < explore:
                return choices[int(at / explore * len(choices))][1]
            at = (at - explore) / (1 - explore)
        for end, choice in choices:
            if at < end:
                return choice
        return choices[-1][1]


def how(answered: Deployment | None, policy: str) -> bytes:
    """Returns the end of the header line about a request's route; `answered` is None if no deployment did."""
    model = "" if answered is None else f";model={quote(answered.model, safe='/:@+')}"
    return f"{model};policy={policy}\r\n".encode()


def _fast_choice(
    candidate: Candidate, policy: str, health: DeploymentHealth, deadline_s: float, *, alone: bool
) -> FastChoice:
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
