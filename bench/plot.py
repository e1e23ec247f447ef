"""The figures as a picture: six panels, one bar for each contender."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.report import TITLES
from bench.results import Figure, Run
from bench.rows import Row

_COLOURS = {
    "direct": "#b8bec7",
    "nginx": "#7d8896",
    "weebill": "#0b7a75",
    "litellm": "#d1913c",
    "portkey": "#b65a7a",
}


@dataclass(frozen=True, slots=True)
class _Panel:
    row: str
    title: str
    log: bool
    lower_is_better: bool


_PANELS = (
    _Panel("rps/64", "Requests/s on one core, 64 connections", log=True, lower_is_better=False),
    _Panel("cpu/64", "CPU per request, µs, 64 connections", log=True, lower_is_better=True),
    _Panel("p99/1", "p99 added, ms, 1 connection", log=True, lower_is_better=True),
    _Panel("relay", "Streamed chunks/s on one core", log=True, lower_is_better=False),
    _Panel("first/p50/1", "Added to first chunk (p50), ms", log=True, lower_is_better=True),
    _Panel("many/rss", "Resident with many streams, MB", log=False, lower_is_better=True),
)


def draw(run: Run, rows: list[Row], path: Path) -> None:
    """Write the picture as PNG."""
    by_key = {row.key: row for row in rows}
    with mpl.rc_context({"font.size": 10, "axes.titlesize": 11, "font.family": "DejaVu Sans"}):
        canvas = Canvas(figsize=(13, 7.5), dpi=130, facecolor="white", layout="constrained")
        for axes, panel in zip(canvas.subplots(2, 3).flat, _PANELS, strict=True):
            _draw_panel(axes, panel, by_key.get(panel.row))
        canvas.suptitle(f"Weebill {run.commit} beside its peers · {run.started_at[:10]}", fontsize=13, weight="bold")
        canvas.savefig(path)


def _draw_panel(axes: Axes, panel: _Panel, row: Row | None) -> None:
    axes.set_title(f"{panel.title}  ({'less' if panel.lower_is_better else 'more'} is better)", loc="left", fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    cells = row.cells if row else {}
    # What is added to direct's figure has no bar for direct itself.
    names = [name for name in TITLES if name in cells and not (name == "direct" and "dded" in panel.title)]
    axes.set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    shown = {name: cell for name in names if isinstance(cell := cells[name], Figure)}
    if not shown:
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
    for place, name in enumerate(names):
        cell = cells[name]
        if isinstance(cell, str):
            axes.text(0.02, place, cell, transform=axes.get_yaxis_transform(), va="center", color="#b00020")
            continue
        axes.barh(place, max(cell.median, 0), color=_COLOURS[name], height=0.62)
        label = f" {cell.median:,.{row.digits if row else 0}f}"
        axes.text(
            max(cell.median, axes.get_xlim()[0]),
            place,
            label,
            va="center",
            weight="bold" if name == "weebill" else "normal",
        )
