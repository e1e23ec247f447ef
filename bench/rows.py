"""From the raw samples of a run to the rows of its one table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bench.measure import FIRST_CHUNK, MANY, RELAY
from bench.proc import ProcessSample
from bench.results import Figure, PlainSample, Run, StreamSample, total
from bench.targets import TARGETS, Verdict

WORKER = "weebill.gateway"
JUDGED_AT = 64  # connections at which throughput is judged
_COMPARED = (f"rps/{JUDGED_AT}", "relay")  # the rates that Weebill's are shown as multiples of
_COMPARERS = {"weebill": "Weebill", "interpreted": "Weebill, interpreted,"}
_MB = 1_000_000
_QUIET = 0.05


@dataclass(slots=True)
class Row:
    """One measure. A cell is a figure, or what there is to say instead of one."""

    key: str
    section: str
    title: str
    digits: int
    cells: Mapping[str, Figure | str]
    verdicts: list[Verdict] = field(default_factory=list)

    def value(self, contender: str) -> float | None:
        cell = self.cells.get(contender)
        return cell.median if isinstance(cell, Figure) else None


def rows_of(run: Run) -> list[Row]:
    """All rows that a run has figures for, with the targets judged."""
    measured = [*_request_rows(run), *_memory_rows(run), *_stream_rows(run), *_many_rows(run), *_engine_rows(run)]
    rows = [row for each in measured for row in (each, *_ratio_rows(each))]
    by_key = {row.key: row for row in rows}

    def lookup(key: str, contender: str) -> float | None:
        return by_key[key].value(contender) if key in by_key else None

    for target in TARGETS:
        if target.row in by_key:
            by_key[target.row].verdicts.append(target.judge(lookup))
    return rows


def _ratio_rows(row: Row) -> Iterator[Row]:
    """How many times the rate of each contender Weebill's is, if the row is one of rates."""
    if row.key not in _COMPARED:
        return
    for name, title in _COMPARERS.items():
        own = row.value(name)
        cells = {
            other: _single(own / theirs)
            for other in row.cells
            if own is not None and other != name and (theirs := row.value(other))
        }
        if cells:
            yield Row(f"{row.key}/over/{name}", row.section, f"{title} over each, × · {row.title}", 2, cells)


def notes_of(run: Run) -> list[str]:
    """What the figures alone do not say: who is missing, what failed, where Weebill's time goes."""
    notes = [
        f"{name} {'ended early' if name in run.versions else 'was not measured'}: {reason}"
        for name, reason in run.absent.items()
    ]
    if run.busy_before > _QUIET:
        notes.append(f"noisy: {100 * run.busy_before:.0f} % of the machine's cores were in use before the start")
    failures: dict[str, str] = {}
    for plain in run.plain:
        if plain.load.errors:
            failures.setdefault(f"{plain.contender}, {plain.connections} connections", plain.load.first_error)
    for stream in run.streams:
        if stream.load.failed:
            what = f"{stream.contender}, {stream.measure}, {stream.connections} streams"
            failures.setdefault(what, stream.load.first_error)
    notes += [f"failed: {what}: {message}" for what, message in failures.items()]
    return notes + _split_notes(run)


def _split_notes(run: Run) -> list[str]:
    spent: dict[str, float] = defaultdict(float)
    requests = 0
    for sample in run.plain:
        if sample.contender == "weebill" and sample.connections == JUDGED_AT:
            requests += sample.load.total
            for process, seconds in sample.cost.by_process.items():
                spent[process] += seconds
    if not requests:
        return []
    parts = ", ".join(f"{process} {seconds / requests * 1e6:.1f} µs" for process, seconds in spent.items())
    return [f"weebill's CPU per request at {JUDGED_AT} connections, by process: {parts}"]


def _rounds(
    samples: Iterable[PlainSample], value: Callable[[PlainSample, PlainSample | None], float]
) -> dict[str, Figure | str]:
    """A cell for each contender; `value` gets each sample with the direct one of its round."""
    grouped: dict[str, list[PlainSample]] = defaultdict(list)
    for sample in samples:
        grouped[sample.contender].append(sample)
    direct = {sample.round: sample for sample in grouped.get("direct", ())}
    cells: dict[str, Figure | str] = {}
    for name, found in grouped.items():
        errors = sum(sample.load.errors for sample in found)
        if errors or not all(sample.load.requests for sample in found):
            cells[name] = f"✗ {errors:,} errors" if errors else "✗ no answer in time"
        else:
            base = {} if name == "direct" else direct
            cells[name] = Figure.of(value(sample, base.get(sample.round)) for sample in found)
    return cells


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _rate(sample: PlainSample) -> float:
    return sample.load.requests / sample.load.seconds


def _request_rows(run: Run) -> list[Row]:
    levels = list(dict.fromkeys(sample.connections for sample in run.plain))
    at = {level: [sample for sample in run.plain if sample.connections == level] for level in levels}
    owned = {level: [sample for sample in at[level] if sample.contender != "direct"] for level in levels}

    def added(name: str) -> Callable[[PlainSample, PlainSample | None], float]:
        def value(sample: PlainSample, direct: PlainSample | None) -> float:
            own: float = getattr(sample.load.latency, name)
            base: float = getattr(direct.load.latency, name) if direct else 0.0
            return (own - base) / 1000

        return value

    def busy(sample: PlainSample, _: PlainSample | None) -> float:
        return 100 * _rate(sample) * sample.cost.contender / sample.load.total

    def harness(sample: PlainSample, _: PlainSample | None) -> float:
        return 100 * _rate(sample) * (sample.cost.upstream + sample.load.own_cpu_s) / sample.load.total

    rows = []
    for level in levels:
        title = f"Requests/s on one core · {_of(level, 'connection')}"
        rows.append(Row(f"rps/{level}", "Requests", title, 0, _rounds(at[level], lambda s, _: _rate(s))))
    for level in levels:
        costs = _rounds(owned[level], lambda s, _: 1e6 * s.cost.contender / s.load.total)
        rows.append(Row(f"cpu/{level}", "Requests", f"CPU per request, µs · {_of(level, 'connection')}", 1, costs))
    if JUDGED_AT in at:
        busiest = f"core, % · {JUDGED_AT} connections"
        rows.append(Row("busy", "Requests", f"Use of its {busiest}", 0, _rounds(owned[JUDGED_AT], busy)))
        rows.append(Row("harness", "Requests", f"Use of the load's {busiest}", 0, _rounds(at[JUDGED_AT], harness)))
    for name in ("p50", "p99"):
        for level in levels:
            title = f"{name} added to direct's, ms · {_of(level, 'connection')}"
            rows.append(Row(f"{name}/{level}", "Latency", title, 3, _rounds(at[level], added(name))))
    return rows


def _megabytes(processes: list[ProcessSample]) -> float:
    return total(processes).rss / _MB


def _worker(processes: list[ProcessSample]) -> list[ProcessSample]:
    return [process for process in processes if process.name == WORKER]


def _memory_rows(run: Run) -> list[Row]:
    rows = []
    for when, title in (("idle", "Resident, idle, MB"), ("after", "Resident, after the requests, MB")):
        found = {sample.contender: sample.processes for sample in run.memory if sample.when == when}
        trees = {name: _single(_megabytes(processes)) for name, processes in found.items()}
        workers = {name: _single(_megabytes(own)) for name, processes in found.items() if (own := _worker(processes))}
        rows.append(Row(f"rss/{when}", "Memory", f"{title} · all processes", 0, trees))
        rows.append(Row(f"worker/{when}", "Memory", f"{title} · gateway worker", 0, workers))
    return [row for row in rows if row.cells]


def _single(value: float) -> Figure:
    return Figure.of([value])


def _stream_rows(run: Run) -> list[Row]:
    rows = []
    levels = dict.fromkeys(sample.connections for sample in run.streams if sample.measure == FIRST_CHUNK)
    for level in levels:
        found = [s for s in run.streams if s.measure == FIRST_CHUNK and s.connections == level]
        direct = {sample.round: sample.load.first_chunk for sample in found if sample.contender == "direct"}
        for name in ("p50", "p99"):

            def added(sample: StreamSample, name: str = name, direct: Mapping[int, object] = direct) -> float:
                own: float = getattr(sample.load.first_chunk, name)
                base: float = getattr(direct.get(sample.round), name, 0.0) if sample.contender != "direct" else 0.0
                return (own - base) / 1000

            title = f"First chunk {name} added to direct's, ms · {_of(level, 'stream')}"
            rows.append(Row(f"first/{name}/{level}", "Streams", title, 2, _stream_cells(found, added)))
    found = [sample for sample in run.streams if sample.measure == RELAY]
    if found:
        streams = found[0].connections
        rates = _stream_cells(found, lambda s: s.load.chunks / s.load.seconds)
        rows.append(Row("relay", "Streams", f"Chunks/s on one core · {_of(streams, 'stream')}", 0, rates))
        owned = [sample for sample in found if sample.contender != "direct"]
        costs = _stream_cells(owned, lambda s: 1e6 * s.cost.contender / s.load.total_chunks)
        rows.append(Row("relay/cpu", "Streams", f"CPU per chunk, µs · {_of(streams, 'stream')}", 1, costs))
    return rows


def _stream_cells(samples: list[StreamSample], value: Callable[[StreamSample], float]) -> dict[str, Figure | str]:
    grouped: dict[str, list[StreamSample]] = defaultdict(list)
    for sample in samples:
        grouped[sample.contender].append(sample)
    cells: dict[str, Figure | str] = {}
    for name, found in grouped.items():
        failed = sum(sample.load.failed for sample in found)
        if failed or not all(sample.load.chunks for sample in found):
            cells[name] = f"✗ {failed:,} failed"
        else:
            cells[name] = Figure.of(map(value, found))
    return cells


def _many_rows(run: Run) -> list[Row]:
    found = [sample for sample in run.streams if sample.measure == MANY]
    if not found:
        return []
    count = f"{found[0].connections:,} streams at once"
    watched = {sample.contender: sample.processes for sample in found if sample.processes}
    workers = {name: _single(_megabytes(own)) for name, processes in watched.items() if (own := _worker(processes))}
    shares = {s.contender: _single(100 * s.load.complete / s.connections) for s in found}
    most = {s.contender: _single(s.load.most_at_once) for s in found}
    firsts = {s.contender: _single(s.load.first_chunk.p99 / 1000) for s in found}
    trees = {name: _single(_megabytes(processes)) for name, processes in watched.items()}
    return [
        Row("many/complete", "Many streams", f"Complete, % · {count}", 2, shares),
        Row("many/most", "Many streams", f"Most under way together · {count}", 0, most),
        Row("many/first", "Many streams", f"First chunk p99, ms · {count}", 0, firsts),
        Row("many/rss", "Many streams", f"Resident at the peak, MB · {count} · all processes", 0, trees),
        Row("many/worker", "Many streams", f"Resident at the peak, MB · {count} · gateway worker", 0, workers),
    ]


# The engine's own port stands in the column of what is asked directly, the way through the gateway in Weebill's.
_ENGINE_COLUMNS = {"engine": "direct", "gateway": "weebill"}


def _engine_rows(run: Run) -> list[Row]:
    rows = []
    for streams in dict.fromkeys(sample.streams for sample in run.engine):
        found = [sample for sample in run.engine if sample.streams == streams]
        paths = {path: [sample for sample in found if sample.path == path] for path in _ENGINE_COLUMNS}
        speeds = {_ENGINE_COLUMNS[path]: Figure.of(s.tokens_per_s for s in own) for path, own in paths.items()}
        firsts = {_ENGINE_COLUMNS[path]: Figure.of(s.first_token_ms for s in own) for path, own in paths.items()}
        rows.append(Row(f"engine/tokens/{streams}", "Local model", f"Tokens/s · {_of(streams, 'stream')}", 1, speeds))
        rows.append(
            Row(f"engine/first/{streams}", "Local model", f"First token, ms · {_of(streams, 'stream')}", 1, firsts)
        )
    return rows
