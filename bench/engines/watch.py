"""The time that passes while something is measured: on the clock, of the measured processes, and of all others."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from bench.proc import cpu_seconds, tree

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Watch:
    """Until its block ends; then `wall_s` has passed, in which the trees of `roots` took `cpu_s` of processors, and
    processes that are not the benchmark's `others` cores on average.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = list(roots)
        self.wall_s = 0.0
        self.cpu_s = 0.0
        self.others = 0.0
        self.by_root: dict[int, float] = {}

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        wall, busy, own, spent = self._now()
        wall_before, busy_before, own_before, spent_before = self._before
        self.wall_s = wall - wall_before
        self.by_root = {root: spent[root] - spent_before[root] for root in self._roots}
        self.cpu_s = sum(self.by_root.values())
        ours = self.cpu_s + own - own_before
        self.others = max(0.0, (busy - busy_before - ours) / self.wall_s)

    def _now(self) -> tuple[float, float, float, dict[int, float]]:
        spent = {root: cpu_seconds(tree(root)) for root in self._roots}
        return time.perf_counter(), _busy_s(), time.process_time(), spent


def _busy_s() -> float:
    """Returns the seconds that all cores have worked since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS_PER_S
