"""One scenario under one balancer, and what came of it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final, Literal, NamedTuple

import msgspec

from bench.simulation.balancers import BALANCERS, Make, Request
from bench.simulation.clock import Clock, Steps
from bench.simulation.scenarios import SCENARIOS, Scenario
from bench.simulation.servers import Answer, Server
from weebill.wire.errors import ApiError

_WINDOW_S: Final = 5.0  # over which shares of the traffic are looked at
_STEP_S: Final = 0.25
_DROPPED: Final = 0.2  # of its fair share, or less
_BACK: Final = 0.5  # of its fair share, or more
_SIGMA: Final = 0.6  # of the logarithm of a request's work


After = float | Literal["never"] | None


class Called(NamedTuple):
    """A server was called."""

    at: float
    name: str


class Served(NamedTuple):
    """What became of a request."""

    request: Request
    ended: float
    good: bool


@dataclass
class Trace:
    """All that happened, in order of time."""

    scenario: Scenario
    calls: list[Called]
    served: list[Served]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one scenario under one balancer. Seconds; shares are 0 to 1.

    `added_p50` and `added_p99` are what good answers took longer than they would at the fastest server, all well.
    `fairness` is Jain's index of the calls before anything is wrong: 1 if all got the same. `calls_in_trouble` is
    calls for each request while something is wrong. `dropped_after` and `back_after` are of the server that is dead,
    None where there is none; `to_dead` is its share of the calls while it was.
    """

    scenario: str
    balancer: str
    requests: int
    good: float
    added_p50: float
    added_p99: float
    longest: float
    fairness: float
    calls: float
    calls_in_trouble: float
    to_dead: float | None = None
    dropped_after: After = None
    back_after: After = None


def simulate(scenario: Scenario, make: Make, seed: int) -> Trace:
    """Run a scenario; arrivals and the work of requests depend on `seed` alone, not on who serves them."""
    clock, trace = Clock(), Trace(scenario, [], [])
    servers = {plan.name: Server(plan, Random(f"{seed} {plan.name}")) for plan in scenario.servers}

    def call(name: str, request: Request, patience_s: float, key: int = 0) -> Steps[Answer]:
        trace.calls.append(Called(clock.now, name))
        answer = servers[name].ask(request.work, key, clock.now)
        if answer.after_s > patience_s:
            answer = Answer(patience_s, 0, ApiError(504, "Too slow.", code="upstream_timeout"))
        yield answer.after_s
        return answer

    balancer = make(scenario.servers, clock, call, Random(f"{seed} balancer"))

    def serve(request: Request) -> Steps[None]:
        good = yield from balancer.serve(request)
        trace.served.append(Served(request, clock.now, good and clock.now <= request.deadline))

    arrivals, at, number = Random(f"{seed} arrivals"), 0.0, 0
    while (at := at + arrivals.expovariate(scenario.rate)) < scenario.seconds:
        work = arrivals.lognormvariate(-_SIGMA * _SIGMA / 2, _SIGMA)
        clock.start(serve(Request(number, at, work, at + scenario.deadline_s)), at)
        number += 1
    clock.run()
    return trace


def outcome(trace: Trace, balancer: str) -> Outcome:
    """The figures of a run."""
    scenario, served = trace.scenario, trace.served
    fastest = min(server.mean_s for server in scenario.servers)
    added = sorted(it.ended - it.request.at - fastest * it.request.work for it in served if it.good)
    begin, end = scenario.trouble
    before = Counter(it.name for it in trace.calls if it.at < (begin or inf))
    asked = [it for it in served if begin <= it.request.at < end]
    called = [it for it in trace.calls if begin <= it.at < end]
    dead = scenario.dead
    return Outcome(
        scenario=scenario.name,
        balancer=balancer,
        requests=len(served),
        good=sum(it.good for it in served) / len(served),
        added_p50=statistics.median(added),
        added_p99=added[int(0.99 * len(added))],
        longest=max(it.ended - it.request.at for it in served),
        fairness=_jain([before[server.name] for server in scenario.servers]),
        calls=len(trace.calls) / len(served),
        calls_in_trouble=len(called) / len(asked) if asked else 1.0,
        to_dead=share(trace, dead, *_death(scenario)) if dead else None,
        dropped_after=_dropped_after(trace) if dead else None,
        back_after=_back_after(trace) if dead and _death(scenario)[1] < scenario.seconds else None,
    )


RUNS: Final = len(SCENARIOS) * len(BALANCERS)


def run_all(seed: int, tick: Callable[[], None]) -> list[Outcome]:
    """Every scenario under every balancer; `tick` is called after each run."""
    found = []
    for scenario in SCENARIOS:
        for name, make in BALANCERS.items():
            found.append(outcome(simulate(scenario, make, seed), name))
            tick()
    return found


def share(trace: Trace, name: str, begin: float, end: float) -> float:
    """A server's share of the calls from `begin` to `end`; 0 without any."""
    names = [it.name for it in trace.calls if begin <= it.at < end]
    return names.count(name) / len(names) if names else 0.0


def _death(scenario: Scenario) -> tuple[float, float]:
    first = next(server.faults[0] for server in scenario.servers if server.name == scenario.dead)
    return first.begin, min(first.end, scenario.seconds)


def _dropped_after(trace: Trace) -> After:
    """Until it had hardly any of the calls of the seconds that followed."""
    begin, end = _death(trace.scenario)
    least = _DROPPED / len(trace.scenario.servers)
    return _first(trace, begin, end - _WINDOW_S, lambda part: part < least)


def _back_after(trace: Trace) -> After:
    """Until it had its part of the calls of the seconds that followed."""
    _, end = _death(trace.scenario)
    least = _BACK / len(trace.scenario.servers)
    return _first(trace, end, trace.scenario.seconds - _WINDOW_S, lambda part: part >= least)


def _first(trace: Trace, begin: float, end: float, holds: Callable[[float], bool]) -> After:
    steps = int((end - begin) / _STEP_S)
    for step in range(steps + 1):
        at = begin + step * _STEP_S
        if holds(share(trace, trace.scenario.dead, at, at + _WINDOW_S)):
            return at - begin
    return "never"


def _jain(counts: list[int]) -> float:
    """Jain, Chiu and Hawe, "A quantitative measure of fairness", 1984."""
    total = sum(counts)
    return total * total / (len(counts) * sum(count * count for count in counts)) if total else 1.0
