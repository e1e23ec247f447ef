"""Compares the arms of an experiment by their usage records."""

from __future__ import annotations

import sqlite3
from typing import Final, Literal

import msgspec

from weebill.auto.cascade.verdicts import NOT_KNOWN
from weebill.auto.experiments import Arm, Experiment
from weebill.auto.intervals import Interval, difference, mean, proportion, ranks

Figure = Literal[
    "success", "first_byte_p50_ms", "first_byte_p95_ms", "latency_p50_ms", "latency_p95_ms", "cost_nano",
    "prompt_tokens", "completion_tokens", "passed", "escalated",
]  # fmt: skip
_PERCENTILES: Final[dict[Figure, tuple[str, float]]] = {
    "first_byte_p50_ms": ("first_byte_us", 0.5),
    "first_byte_p95_ms": ("first_byte_us", 0.95),
    "latency_p50_ms": ("total_us", 0.5),
    "latency_p95_ms": ("total_us", 0.95),
}
_MEANS: Final[tuple[Figure, ...]] = ("cost_nano", "prompt_tokens", "completion_tokens")
_OF_THE_ARM: Final = "arm = ? AND arm <> ''"  # the second condition is the index's, which SQLite does not infer
# An answer about which a check could not tell has neither passed nor failed.
_JUDGED: Final = f"checked <> '' AND checked NOT GLOB '{NOT_KNOWN}*'"
# A cancelled request says nothing about the model.
_COUNTED: Final = f"{_OF_THE_ARM} AND outcome <> 'client_cancelled'"


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


def compare(connection: sqlite3.Connection, experiment: Experiment) -> Comparison:
    """Returns the comparison of the arms of `experiment`, by all records of the ledger."""
    control = _figures(connection, experiment, "control")
    candidate = _figures(connection, experiment, "shadow" if experiment.shadow else "candidate")
    differences = {
        name: difference(interval, candidate.figures[name])
        for name, interval in control.figures.items()
        if name in candidate.figures
    }
    return Comparison(experiment, control, candidate, differences)


def _figures(connection: sqlite3.Connection, experiment: Experiment, arm: Arm) -> ArmFigures:
    name = experiment.arm(arm)
    sums = ", ".join(f"total({each}), total(1.0 * {each} * {each})" for each in _MEANS)
    row = connection.execute(
        # Materialised, as SQLite does not use a view's indexes for sums.
        f"WITH counted AS MATERIALIZED (SELECT * FROM usage WHERE {_COUNTED}) "  # noqa: S608
        f"SELECT count(*), total(outcome = 'ok'), total({_JUDGED}), total(checked = 'passed'), "
        f"count(cost_nano), {sums} FROM counted",
        (name,),
    ).fetchone()
    requests, answered, checked, passed, priced = map(int, row[:5])
    found: dict[Figure, Interval | None] = {
        "success": proportion(answered, requests),
        "passed": proportion(passed, checked),
        "escalated": proportion(checked - passed, requests) if checked else None,
    }
    for position, each in enumerate(_MEANS):
        count = priced if each == "cost_nano" else requests
        found[each] = mean(row[5 + 2 * position], row[6 + 2 * position], count)
    for figure, (column, share) in _PERCENTILES.items():
        found[figure] = _percentile(connection, name, column, share, answered)
    known = {each: interval for each, interval in found.items() if interval is not None}
    return ArmFigures(arm, requests, known, requests - priced)


def _percentile(connection: sqlite3.Connection, arm: str, column: str, share: float, count: int) -> Interval | None:
    """Returns a percentile of the answered requests, in milliseconds."""
    if not count:
        return None
    query = (
        f"SELECT {column} FROM usage WHERE {_OF_THE_ARM} AND outcome = 'ok' "  # noqa: S608
        f"ORDER BY {column} LIMIT 1 OFFSET ?"
    )
    value, low, high = (connection.execute(query, (arm, rank)).fetchone()[0] / 1000 for rank in ranks(share, count))
    return Interval(value, low, high)
