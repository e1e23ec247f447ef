"""Reads gauges from Prometheus's text format. Pure, and bounded by the text's length.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from statistics import fmean
from typing import Final, NamedTuple

from weebill.catalog.schema import Server
from weebill.routing.servers import Load

# A name, labels in braces (with escaped quotes in their values) and a value; a timestamp may follow.
_SAMPLE: Final = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\})?[ \t]+(\S+)', re.ASCII)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"', re.ASCII)
# Labels that tell the engines behind one address apart. Others, such as the rank within one engine, repeat its figures.
_ENGINES: Final = ("model_name", "engine", "dp_rank")
_MOST: Final = 1 << 40


class _Sample(NamedTuple):
    engine: tuple[str, ...]
    value: float


def load_of(text: str, server: Server) -> Load | None:
    """Returns the load of a server from its metrics; None if they do not have it."""
    found = _samples(text, {*server.running, *server.waiting, *server.cache_use})
    running, waiting = (_first(names, found) for names in (server.running, server.waiting))
    if not running or not waiting:
        return None
    use = _first(server.cache_use, found)
    share = min(1.0, max(0.0, fmean(use.values()))) if use else 0.0
    return Load(_total(running), _total(waiting), share)


def _samples(text: str, names: Iterable[str]) -> Mapping[str, list[_Sample]]:
    """Returns the samples of the metrics of these names."""
    found: dict[str, list[_Sample]] = {name: [] for name in names}
    for line in _lines(text):
        # Histograms are most of the text, so lines are told apart before they are parsed.
        name = line.partition("{")[0].partition(" ")[0]
        sample = _SAMPLE.match(line) if name in found else None
        if sample is None:
            continue
        try:
            value = float(sample[3])
        except ValueError:
            continue
        if isfinite(value):
            labels = dict(_LABEL.findall(sample[2] or ""))
            found[name].append(_Sample(tuple(labels.get(each, "") for each in _ENGINES), value))
    return found


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if line[:1] not in ("", "#"))


def _first(names: Iterable[str], found: Mapping[str, list[_Sample]]) -> dict[tuple[str, ...], float]:
    """Returns the values of the first metric that is there, one for each engine: its highest."""
    for name in names:
        if found[name]:
            values: dict[tuple[str, ...], float] = {}
            for engine, value in found[name]:
                values[engine] = max(value, values.get(engine, value))
            return values
    return {}


def _total(values: Mapping[tuple[str, ...], float]) -> int:
    return int(min(_MOST, max(0.0, sum(values.values()))))
