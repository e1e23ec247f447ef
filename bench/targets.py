"""What Weebill set out to reach, and whether it did."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

Lookup = Callable[[str, str], float | None]  # (row, contender) -> its median, None if it was not measured


@dataclass(frozen=True, slots=True)
class Verdict:
    """`met` is None if what it takes was not measured."""

    target: str
    measured: str
    met: bool | None

    def __str__(self) -> str:
        if self.met is None:
            return f"– {self.target}"
        return f"{'✓' if self.met else '✗'} {self.target} ({self.measured})"


@dataclass(frozen=True, slots=True)
class Target:
    """The figure of `of` in `row` (over that of the contender `over`, if any) against a limit."""

    row: str
    text: str
    holds: Callable[[float, float], bool]
    limit: float
    shown: str
    over: str | None = None
    of: str = "weebill"

    def judge(self, lookup: Lookup) -> Verdict:
        value = lookup(self.row, self.of)
        if self.over is not None and value is not None:
            other = lookup(self.row, self.over)
            value = value / other if other else None
        if value is None:
            return Verdict(self.text, "", None)
        return Verdict(self.text, self.shown.format(value), self.holds(value, self.limit))


TARGETS = (
    Target("rps/64", "≥ 0.5 × nginx", operator.ge, 0.5, "{:.2f} ×", over="nginx"),
    Target("rps/64", "≥ 1.5 × Envoy", operator.ge, 1.5, "{:.2f} ×", over="envoy"),
    Target("rps/64", "interpreted ≥ 1 × Envoy", operator.ge, 1, "{:.2f} ×", over="envoy", of="interpreted"),
    Target("rps/64", "≥ 150 × LiteLLM", operator.ge, 150, "{:,.0f} ×", over="litellm"),
    Target("rps/64", "≥ 20 × Portkey", operator.ge, 20, "{:,.0f} ×", over="portkey"),
    Target("p99/1", "≤ 0.5 ms", operator.le, 0.5, "{:.3f} ms"),
    Target("worker/idle", "≤ 80 MB", operator.le, 80, "{:.0f} MB"),
    Target("relay", "≥ 100,000", operator.ge, 100_000, "{:,.0f}"),
    Target("many/complete", "all of them", operator.ge, 100, "{:.2f} %"),
    Target("many/worker", "≤ 600 MB", operator.le, 600, "{:.0f} MB"),
    Target("engine/tokens/1", "≥ 0.97 × engine", operator.ge, 0.97, "{:.3f} ×", over="direct"),
    Target("engine/tokens/4", "≥ 0.97 × engine", operator.ge, 0.97, "{:.3f} ×", over="direct"),
)
