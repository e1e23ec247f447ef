"""How routing fares under failures, in virtual time: always the same, from seeds."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from bench.simulation.balancers import BALANCERS, BASELINES, DEFAULT
from bench.simulation.run import Outcome, Trace, outcome, share, simulate
from bench.simulation.scenarios import SCENARIOS

NAMED = {scenario.name: scenario for scenario in SCENARIOS}
OURS = [name for name in BALANCERS if name not in BASELINES]
SEED = 7
# By whatever policy a deployment is chosen, what befalls it afterwards is one and the same code.
BY_ALL = ("steady", "outage")


def by_ours(*scenarios: str) -> pytest.MarkDecorator:
    """Parametrizes by these scenarios and our policies; the further policies are `slow` but for those of `BY_ALL`."""
    rows = [(scenario, name) for scenario in scenarios for name in OURS]
    marks = {True: (), False: pytest.mark.slow}
    params = [pytest.param(*row, marks=marks[row[1] == DEFAULT or row[0] in BY_ALL]) for row in rows]
    return pytest.mark.parametrize(("scenario", "name"), params)


@cache
def trace(scenario: str, balancer: str = DEFAULT) -> Trace:
    return simulate(NAMED[scenario], BALANCERS[balancer], SEED)


@cache
def found(scenario: str, balancer: str = DEFAULT) -> Outcome:
    return outcome(trace(scenario, balancer), balancer)


def test_a_seed_decides_everything() -> None:
    first, second, other = (simulate(NAMED["brown-out"], BALANCERS[DEFAULT], seed) for seed in (1, 1, 2))
    assert (first.calls, first.served) == (second.calls, second.served)
    assert first.calls != other.calls


def test_all_balancers_are_asked_the_same() -> None:
    asked = [sorted(it.request for it in trace("outage", name).served) for name in BALANCERS]
    assert all(each == asked[0] for each in asked)


@by_ours(*NAMED)
def test_more_is_answered_than_by_any_baseline(scenario: str, name: str) -> None:
    baselines = {each: found(scenario, each).good for each in BASELINES}
    assert found(scenario, name).good >= max(baselines.values()), baselines


@by_ours(*NAMED)
def test_nobody_waits_beyond_the_deadline(scenario: str, name: str) -> None:
    assert found(scenario, name).longest <= NAMED[scenario].deadline_s + 1e-9


@pytest.mark.parametrize("scenario", [each for each in NAMED if each not in ("overload", "all down")])
def test_while_any_is_well_everything_is_answered(scenario: str) -> None:
    assert found(scenario).good >= 0.999


def test_well_servers_get_the_same_and_nothing_is_asked_twice() -> None:
    for name in OURS:
        assert found("steady", name).fairness > 0.99
        assert found("steady", name).calls == 1.0
        assert found("steady", name).added_p99 < 0.01


def test_latency_decides_where_it_differs() -> None:
    counted = Counter(it.name for it in trace("uneven", "Weebill, latency").calls)
    assert counted["a"] > 2 * counted["d"]
    assert found("uneven", "Weebill, latency").added_p50 < 0.5 * found("uneven", "round-robin").added_p50


LEFT_ALONE_AFTER_S = {"outage": 1.0, "slow start": 1.0, "credential": 1.0, "hang": 8.0}


@by_ours(*LEFT_ALONE_AFTER_S)
def test_the_dead_is_left_alone(scenario: str, name: str) -> None:
    fault = NAMED[scenario].servers[0].faults[0]
    begin, end = fault.begin + LEFT_ALONE_AFTER_S[scenario], min(fault.end, 70.0)
    assert share(trace(scenario, name), "a", begin, end) < 0.02


TAKEN_BACK_AFTER_S = {"outage": 25.0, "hang": 25.0, "slow start": 25.0, "herd": 30.0, "long outage": 25.0}


@by_ours(*TAKEN_BACK_AFTER_S)
def test_what_has_recovered_is_taken_back(scenario: str, name: str) -> None:
    back = found(scenario, name).back_after
    assert isinstance(back, float)
    assert back < TAKEN_BACK_AFTER_S[scenario]


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


# By how many calls the requests of a time of trouble are multiplied. How many of those that start cold are met at once
# is for the lots to say.
CALLS_AT_MOST = {
    **dict.fromkeys(("outage", "slow start", "429 storm", "flapping", "brown-out"), 1.1),
    "herd": 1.5,
    "overload": 2.5,
}


@by_ours(*CALLS_AT_MOST)
def test_retries_never_become_a_storm(scenario: str, name: str) -> None:
    assert found(scenario, name).calls_in_trouble < CALLS_AT_MOST[scenario]


@by_ours("all down")
def test_nobody_is_asked_again_and_again_where_all_are_down(scenario: str, name: str) -> None:
    assert found(scenario, name).calls_in_trouble < found(scenario, "LiteLLM's default").calls_in_trouble


def test_the_cold_are_not_overrun() -> None:
    def cold(balancer: str) -> float:
        return sum(share(trace("herd", balancer), name, 50, 53) for name in "abcd")

    assert cold(DEFAULT) < 0.1
    assert cold("round-robin") > 0.4
