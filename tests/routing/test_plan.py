"""Properties of plans and attempts, whatever is configured, wanted and going wrong."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from tests.routing.deployments import deployment, needs, priced
from weebill.config.routing import Policy, RoutingSettings, Sort
from weebill.routing.attempts import Attempts, Shared
from weebill.routing.budget import RetryBudget
from weebill.routing.candidates import Candidate
from weebill.routing.decisions import DECISIONS
from weebill.routing.deployments import Deployment
from weebill.routing.directory import ModelRoute
from weebill.routing.filters import CAPABILITIES, PREFERENCES
from weebill.routing.health import Health
from weebill.routing.plan import Plan, make_plan
from weebill.routing.preferences import ResolvedPreferences
from weebill.routing.steps import Pause, Try
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure, FailureKind, Scope, UpstreamFailure

PROVIDERS = "abcdef"
MAYBE = st.none() | st.booleans()
REQUESTS = (
    needs(),
    needs(max_tokens=500),
    needs(tools=[{"type": "function", "function": {"name": "f"}}]),
    needs(messages=[{"role": "user", "content": "word " * 4000}]),
)
# What is at fault, and the upstream's status where it has answered.
FAILURES: dict[FailureKind, tuple[Scope, int]] = {
    "network": ("provider", 0),
    "timeout": ("model", 0),
    "overloaded": ("model", 503),
    "server": ("model", 500),
    "invalid_answer": ("model", 0),
    "rate_limited": ("model", 429),
    "quota": ("key", 429),
    "credential": ("key", 401),
    "forbidden": ("request", 403),
    "not_found": ("request", 404),
    "unsupported": ("request", 400),
    "context_length": ("request", 400),
    "content_filter": ("request", 400),
    "invalid_request": ("request", 400),
}


def failure(kind: FailureKind, retry_after: float | None = None) -> UpstreamFailure:
    """One of each kind."""
    scope, status = FAILURES[kind]
    return UpstreamFailure(Failure(kind, scope, status, retry_after), f"It was {kind}.")


@st.composite
def deployments(draw: st.DrawFn) -> tuple[Deployment, ...]:
    names = draw(st.lists(st.sampled_from(PROVIDERS), min_size=1, max_size=6, unique=True))
    return tuple(
        deployment(
            name,
            keys=draw(st.integers(1, 3)),
            local=draw(st.booleans()),
            zero_retention=draw(MAYBE),
            trains=draw(MAYBE),
            region=draw(st.sampled_from(["", "eu", "us"])),
            quantization=draw(st.sampled_from(["unknown", "fp8"])),
            price=draw(st.sampled_from([None, priced(1), priced(5)])),
            context=draw(st.sampled_from([None, 1000, 100_000])),
            max_output=draw(st.sampled_from([None, 100, 1000])),
            tools=draw(MAYBE),
            weight=draw(st.sampled_from([1.0, 10.0])),
            tier=draw(st.integers(0, 2)),
        )
        for name in names
    )


some_names = st.lists(st.sampled_from(PROVIDERS), max_size=4, unique=True).map(tuple)
maybe_names = st.none() | some_names.map(frozenset)
wanteds = st.builds(
    ResolvedPreferences,
    order=some_names,
    only=maybe_names,
    ignore=some_names.map(frozenset),
    allow_fallbacks=st.booleans(),
    no_training=st.booleans(),
    zero_retention=st.booleans(),
    local_only=st.booleans(),
    regions=st.none() | st.just(frozenset({"eu"})),
    quantizations=st.none() | st.just(frozenset({"fp8"})),
    max_prompt=st.none() | st.just(2_000_000),
    sort=st.none() | st.sampled_from(get_args(Sort)),
)
policies = st.sampled_from(get_args(Policy))
kinds = st.sampled_from(get_args(FailureKind))


def planned(
    found: tuple[Deployment, ...], wanted: ResolvedPreferences, request: int, policy: Policy, health: Health, seed: int
) -> Plan | None:
    candidates = tuple(Candidate(each, each.capabilities.weight, each.capabilities.tier) for each in found)
    settings = RoutingSettings(policy=policy, explore=0.2)
    try:
        return make_plan(ModelRoute("m", candidates), wanted, REQUESTS[request], health, settings, 0.0, Random(seed))
    except ApiError:
        return None


def fresh() -> Health:
    return Health(RoutingSettings().breaker, Random(1))


@given(deployments(), wanteds, st.integers(0, len(REQUESTS) - 1), policies, st.integers())
def test_every_filter_is_honoured_and_every_removal_explained(
    found: tuple[Deployment, ...], wanted: ResolvedPreferences, request: int, policy: Policy, seed: int
) -> None:
    plan = planned(found, wanted, request, policy, fresh(), seed)
    against = {
        each.key: [
            one
            for one in (*PREFERENCES, *(CAPABILITIES if len(found) > 1 else ()))
            if one.asked(wanted, REQUESTS[request]) and one.why(each, wanted, REQUESTS[request])
        ]
        for each in found
    }
    refused = {key for key, filters in against.items() if filters}
    if len(refused) == len(found):
        # Then those against whom there is nothing but what can be bounded are tried.
        refused -= {key for key, filters in against.items() if all(one.soft for one in filters)}
    if plan is None:
        assert refused == {each.key for each in found}
        return
    chosen = [each.candidate.deployment.key for each in plan.choices]
    assert len(set(chosen)) == len(chosen)
    assert not refused & set(chosen)
    assert {each.candidate.deployment.key for each in plan.removed} == refused
    assert all(each.reason for each in plan.removed)
    if wanted.allow_fallbacks or wanted.order:
        assert len(chosen) + len(plan.removed) == len(found)
    else:
        assert len(chosen) == 1


@given(deployments(), wanteds, policies, st.integers())
def test_an_order_is_reproducible_from_its_seed(
    found: tuple[Deployment, ...], wanted: ResolvedPreferences, policy: Policy, seed: int
) -> None:
    assert planned(found, wanted, 0, policy, fresh(), seed) == planned(found, wanted, 0, policy, fresh(), seed)


@given(deployments(), some_names, policies, st.integers())
def test_an_order_that_is_asked_for_is_kept_to(
    found: tuple[Deployment, ...], order: tuple[str, ...], policy: Policy, seed: int
) -> None:
    plan = planned(found, ResolvedPreferences(order=order), 0, policy, fresh(), seed)
    assert plan is not None
    chosen = [each.candidate.deployment.provider for each in plan.choices]
    asked = [name for name in order if name in chosen]
    if asked:
        assert chosen[: len(asked)] == asked


@given(deployments(), policies, st.integers())
def test_tiers_come_in_turn(found: tuple[Deployment, ...], policy: Policy, seed: int) -> None:
    plan = planned(found, ResolvedPreferences(), 0, policy, fresh(), seed)
    assert plan is not None
    tiers = [each.candidate.tier for each in plan.choices]
    assert tiers == sorted(tiers)


@given(deployments(), wanteds, policies, st.lists(kinds, min_size=1, max_size=30), st.integers(0, 1000))
def test_under_any_failure_no_request_leaves_its_set_or_tries_without_end(
    found: tuple[Deployment, ...], wanted: ResolvedPreferences, policy: Policy, failures: list[FailureKind], seed: int
) -> None:
    """Several requests, one after the other, so that breakers open and credentials die in between."""
    health, rng, now = fresh(), Random(seed), 0.0
    settings = RoutingSettings(policy=policy, max_attempts=8)
    shared = Shared(settings, health, RetryBudget(1.0, 100.0), rng)
    script = iter(failures * 4)
    for _ in range(4):
        plan = planned(found, wanted, 0, policy, health, seed)
        if plan is None:
            return
        attempts = Attempts(shared, plan.choices, now + 60.0, rotation=seed)
        tried: Counter[tuple[str, str]] = Counter()
        again: Counter[str] = Counter()
        while (step := attempts.next(now)) is not None:
            now += 0.01
            if isinstance(step, Pause):
                assert 0 < step.seconds < 1
                now += step.seconds
                continue
            assert isinstance(step, Try)
            known = step.deployment.capabilities
            assert step.deployment in found
            assert not wanted.local_only or known.local
            assert not wanted.zero_retention or known.zero_retention
            assert not wanted.no_training or known.trains is False
            assert wanted.only is None or step.deployment.provider in wanted.only
            assert 0 < step.patience_s <= 60
            tried[step.deployment.key, step.credential.id] += 1
            kind = next(script, "server")
            again[step.deployment.key] += DECISIONS[kind].again
            attempts.failed(failure(kind), now, status=FAILURES[kind][1])
        for (key, _), times in tried.items():
            # Once, and once more where the table says so.
            assert times <= 1 + min(1, again[key])
        assert tried.total() == len(attempts.log) <= settings.max_attempts
        assert attempts.error() is attempts.first_error
    assert all(health.of(each).in_flight == 0 for each in found)
