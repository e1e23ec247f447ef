"""What one run of the benchmark found, as it goes into results.json."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import msgspec

from bench.load import LoadResult
from bench.proc import Memory, ProcessSample
from bench.streams import StreamResult


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds spent during one measurement: by the contender (and which of its processes), by the upstream."""

    contender: float
    by_process: dict[str, float]
    upstream: float


class PlainSample(msgspec.Struct, frozen=True, kw_only=True):
    """Requests answered whole, by one contender in one round."""

    contender: str
    connections: int
    round: int
    load: LoadResult
    cost: Cost


class StreamSample(msgspec.Struct, frozen=True, kw_only=True):
    """Streams through one contender in one round; `processes` are as they were when they held most memory."""

    contender: str
    measure: str
    connections: int
    round: int
    load: StreamResult
    cost: Cost
    processes: list[ProcessSample] = []


class MemorySample(msgspec.Struct, frozen=True, kw_only=True):
    """A contender's processes at rest: `idle` before any load, `after` all plain rounds."""

    contender: str
    when: str
    processes: list[ProcessSample]


class EngineSample(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is `engine` (its own port) or `gateway`; `streams` ran at once in this round."""

    path: str
    streams: int
    round: int
    tokens: int
    tokens_per_s: float
    first_token_ms: float


class Run(msgspec.Struct, kw_only=True):
    """Everything, raw. `absent` says why a contender or part was not measured.

    `busy_before` is the share of the machine's cores that others used before anything was started.
    """

    started_at: str
    commit: str
    machine: dict[str, str]
    busy_before: float
    options: dict[str, object]
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    plain: list[PlainSample] = []
    streams: list[StreamSample] = []
    memory: list[MemorySample] = []
    engine: list[EngineSample] = []


class Figure(msgspec.Struct, frozen=True):
    """A median with the least and the greatest of its rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure:
        """Raises ValueError if there are none."""
        found = sorted(values)
        if not found:
            raise ValueError("no values")
        return cls(statistics.median(found), found[0], found[-1])


def total(processes: Iterable[ProcessSample]) -> Memory:
    """The memory of a whole tree."""
    return sum((process.memory for process in processes), Memory())
