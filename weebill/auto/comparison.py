"""Compares the arms of an experiment by their usage records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from weebill.auto.experiments import Arm, Experiment
from weebill.auto.intervals import Interval, difference, mean, proportion, ranks

Figure = Literal[
    "success", "first_byte_p50_ms", "first_byte_p95_ms", "latency_p50_ms", "latency_p95_ms", "cost_nano",
    "prompt_tokens", "completion_tokens", "passed", "escalated",
]  # fmt: skip
Duration = Literal["first_byte_us", "total_us"]  # of a usage record
MEANS: Final[tuple[Figure, ...]] = ("cost_nano", "prompt_tokens", "completion_tokens")
_PERCENTILES: Final[dict[Figure, tuple[Duration, float]]] = {
    "first_byte_p50_ms": ("first_byte_us", 0.5),
    "first_byte_p95_ms": ("first_byte_us", 0.95),
    "latency_p50_ms": ("total_us", 0.5),
    "latency_p95_ms": ("total_us", 0.95),
}


class ArmSums(NamedTuple):
    """The sums over the requests of an arm, without those that their clients gave up.

    `judged` are the answers whose checks could tell, `passed` those that they let pass, `priced` the requests whose
    cost is known. `squares` has the sum and the sum of squares of each of `MEANS`.
    """

    requests: int
    answered: int
    judged: int
    passed: int
    priced: int
    squares: dict[Figure, tuple[float, float]]


class ArmUsage(Protocol):
    """The usage records of arms, by what they are recorded under."""

    def sums(self, arm: str) -> ArmSums:
        """Returns the sums over the requests of an arm."""

    def durations(self, arm: str, duration: Duration, ranks: Iterable[int]) -> list[int]:
        """Returns the durations of those ranks, from 0, among those of the answered requests; in microseconds."""


class ArmFigures(msgspec.Struct, frozen=True):
    """The figures of an arm; unknown ones are missing.

    `success` is the share of requests that were answered, `passed` the share of checked answers that passed,
    `escalated` the share of all requests that another model had to answer. Costs (nano-dollars) and tokens are means
    for a request; costs leave out the `unpriced` requests, whose price is unknown.
    """

    arm: Arm
    requests: int
    figures: dict[Figure, Interval]
    unpriced: int = 0


class Comparison(msgspec.Struct, frozen=True):
    """The figures of both arms, and the candidate's minus the control's."""

    experiment: Experiment
    control: ArmFigures
    candidate: ArmFigures
    differences: dict[Figure, Interval]


def compare(usage: ArmUsage, experiment: Experiment) -> Comparison:
    """Returns the comparison of the arms of `experiment`, by all that is recorded."""
    control = _figures(usage, experiment, "control")
    candidate = _figures(usage, experiment, "shadow" if experiment.shadow else "candidate")
    differences = {
        name: difference(interval, candidate.figures[name])
        for name, interval in control.figures.items()
        if name in candidate.figures
    }
    return Comparison(experiment, control, candidate, differences)


def _figures(usage: ArmUsage, experiment: Experiment, arm: Arm) -> ArmFigures:
    name = experiment.arm(arm)
    requests, answered, judged, passed, priced, squares = usage.sums(name)
    found: dict[Figure, Interval | None] = {
        "success": proportion(answered, requests),
        "passed": proportion(passed, judged),
        "escalated": proportion(judged - passed, requests) if judged else None,
    }
    for each in MEANS:
        found[each] = mean(*squares[each], priced if each == "cost_nano" else requests)
    for figure, (duration, share) in _PERCENTILES.items() if answered else ():
        found[figure] = Interval(*(each / 1000 for each in usage.durations(name, duration, ranks(share, answered))))
    known = {each: interval for each, interval in found.items() if interval is not None}
    return ArmFigures(arm, requests, known, requests - priced)
