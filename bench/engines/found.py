"""The findings of one run, as they go into engines.json."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement of `figure` (a key of `rows.FIGURES`): its value, the seconds that it took on the clock and of
    processors, and how many cores processes that are not the benchmark's kept busy meanwhile.
    """

    figure: str
    contender: str
    round: int
    value: float
    wall_s: float = 0.0
    cpu_s: float = 0.0
    others: float = 0.0


class EnginesRun(msgspec.Struct, kw_only=True):
    """Everything, raw. `absent` says why a contender, or a part of what it was to do, was not measured. `agent_tokens`
    are those of an agent's instructions, of which the beginning was asked.
    """

    started_at: str
    commit: str
    machine: dict[str, str]
    busy_before: float
    model: str
    rounds: int
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    agent_tokens: int = 0
    samples: list[Sample] = []

    def of(self, figure: str) -> dict[str, list[Sample]]:
        """Returns the samples of a figure by contender."""
        found: dict[str, list[Sample]] = {}
        for sample in self.samples:
            if sample.figure == figure:
                found.setdefault(sample.contender, []).append(sample)
        return found

    def others(self) -> Iterator[float]:
        """Yields, for each measurement that took time, the cores that others kept busy."""
        return (sample.others for sample in self.samples if sample.wall_s)
