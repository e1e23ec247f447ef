"""How routing fares under failures, in virtual time: always the same, from seeds."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from bench.simulation.balancers import BALANCERS, BASELINES, DEFAULT
from bench.simulation.run import Outcome, Trace, outcome, share, simulate
from bench.simulation.scenarios import SCENARIOS, Scenario

NAMED = {scenario.name: scenario for scenario in SCENARIOS}
OURS = [name for name in BALANCERS if name not in BASELINES]
SEED = 7


@cache
def trace(scenario: str, balancer: str = DEFAULT) -> Trace:
    return simulate(NAMED[scenario], BALANCERS[balancer], SEED)


@cache
def found(scenario: str, balancer: str = DEFAULT) -> Outcome:
    return outcome(trace(scenario, balancer), balancer)


def ids(scenario: Scenario) -> str:
    return scenario.name


def test_a_seed_decides_everything() -> None:
    first, second, other = (simulate(NAMED["brown-out"], BALANCERS[DEFAULT], seed) for seed in (1, 1, 2))
    assert (first.calls, first.served) == (second.calls, second.served)
    assert first.calls != other.calls


def test_all_balancers_are_asked_the_same() -> None:
    asked = [sorted(it.request for it in trace("outage", name).served) for name in BALANCERS]
    assert all(each == asked[0] for each in asked)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=ids)
def test_more_is_answered_than_by_any_baseline(scenario: Scenario) -> None:
    baselines = {name: found(scenario.name, name).good for name in BASELINES}
    for name in OURS:
        assert found(scenario.name, name).good >= max(baselines.values()), (name, baselines)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=ids)
def test_nobody_waits_beyond_the_deadline(scenario: Scenario) -> None:
    for name in OURS:
        assert found(scenario.name, name).longest <= scenario.deadline_s + 1e-9


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if each.name not in ("overload", "all down")], ids=ids)
def test_while_any_is_well_everything_is_answered(scenario: Scenario) -> None:
    assert found(scenario.name).good >= 0.999


def test_well_servers_get_the_same_and_nothing_is_asked_twice() -> None:
    for name in OURS:
        assert found("steady", name).fairness > 0.99
        assert found("steady", name).calls == 1.0
        assert found("steady", name).added_p99 < 0.01


def test_latency_decides_where_it_differs() -> None:
    counted = Counter(it.name for it in trace("uneven", "Weebill, latency").calls)
    assert counted["a"] > 2 * counted["d"]
    assert found("uneven", "Weebill, latency").added_p50 < 0.5 * found("uneven", "round-robin").added_p50


@pytest.mark.parametrize(("scenario", "seconds"), [("outage", 1), ("slow start", 1), ("credential", 1), ("hang", 8)])
def test_the_dead_is_left_alone(scenario: str, seconds: float) -> None:
    for name in OURS:
        begin, end = NAMED[scenario].servers[0].faults[0].begin, min(NAMED[scenario].servers[0].faults[0].end, 70.0)
        assert share(trace(scenario, name), "a", begin + seconds, end) < 0.02


@pytest.mark.parametrize(
    ("scenario", "seconds"), [("outage", 25), ("hang", 25), ("slow start", 25), ("herd", 30), ("long outage", 25)]
)
def test_what_has_recovered_is_taken_back(scenario: str, seconds: float) -> None:
    for name in OURS:
        back = found(scenario, name).back_after
        assert isinstance(back, float)
        assert back < seconds


def test_a_refused_credential_is_asked_after_pauses_that_grow() -> None:
    later = [it.at for it in trace("credential").calls if it.at > 31 and it.name == "a"]
    assert 2 <= len(later) <= 4
    assert sorted(b - a for a, b in pairwise(later)) == [b - a for a, b in pairwise(later)]
    # Each that was already on its way may come back with it.
    assert sum(30 < it.at <= 31 and it.name == "a" for it in trace("credential").calls) < 5


def test_limits_are_respected() -> None:
    # Two requests a second are admitted at each of two, and a refusal tells all to stay away for four seconds.
    refused = sum(30 <= it.at < 90 and it.name in "ab" for it in trace("429 storm").calls) - 2 * 2 * 60
    assert refused < 2 * 60 / 4 + 5


def test_retries_never_become_a_storm() -> None:
    for name in OURS:
        for scenario in ("outage", "slow start", "429 storm", "flapping", "brown-out"):
            assert found(scenario, name).calls_in_trouble < 1.1
        # How many of those that start cold are met at once is for the lots to say.
        assert found("herd", name).calls_in_trouble < 1.5
        assert found("all down", name).calls_in_trouble < found("all down", "LiteLLM's default").calls_in_trouble
        assert found("overload", name).calls_in_trouble < 2.5


def test_the_cold_are_not_overrun() -> None:
    def cold(balancer: str) -> float:
        return sum(share(trace("herd", balancer), name, 50, 53) for name in "abcd")

    assert cold(DEFAULT) < 0.1
    assert cold("round-robin") > 0.4
