"""A worker's counters: unsigned 64-bit cells in a memory-mapped file, so that they outlive the worker.

Each file has one writer, so an increment needs neither lock nor system call, and any process can sum the files of all
workers. A worker that replaces a dead one continues its file.
"""

from __future__ import annotations

import mmap
import operator
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from weebill.telemetry import layout, metrics
from weebill.telemetry.metrics import METRICS, Label, Metric

_MOST_KINDS = 10_000
_MOST = 2**64 - 1


class Values:
    """The positions of one label's values; new values are entered in the file while there is room."""

    def __init__(self, content: memoryview, label: Label) -> None:
        self._content = content
        self._label = label
        self._positions = {name: at for at, name in enumerate(layout.read_names(content, label))}

    def position(self, value: str) -> int:
        """Returns the position of `value`. Raises ValueError for a label that allows no new values."""
        known = self._positions.get(value)
        if known is not None:
            return known
        label = self._label
        if not label.room:
            raise ValueError(f"{value!r} is no value of the label {label.name}: {', '.join(label.values)}")
        name = value.encode(errors="replace")
        used = len(self._positions)
        if value == metrics.OTHER or used == label.size - 1 or not 0 < len(name) <= layout.LONGEST_NAME:
            return label.size - 1
        layout.write_name(self._content, label, used - len(label.values), name)
        self._positions[value] = used
        return used


class Series:
    """The cells of one metric, by label values. Base of the metrics that the hot path holds."""

    def __init__(self, cells: memoryview, metric: Metric, values: dict[str, Values]) -> None:
        self._cells = cells
        self._metric = metric
        self._axes = tuple((label.size, values[label.name]) for label in metric.labels)
        self._most = 4 * metric.cells
        self._found: dict[tuple[str, ...], int] = {}

    def cell(self, labels: tuple[str, ...] = ()) -> int:
        """Returns the first cell of the series with these label values, in the declared order."""
        known = self._found.get(labels)
        if known is not None:
            return known
        position = 0
        for (size, axis), value in zip(self._axes, labels, strict=True):
            position = position * size + axis.position(value)
        cell = layout.FIRST_CELL[self._metric.name] + position * self._metric.width
        if len(self._found) < self._most:  # values without room are not remembered without bound
            self._found[labels] = cell
        return cell


class Counter(Series):
    """A count that only grows."""

    def add(self, labels: tuple[str, ...] = (), amount: int = 1) -> None:
        """Adds `amount` for these label values, in the declared order."""
        self._cells[self.cell(labels)] += amount


class Durations:
    """Durations of one series that are not in the file yet."""

    __slots__ = ("_bounds", "_buckets", "_cell", "_cells", "_sum")

    def __init__(self, cells: memoryview, cell: int, bounds: tuple[int, ...]) -> None:
        """`cell` is the first of the series: one for each of `bounds`, one for longer durations, and the sum."""
        self._cells = cells
        self._cell = cell
        self._bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self._sum = 0

    def add(self, microseconds: int) -> None:
        at = 0
        for bound in self._bounds:  # not `bisect`, a call of which costs more than they do
            if microseconds <= bound:
                break
            at += 1
        self._buckets[at] += 1
        self._sum += microseconds

    def write(self) -> None:
        cells, cell, buckets = self._cells, self._cell, self._buckets
        for at, count in enumerate(buckets):
            if count:
                cells[cell + at] += count
                buckets[at] = 0
        cells[cell + len(buckets)] += self._sum
        self._sum = 0


class Histogram(Series):
    """A histogram of durations."""

    def durations(self, labels: tuple[str, ...]) -> Durations:
        """Returns the pending durations of the series with these label values; the caller has to write them."""
        return Durations(self._cells, self.cell(labels), self._metric.bounds)

    def observe(self, labels: tuple[str, ...], microseconds: int) -> None:
        """Counts a duration for these label values."""
        durations = self.durations(labels)
        durations.add(microseconds)
        durations.write()


class Gauges(Series):
    """Current values of this worker, by label values."""

    def set(self, labels: tuple[str, ...], value: int) -> None:
        """Replaces the value for these label values, in the declared order."""
        self._cells[self.cell(labels)] = value


class RequestCells:
    """The counters of one kind of request.

    Requests are added up here and written to the file some times a second, as a cell costs many times an addition. A
    killed worker loses the counts of that moment; the usage records are not lost.
    """

    __slots__ = (
        "_cached", "_cells", "_completion", "_counters", "_first_byte", "_prompt", "_requests", "_seconds", "_tokens",
        "_total", "_upstream_requests",
    )  # fmt: skip

    def __init__(self, counters: Counters, endpoint: str, status: int, upstream: str, outcome: str, model: str) -> None:
        """`upstream` and `model` are empty for a request that reached none."""
        self._counters = counters
        self._cells = counters.cells
        self._total = counters.requests.cell((endpoint, str(status)))
        self._seconds = counters.request_seconds.durations((endpoint,))
        self._first_byte = counters.first_byte_seconds.durations((endpoint,))
        self._upstream_requests = counters.upstream_requests.cell((upstream, outcome)) if upstream else -1
        kinds = ("prompt", "cached", "completion") if upstream else ()
        self._tokens = tuple(counters.tokens.cell((model, kind)) for kind in kinds)
        # Not in the file yet
        self._requests = 0
        self._prompt = 0
        self._cached = 0
        self._completion = 0

    def count(self, total_us: int, first_byte_us: int, prompt: int, cached: int, completion: int) -> None:
        """Counts a request: its durations in microseconds (0: no first byte came) and its tokens."""
        self._requests += 1
        self._seconds.add(total_us)
        if first_byte_us:
            self._first_byte.add(first_byte_us)
        self._prompt += prompt
        self._cached += cached
        self._completion += completion
        if self._requests == 1:
            self._counters.changed(self)

    def write(self) -> None:
        """Writes the counts since the last call."""
        cells = self._cells
        cells[self._total] += self._requests
        self._seconds.write()
        self._first_byte.write()
        if self._upstream_requests >= 0:
            cells[self._upstream_requests] += self._requests
            for cell, tokens in zip(self._tokens, (self._prompt, self._cached, self._completion), strict=True):
                # Counters wrap at 64 bits, as readers expect: upstreams may report anything.
                cells[cell] = (cells[cell] + tokens) & _MOST
        self._requests = self._prompt = self._cached = self._completion = 0


class Gauge:
    """A current value of this worker."""

    def __init__(self, cells: memoryview, metric: Metric) -> None:
        self._cells = cells
        self._cell = layout.FIRST_CELL[metric.name]

    def set(self, value: int) -> None:
        """Replaces the value."""
        self._cells[self._cell] = value


class Counters:
    """All metrics of one worker. Raises OSError if the file cannot be made.

    `worker_index` names the file; no two living processes may share one. `soon` calls its argument a moment later; the
    default does at once.
    """

    def __init__(
        self, folder: Path, worker_index: int, soon: Callable[[Callable[[], None]], object] = operator.call
    ) -> None:
        self._map = _open_file(folder / layout.file_name(worker_index))
        self._content = memoryview(self._map)
        content = self._content[layout.CELLS_AT :]
        self.cells = unsigned = content.cast("Q")
        signed = content.cast("q")
        self._kinds: dict[tuple[str, int, str, str, str], RequestCells] = {}
        self._soon = soon
        self._changed: list[RequestCells] = []
        values = {label.name: Values(self._content, label) for label in metrics.LABELS}

        self.requests = Counter(unsigned, metrics.REQUESTS, values)
        self.request_seconds = Histogram(unsigned, metrics.REQUEST_SECONDS, values)
        self.first_byte_seconds = Histogram(unsigned, metrics.FIRST_BYTE_SECONDS, values)
        self.tokens = Counter(unsigned, metrics.TOKENS, values)
        self.upstream_requests = Counter(unsigned, metrics.UPSTREAM_REQUESTS, values)
        self.auth_failures = Counter(unsigned, metrics.AUTH_FAILURES, values)
        self.journal_failures = Counter(unsigned, metrics.JOURNAL_FAILURES, values)
        self.in_flight = Gauge(signed, metrics.IN_FLIGHT)
        self.connections = Gauge(signed, metrics.CONNECTIONS)
        self.recording = Gauge(signed, metrics.RECORDING)

        self.auto_threshold = Gauges(unsigned, metrics.AUTO_THRESHOLD, values)
        self.loop_lag = Histogram(unsigned, metrics.LOOP_LAG, values)
        self.loop_lag_longest = Gauges(unsigned, metrics.LOOP_LAG_LONGEST, values)
        self.refused_keys = Gauges(unsigned, metrics.REFUSED_KEYS, values)

        for metric in METRICS:
            if metric.kind == "gauge":
                first = layout.FIRST_CELL[metric.name]
                for cell in range(first, first + metric.cells):
                    signed[cell] = 0
        self.recording.set(1)  # until something fails
        Gauge(signed, metrics.PROCESS_START).set(int(time.time()))
        layout.write_owner(self._content, os.getpid())

    def of_request(self, endpoint: str, status: int, upstream: str, outcome: str, model: str) -> RequestCells:
        """Returns the counters for requests of that kind."""
        kind = (endpoint, status, upstream, outcome, model)
        cells = self._kinds.get(kind)
        if cells is None:
            cells = RequestCells(self, *kind)
            if len(self._kinds) < _MOST_KINDS:
                self._kinds[kind] = cells
        return cells

    def changed(self, cells: RequestCells) -> None:
        """Notes that these have pending counts."""
        self._changed.append(cells)
        if len(self._changed) == 1:
            self._soon(self.write)

    def write(self) -> None:
        """Writes all pending counts to the file."""
        changed, self._changed = self._changed, []
        for each in changed:
            each.write()

    def close(self) -> None:
        """Marks this worker as gone, so that its gauges are not shown any more."""
        self.write()
        layout.write_owner(self._content, 0)


def _open_file(path: Path) -> mmap.mmap:
    """Maps a worker's file. A file of another release is replaced as a whole: others may still have it mapped."""
    if not path.exists() or not layout.is_current(path.read_bytes()):
        draft = path.with_suffix(f".{secrets.token_hex(8)}")
        draft.write_bytes(layout.new_file())
        draft.chmod(0o600)
        draft.replace(path)
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), layout.FILE_BYTES)
