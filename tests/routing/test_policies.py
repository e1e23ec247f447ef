"""Who comes first by which policy, over many requests."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.routing.deployments import deployment, needs, priced, route
from weebill.config.routing import Policy, RoutingSettings
from weebill.routing.deployments import Deployment
from weebill.routing.directory import ModelRoute
from weebill.routing.health import Health
from weebill.routing.plan import make_plan
from weebill.routing.preferences import WANTS_NOTHING, ResolvedPreferences
from weebill.routing.sticky import conversation_key
from weebill.wire.failure import Failure

PLAIN = needs()
ROUNDS = 4000


def firsts(
    candidates: ModelRoute,
    policy: Policy,
    health: Health | None = None,
    *,
    explore: float = 0.0,
    wanted: ResolvedPreferences = WANTS_NOTHING,
) -> Counter[str]:
    """How often each provider comes first."""
    rng = Random(7)
    health = health or Health(RoutingSettings().breaker, rng)
    settings = RoutingSettings(policy=policy, explore=explore)
    return Counter(
        make_plan(candidates, wanted, PLAIN, health, settings, 100.0, rng).choices[0].candidate.deployment.provider
        for _ in range(ROUNDS)
    )


def busy(health: Health, it: Deployment, count: int) -> None:
    for _ in range(count):
        health.of(it).begin(100.0)


def slow(health: Health, it: Deployment, seconds: float) -> None:
    health.of(it).latency.add(seconds, 100.0)


def share(counted: Counter[str], name: str) -> float:
    return counted[name] / counted.total()


def test_weights_are_shares() -> None:
    counted = firsts(route(deployment("a", weight=3.0), deployment("b", weight=1.0)), "weighted")
    assert share(counted, "a") == pytest.approx(0.75, abs=0.03)


def test_half_the_price_is_four_times_the_chance() -> None:
    counted = firsts(route(deployment("a", price=priced(1)), deployment("b", price=priced(2))), "price")
    assert share(counted, "a") == pytest.approx(0.8, abs=0.03)


def test_who_names_no_price_is_taken_to_be_typical() -> None:
    three = route(deployment("a", price=priced(1)), deployment("b"), deployment("c", price=priced(3)))
    counted = firsts(three, "price")
    assert share(counted, "a") > share(counted, "b") > share(counted, "c") > 0


def test_without_any_price_all_are_equal() -> None:
    counted = firsts(route(*(deployment(name) for name in "abcd")), "price")
    assert all(share(counted, name) == pytest.approx(0.25, abs=0.03) for name in "abcd")


def test_what_is_free_here_comes_first_and_elsewhere_is_typical() -> None:
    local, free, paid = deployment("a", price=priced(0), local=True), deployment("b", price=priced(0)), priced(1)
    assert set(firsts(route(local, deployment("c", price=paid)), "price")) == {"a"}
    assert share(firsts(route(free, deployment("c", price=paid)), "price"), "b") == pytest.approx(0.5, abs=0.03)
    strict = ResolvedPreferences(sort="price")
    assert set(firsts(route(free, deployment("c", price=paid)), "price", wanted=strict)) == {"b"}


def test_the_less_busy_of_two() -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    a, b, c = (deployment(name) for name in "abc")
    busy(health, a, 10)
    busy(health, b, 5)
    counted = firsts(route(a, b, c), "least_busy", health)
    assert counted["a"] == 0  # whoever it is drawn with is less busy
    assert share(counted, "c") == pytest.approx(2 / 3, abs=0.03)


def test_twice_the_weight_is_busy_with_twice_as_many() -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    a, b = deployment("a", weight=2.0), deployment("b")
    busy(health, a, 2)
    busy(health, b, 2)
    assert set(firsts(route(a, b), "least_busy", health)) == {"a"}


def test_the_faster_of_two_unless_it_is_busy() -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    a, b = deployment("a"), deployment("b")
    slow(health, a, 0.1)
    slow(health, b, 0.3)
    assert set(firsts(route(a, b), "latency", health)) == {"a"}
    busy(health, a, 3)
    assert set(firsts(route(a, b), "latency", health)) == {"b"}


@pytest.mark.parametrize("policy", ["price", "weighted"])
def test_who_is_just_back_gets_less(policy: Policy) -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    a, b = deployment("a"), deployment("b")
    health.of(a).back_at = 100.0 - 2.5
    assert share(firsts(route(a, b), policy, health), "a") == pytest.approx(0.2, abs=0.03)


def test_who_says_the_most_a_second() -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    a, b = deployment("a"), deployment("b")
    health.of(a).throughput.add(30)
    health.of(b).throughput.add(90)
    assert set(firsts(route(a, b), "throughput", health)) == {"b"}


@pytest.mark.parametrize("policy", ["price", "weighted", "least_busy", "latency"])
def test_who_fails_often_gets_less(policy: Policy) -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    a, b = deployment("a"), deployment("b")
    assert b.upstream is not None
    for each in (a, b):
        slow(health, each, 1.0)
    for n in range(15):
        for each in (a, b):
            health.of(each).begin(99)
            if each is b and n % 3 == 0:
                health.failed(each, b.upstream.credentials[0], Failure("server", "model"), 99, 99)
            else:
                health.of(each).succeeded(99, 99)
    counted = firsts(route(a, b), policy, health)
    assert share(counted, "b") < 0.45


def test_a_few_explore() -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    a, b, c = deployment("a"), deployment("b"), deployment("c", tier=1)
    slow(health, a, 0.1)
    slow(health, b, 9.0)
    counted = firsts(route(a, b, c), "latency", health, explore=0.1)
    assert share(counted, "b") == pytest.approx(0.1, abs=0.02)
    assert counted["c"] == 0


@pytest.mark.parametrize(("sort", "first"), [("price", "cheap"), ("latency", "quick"), ("throughput", "wordy")])
def test_a_sort_is_strict(sort: str, first: str) -> None:
    health = Health(RoutingSettings().breaker, Random(1))
    cheap = deployment("cheap", price=priced(1), tier=5)
    quick, wordy = (deployment(name, price=priced(2)) for name in ("quick", "wordy"))
    for each, seconds, rate in ((cheap, 3.0, 10.0), (quick, 0.1, 20.0), (wordy, 2.0, 99.0)):
        health.of(each).first_content.add(seconds)
        health.of(each).throughput.add(rate)
    wanted = ResolvedPreferences(sort=sort)  # type: ignore[arg-type]
    assert set(firsts(route(cheap, quick, wordy), "weighted", health, explore=1.0, wanted=wanted)) == {first}


def test_a_conversation_sticks_and_shares_hold() -> None:
    rng = Random(1)
    health, settings = Health(RoutingSettings().breaker, rng), RoutingSettings(policy="weighted")
    three = route(deployment("a", weight=2.0), deployment("b"), deployment("c"))

    def first(candidates: ModelRoute, conversation: bytes) -> str:
        plan = make_plan(candidates, WANTS_NOTHING, PLAIN, health, settings, 0.0, rng, conversation)
        return plan.choices[0].candidate.deployment.provider

    conversations = [conversation_key("tenant", str(n).encode()) for n in range(ROUNDS)]
    before = {each: first(three, each) for each in conversations}
    assert before == {each: first(three, each) for each in conversations}
    assert share(Counter(before.values()), "a") == pytest.approx(0.5, abs=0.03)
    # Without one of them, only its own conversations go elsewhere.
    two = ModelRoute("m", three.candidates[:2])
    assert all(first(two, each) == name for each, name in before.items() if name != "c")


def test_conversations_of_two_tenants_are_two() -> None:
    assert conversation_key("one", b"hello") != conversation_key("two", b"hello")
