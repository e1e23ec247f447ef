"""The plan of a request: the order in which its candidates are tried. Pure.

1. Filters remove the candidates that cannot or must not serve the request (`filters`).
2. The policy scores the others (`policies`), with random numbers, or with numbers fixed by the conversation (`sticky`).
3. They are sorted: held ones last; then by the requested order, model, tier, preferred speed, and score.
4. Now and then another of the first tier is put first, to keep its figures fresh.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from weebill.config.routing import RoutingSettings
from weebill.routing.candidates import Candidate
from weebill.routing.deployment_health import DeploymentHealth, Hold
from weebill.routing.directory import ModelRoute
from weebill.routing.filters import Removal, nothing_left, split
from weebill.routing.health import Health
from weebill.routing.policies import NEEDS_EXPLORING, POLICIES, SORTS, STICKY, Score
from weebill.routing.preferences import ResolvedPreferences
from weebill.routing.requirements import Requirements
from weebill.routing.sticky import draws


class RankedDeployment(NamedTuple):
    """A candidate of a plan.

    `score` is the policy's, lower is better. A candidate with a `hold` is tried after all others; `misses` is the
    preference that it does not meet, "" if none.
    """

    candidate: Candidate
    score: float
    hold: Hold | None = None
    misses: str = ""


class Plan(NamedTuple):
    """The order of trying; there is at least one choice. `removed` are the candidates that were filtered out."""

    name: str
    policy: str
    choices: tuple[RankedDeployment, ...]
    removed: tuple[Removal, ...]
    wanted: ResolvedPreferences


def make_plan(
    route: ModelRoute,
    wanted: ResolvedPreferences,
    needs: Requirements,
    health: Health,
    settings: RoutingSettings,
    now: float,
    rng: Random,
    conversation: bytes | None = None,
) -> Plan:
    """Returns the plan for a request; `conversation` is its key if the request is sticky. Raises ApiError 400 or 404 if
    no deployment may serve it.
    """
    kept, removed = split(route.candidates, route.limits, wanted, needs)
    if not kept:
        raise nothing_left(route.name, removed)
    policy = route.policy or settings.policy
    strict = wanted.sort is not None
    score: Score = POLICIES[policy] if wanted.sort is None else SORTS[wanted.sort]
    if conversation is not None and wanted.sort is None:
        score = STICKY.get(policy, score)
    if conversation is None:
        drawn = [rng.random() or 0.5 for _ in kept]
    else:
        drawn = draws(conversation, [each.deployment.salt for each in kept])
    healths = [health.of(each.deployment) for each in kept]
    prefers = bool(wanted.max_latency or wanted.min_throughput)
    scores = score(kept, healths, drawn, now)
    choices = [
        RankedDeployment(
            candidate, points, health.hold(candidate.deployment, now), _misses(each, wanted) if prefers else ""
        )
        for candidate, each, points in zip(kept, healths, scores, strict=True)
    ]
    order = {name: position for position, name in enumerate(wanted.order)}

    def place(choice: RankedDeployment) -> tuple[float, ...]:
        candidate = choice.candidate
        return (
            0.0 if choice.hold is None else choice.hold.until,
            order.get(candidate.deployment.provider, len(order)),
            0 if wanted.across_models else candidate.model,
            0 if strict else candidate.tier,
            bool(choice.misses),
            choice.score,
        )

    choices.sort(key=place)
    if not strict and not order and conversation is None and policy in NEEDS_EXPLORING:
        _explore(choices, settings.explore, rng)
    if not wanted.allow_fallbacks and not order:
        del choices[1:]
    name = f"sort={wanted.sort}" if wanted.sort else ("order" if order else policy)
    return Plan(route.name, name, tuple(choices), tuple(removed), wanted)


def _explore(choices: list[RankedDeployment], share: float, rng: Random) -> None:
    """Now and then puts another of the first tier first, to keep its figures fresh."""
    first = choices[0]
    equals = sum(
        1
        for choice in choices
        if choice.hold is None
        and choice.candidate.tier == first.candidate.tier
        and bool(choice.misses) == bool(first.misses)
    )
    if equals > 1 and first.hold is None and rng.random() < share:
        choices.insert(0, choices.pop(rng.randrange(1, equals)))


def _misses(health: DeploymentHealth, wanted: ResolvedPreferences) -> str:
    """Returns the preferred speed that is not met; unknown speeds count as met."""
    for percentile, most in wanted.max_latency.items():
        latency = health.latency_percentile(percentile)
        if latency is not None and latency > most:
            return f"latency ({percentile}) is {latency:.2f} s"
    for percentile, least in wanted.min_throughput.items():
        throughput = health.throughput_percentile(percentile)
        if throughput is not None and throughput < least:
            return f"throughput ({percentile}) is {throughput:.0f} tokens/s"
    return ""
