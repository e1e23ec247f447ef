"""Servers that tell their load: the least loaded comes first, and a conversation stays where its prompt is cached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random

from tests.routing.deployments import deployment, needs, route
from weebill.config.routing import RoutingSettings
from weebill.routing.health import Health
from weebill.routing.plan import Plan, make_plan
from weebill.routing.preferences import WANTS_NOTHING
from weebill.routing.servers import Load, ServerState
from weebill.routing.sticky import conversation_key

NOW = 100.0
PLAIN = needs()
DEPLOYMENTS = {name: deployment(name) for name in "abcd"}
ROUTE = route(*DEPLOYMENTS.values(), policy="least_load")


def told(loads: Mapping[str, Load | None], away: Mapping[str, str] | None = None) -> Health:
    health = Health(RoutingSettings().breaker, Random(1))
    tell(health, loads, away or {})
    return health


def tell(health: Health, loads: Mapping[str, Load | None], away: Mapping[str, str]) -> None:
    states = {name: ServerState(provider=name, status="ready", load=load) for name, load in loads.items()}
    health.follow(states, away, DEPLOYMENTS.values())


def planned(health: Health, conversation: bytes | None = None, seed: int = 7) -> Plan:
    return make_plan(ROUTE, WANTS_NOTHING, PLAIN, health, RoutingSettings(), NOW, Random(seed), conversation)


def order(plan: Plan) -> str:
    return "".join(each.candidate.deployment.provider for each in plan.choices)


def begin(health: Health, plan: Plan) -> str:
    first = plan.choices[0].candidate.deployment
    health.of(first).begin(NOW)
    return first.provider


def test_fewest_waiting_then_least_used_cache() -> None:
    loads = {"a": Load(9, 3, 0.1), "b": Load(9, 0, 0.9), "c": Load(50, 0, 0.2), "d": Load(1, 1, 0.0)}
    assert order(planned(told(loads))) == "cbda"


def test_requests_sent_since_the_report_count_as_waiting() -> None:
    health = told(dict.fromkeys("abcd", Load(0, 0, 0.0)))
    sent = Counter(begin(health, planned(health, seed=seed)) for seed in range(40))
    assert set(sent.values()) == {10}
    tell(health, {"a": Load(0, 0, 0.0), "b": Load(9, 1, 0.5)}, {})
    assert order(planned(health))[:1] == "a"


def test_requests_that_have_ended_make_room() -> None:
    health = told({"a": Load(4, 2, 0.1), "b": Load(9, 1, 0.1), "c": Load(9, 1, 0.1), "d": Load(9, 1, 0.1)})
    a = health.of(DEPLOYMENTS["a"])
    for _ in range(2):
        a.begin(NOW)
    a.succeeded(NOW, NOW)
    a.cancelled()
    assert order(planned(health))[-1] == "a"
    for _ in range(2):  # begun before the report
        a.cancelled()
    assert order(planned(health))[0] == "a"


def test_an_untold_load_counts_as_typical() -> None:
    loads = {"a": Load(0, 4, 0.5), "b": None, "c": Load(0, 0, 0.5), "d": Load(0, 2, 0.5)}
    assert order(planned(told(loads))) in ("cbda", "cdba")


def test_without_any_load_told_the_least_busy_comes_first() -> None:
    health = told({})
    firsts = Counter(begin(health, planned(health, seed=seed)) for seed in range(400))
    assert max(firsts.values()) - min(firsts.values()) <= 8


def test_forgotten_loads_are_unknown() -> None:
    health = told({"a": Load(0, 9, 0.9), "b": Load(0, 0, 0.0), "c": Load(0, 9, 0.9), "d": Load(0, 9, 0.9)}, {"b": "x"})
    health.forget_servers()
    assert len({begin(health, planned(health, seed=seed)) for seed in range(60)}) == 4
    assert all(each.hold is None for each in planned(health).choices)


def test_a_server_that_is_away_comes_last_and_says_why() -> None:
    health = told({}, {"b": "its server is down: it refused the connection"})
    assert not health.quiet
    health.settle(NOW)
    assert not health.quiet
    last = planned(health).choices[-1]
    assert last.candidate.deployment.provider == "b"
    assert last.hold is not None
    assert last.hold.why == "its server is down: it refused the connection"
    tell(health, {}, {})
    health.settle(NOW)
    assert health.quiet
    assert all(each.hold is None for each in planned(health).choices)


def test_a_conversation_stays_whoever_is_the_least_loaded() -> None:
    health = told(dict.fromkeys("abcd", Load(2, 0, 0.1)))
    keys = [conversation_key("", b"%d" % at) for at in range(200)]
    places = {key: order(planned(health, key))[0] for key in keys}
    assert Counter(places.values()).keys() == set("abcd")
    tell(health, {"a": Load(6, 0, 0.9), "b": Load(1, 0, 0.0), "c": Load(2, 0, 0.0), "d": Load(3, 0, 0.4)}, {})
    assert {key: order(planned(health, key))[0] for key in keys} == places


def test_but_leaves_one_that_has_more_than_its_share() -> None:
    health = told(dict.fromkeys("abcd", Load(20, 0, 0.1)))
    key = conversation_key("", b"hot")
    home = order(planned(health, key))[0]
    loads = {name: Load(90 if name == home else 20, 0, 0.1) for name in "abcd"}
    tell(health, loads, {})
    crowded = order(planned(health, key))
    assert crowded[0] != home
    assert crowded[-1] == home
    # Others whose home is elsewhere do not move.
    elsewhere = next(
        each for at in range(99) if order(planned(told({}), each := conversation_key("", b"%d" % at)))[0] != home
    )
    assert order(planned(health, elsewhere))[0] == order(planned(told({}), elsewhere))[0]


def test_one_hot_beginning_is_spread_within_the_bound() -> None:
    health = told(dict.fromkeys("abcd", Load(0, 0, 0.0)))
    key = conversation_key("", b"one system prompt for all")
    sent = Counter(begin(health, planned(health, key, seed)) for seed in range(200))
    assert max(sent.values()) <= 1.25 * 200 / 4 + 1
    assert sum(sent.values()) == 200
