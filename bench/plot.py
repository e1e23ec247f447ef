"""The figures as a picture: six panels, one bar for each contender."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.proc import ProcessSample
from bench.report import columns_of, title_of
from bench.results import Figure, Run
from bench.rows import Row
from bench.soak import Soak

_COLOURS = {
    "direct": "#b8bec7",
    "nginx": "#7d8896",
    "envoy": "#5b7fb5",
    "caddy": "#8fa9cf",
    "weebill": "#0b7a75",
    "interpreted": "#6fb0ac",
    "ferrogw": "#8a6bb0",
    "litellm": "#d1913c",
    "portkey": "#b65a7a",
}
_OTHER_BUILD = "#9ec9c6"


@dataclass(frozen=True, slots=True)
class _Panel:
    row: str
    title: str
    lower_is_better: bool
    log: bool = True
    over_direct: bool = False  # the figure is what is added to direct's, so direct has no bar


_PANELS = (
    _Panel("rps/64", "Requests/s on one core, 64 connections", lower_is_better=False),
    _Panel("cpu/64", "CPU per request, µs, 64 connections", lower_is_better=True),
    _Panel("p99/1", "p99 added, ms, 1 connection", lower_is_better=True, over_direct=True),
    _Panel("relay", "Streamed chunks/s on one core", lower_is_better=False),
    _Panel("first/p50/1", "Added to first chunk (p50), ms", lower_is_better=True, over_direct=True),
    _Panel("many/rss", "Resident with many streams, MB", lower_is_better=True, log=False),
)


def draw(run: Run, rows: list[Row], path: Path) -> None:
    """Write the picture as PNG."""
    by_key = {row.key: row for row in rows}
    canvas = Canvas(figsize=(13, 7.5), dpi=130, facecolor="white", layout="constrained")
    order = columns_of(run, rows)
    for axes, panel in zip(canvas.subplots(2, 3).flat, _PANELS, strict=True):
        _draw_panel(axes, panel, by_key.get(panel.row), order)
    canvas.suptitle(f"Weebill {run.commit} beside its peers · {run.started_at[:10]}", fontsize=13, weight="bold")
    canvas.savefig(path)


def _draw_panel(axes: Axes, panel: _Panel, row: Row | None, order: list[str]) -> None:
    axes.set_title(f"{panel.title}  ({'less' if panel.lower_is_better else 'more'} is better)", loc="left", fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    cells = row.cells if row else {}
    names = [name for name in order if name in cells and not (panel.over_direct and name == "direct")]
    axes.set_yticks(range(len(names)), [title_of(name).replace(", ", ",\n") for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    shown = {name: cell for name in names if isinstance(cell := cells[name], Figure)}
    if not shown:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="#888888")
        return
    greatest = max(cell.high for cell in shown.values())
    least = min((cell.median for cell in shown.values() if cell.median > 0), default=greatest)
    if panel.log and greatest > 0:
        axes.set_xscale("log")
        axes.set_xlim(least / 3, greatest * 12)
    else:
        axes.set_xlim(0, greatest * 1.3 or 1)
    axes.set_xticks([], minor=True)
    axes.set_xticks([])
    axes.set_xlabel("logarithmic scale" if panel.log else "linear scale", fontsize=8, color="#888888", loc="left")
    for place, name in enumerate(names):
        cell = cells[name]
        if isinstance(cell, str):
            axes.text(0.02, place, cell, transform=axes.get_yaxis_transform(), va="center", color="#b00020")
            continue
        axes.barh(place, max(cell.median, 0), color=_COLOURS.get(name, _OTHER_BUILD), height=0.62)
        label = f" {cell.median:,.{row.digits if row else 0}f}"
        axes.text(
            max(cell.median, axes.get_xlim()[0]),
            place,
            label,
            va="center",
            weight="bold" if name == "weebill" else "normal",
        )


def draw_soak(soak: Soak, path: Path) -> None:
    """Write resident memory and open files of each process over time as PNG."""
    named: dict[str, list[tuple[float, ProcessSample]]] = defaultdict(list)
    for moment in soak.moments:
        for process in moment.processes:
            named[f"{process.name} ({process.pid})"].append((moment.at_s / 60, process))
    canvas = Canvas(figsize=(11, 6.5), dpi=130, facecolor="white", layout="constrained")
    memory, files = canvas.subplots(2, 1, sharex=True)
    for name, points in named.items():
        minutes = [minute for minute, _ in points]
        memory.plot(minutes, [process.memory.rss / 1e6 for _, process in points], label=name)
        files.plot(minutes, [process.fds for _, process in points], label=name)
    for axes, title in ((memory, "Resident, MB"), (files, "Open files")):
        axes.set_title(title, loc="left")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#e3e6ea")
        axes.spines[["top", "right"]].set_visible(False)
    memory.legend(frameon=False, ncols=4, loc="lower right")
    files.set_xlabel("minutes under load")
    canvas.savefig(path)
