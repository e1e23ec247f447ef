"""`/metrics`: the counters of all workers, summed, as Prometheus text. Any process can answer.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from weebill.telemetry import layout
from weebill.telemetry.disk import folder_bytes
from weebill.telemetry.metrics import AUTO_NAME, LABELS, METRICS, Metric

Labels = tuple[str, ...]
Cells = tuple[int, ...]
Totals = dict[str, dict[Labels, Cells]]


JOURNAL_BYTES = Metric("weebill_journal_bytes", "gauge", "Size of the usage journals, ingested parts included.")


_OF_AUTO = (AUTO_NAME,)
AUTO_QUALITY = Metric(
    "weebill_auto_quality", "gauge", "Share of the large model's quality that `auto` keeps.", _OF_AUTO
)
AUTO_QUALITY_LOW = Metric("weebill_auto_quality_low", "gauge", "Lower bound of weebill_auto_quality, 95 %.", _OF_AUTO)
AUTO_QUALITY_HIGH = Metric("weebill_auto_quality_high", "gauge", "Upper bound of weebill_auto_quality, 95 %.", _OF_AUTO)
AUTO_AUDITS = Metric("weebill_auto_audits", "gauge", "Audits that weebill_auto_quality is based on.", _OF_AUTO)
AUTO_SPEND = Metric(
    "weebill_auto_spend_ratio", "gauge", "Spend of `auto`, audits included, by the large model's.", _OF_AUTO
)
Installation = Mapping[Metric, Mapping[Labels, float]]
"""Gauges of the whole installation, by their labels' values."""


def expose(counters: Path, journal: Path, more: Installation = MappingProxyType({})) -> bytes:
    """Returns the text for an installation's counter files, usage journals and further gauges. Raises OSError."""
    return render(read_totals(counters), {JOURNAL_BYTES: {(): folder_bytes(journal)}, **more})


def read_totals(folder: Path) -> Totals:
    """Returns the cells by metric and label values, summed over all workers; only series that have counted something.

    Gauges are those of living workers, with the worker's index as their first label. A histogram's cells are its
    buckets, not cumulated, and the sum in microseconds.
    """
    totals: Totals = {metric.name: {} for metric in METRICS}
    for index, path in layout.find_files(folder):
        content = path.read_bytes()
        if not layout.is_current(content):
            continue
        cells = memoryview(content)[layout.CELLS_AT :].cast("q")
        names = {label.name: layout.read_names(content, label) for label in LABELS}
        alive = _is_alive(layout.read_owner(content))
        for metric in METRICS:
            if metric.kind == "gauge":
                if alive:
                    for labels, first in layout.series(metric, names):
                        if cells[first] or not metric.labels:
                            totals[metric.name][(str(index), *labels)] = (cells[first],)
            else:
                _add(totals[metric.name], metric, cells, names)
    return totals


def read_gauge(folder: Path, metric: Metric) -> list[int]:
    """Returns the values of a gauge, one for each living worker."""
    values = []
    for _, path in layout.find_files(folder):
        content = path.read_bytes()
        if layout.is_current(content) and _is_alive(layout.read_owner(content)):
            values.append(memoryview(content)[layout.CELLS_AT :].cast("q")[layout.FIRST_CELL[metric.name]])
    return values


def render(totals: Totals, installation: Installation) -> bytes:
    """Returns the text of the workers' `totals` and of the gauges of the whole installation."""
    lines = [line for metric in METRICS for line in _lines(metric, totals[metric.name])]
    for metric, series in installation.items():
        lines += _head(metric)
        lines += [f"{metric.name}{_braces(_pairs(metric, labels))} {value}" for labels, value in series.items()]
    return ("\n".join(lines) + "\n").encode()


def _add(sums: dict[Labels, Cells], metric: Metric, cells: memoryview, names: dict[str, list[str]]) -> None:
    for labels, first in layout.series(metric, names):
        counted = tuple(cells[first : first + metric.width])
        if any(counted) or not metric.labels:
            before = sums.get(labels)
            sums[labels] = counted if before is None else tuple(map(int.__add__, before, counted))


def _head(metric: Metric) -> tuple[str, str]:
    return f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"


def _lines(metric: Metric, series: dict[Labels, Cells]) -> Iterator[str]:
    yield from _head(metric)
    for labels, cells in series.items():
        pairs = _pairs(metric, labels, "worker") if metric.kind == "gauge" else _pairs(metric, labels)
        if metric.kind == "histogram":
            yield from _histogram_lines(metric, pairs, cells)
        else:
            yield f"{metric.name}{_braces(pairs)} {cells[0]}"


def _pairs(metric: Metric, labels: Labels, *first: str) -> list[str]:
    names = (*first, *(label.name for label in metric.labels))
    return [f'{name}="{_escape(value)}"' for name, value in zip(names, labels, strict=True)]


def _histogram_lines(metric: Metric, pairs: list[str], cells: Cells) -> Iterator[str]:
    *buckets, total_us = cells
    bounds = [f"{bound / 1e6:g}" for bound in metric.bounds] + ["+Inf"]
    count = 0
    for bound, bucket in zip(bounds, buckets, strict=True):
        count += bucket
        le = f'le="{bound}"'
        yield f"{metric.name}_bucket{_braces([*pairs, le])} {count}"
    yield f"{metric.name}_sum{_braces(pairs)} {total_us / 1e6:.6f}"
    yield f"{metric.name}_count{_braces(pairs)} {count}"


def _braces(pairs: list[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _is_alive(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
