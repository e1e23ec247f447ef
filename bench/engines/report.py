"""The table on a terminal and as Markdown, and a picture."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.engines.found import EnginesRun
from bench.engines.measure import GATEWAY, HOST, PYTHON, STREAMS
from bench.engines.rows import FIGURES, TITLES, notes_of, rows_of
from bench.report import markdown_cell, terminal_cell, terminal_verdicts
from bench.results import Figure
from bench.rows import Row

_COLOURS: Final = {HOST: "#0b7a75", GATEWAY: "#6fb0ac", PYTHON: "#d1913c"}
_PANELS: Final = ("first", "prefill", "prefix", "memory", "vectors/batch")


def engines_table(console: Console, run: EnginesRun) -> None:
    """Prints medians, with the least and greatest round below each."""
    table = Table(title=f"{run.model}, Weebill {run.commit}", caption="median, least to greatest of the rounds")
    table.add_column("", overflow="fold", min_width=24)
    for name in TITLES:
        table.add_column(_heading(run, name), justify="right", style="bold" if name == HOST else "")
    table.add_column("Target")
    for section, group in groupby(rows_of(run), key=lambda row: row.section):
        table.add_section()
        table.add_row(Text(section, style="bold cyan"))
        for row in group:
            cells = [terminal_cell(row.cells.get(name, "–"), row.digits) for name in TITLES]
            table.add_row(Text(row.title), *cells, Text("\n").join(terminal_verdicts(row)))
    console.print(table)
    for note in notes_of(run):
        console.print(Text(f"• {note}"))


def engines_markdown(run: EnginesRun) -> str:
    """Returns the same table for a page."""
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    lines = [
        "# Engines side by side",
        "",
        f"{run.model}, Weebill {run.commit}, {run.started_at}, on {machine}. Each cell: the median of {run.rounds} "
        "rounds, in parentheses the least and the greatest.",
        "",
        f"| | {' | '.join(_heading(run, name) for name in TITLES)} | Target |",
        f"| --- | {' | '.join('---:' for _ in TITLES)} | --- |",
    ]
    for section, group in groupby(rows_of(run), key=lambda row: row.section):
        lines.append(f"| **{section}** | {' | '.join('' for _ in TITLES)} | |")
        for row in group:
            cells = [markdown_cell(row.cells.get(name, "–"), row.digits) for name in TITLES]
            lines.append(f"| {row.title} | {' | '.join(cells)} | {'<br>'.join(map(str, row.verdicts))} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in notes_of(run))]) + "\n"


def _heading(run: EnginesRun, name: str) -> str:
    return f"{TITLES[name]} ({run.versions[name]})" if name in run.versions else f"{TITLES[name]}, not measured"


def draw_engines(run: EnginesRun, path: Path) -> None:
    """Writes the picture as PNG: rates by streams, and a bar for each contender in the other panels."""
    rows = {row.key: row for row in rows_of(run)}
    canvas = Canvas(figsize=(13, 7), dpi=130, facecolor="white", layout="constrained")
    first, *others = canvas.subplots(2, 3).flat
    _draw_streams(first, rows)
    for axes, key in zip(others, _PANELS, strict=True):
        _draw_bars(axes, rows.get(key), FIGURES[key].title)
    canvas.suptitle(f"{run.model} · Weebill {run.commit} · {run.started_at[:10]}", fontsize=13, weight="bold")
    canvas.savefig(path)


def _draw_streams(axes: Axes, rows: dict[str, Row]) -> None:
    for name, colour in _COLOURS.items():
        points = [(n, cell) for n in STREAMS if (cell := _cell(rows.get(f"streams/{n}"), name))]
        axes.plot([n for n, _ in points], [cell.median for _, cell in points], "o-", color=colour, label=TITLES[name])
        axes.fill_between(
            [n for n, _ in points], [c.low for _, c in points], [c.high for _, c in points], color=colour, alpha=0.15
        )
    axes.set_title("Tokens/s of all streams, by their number", loc="left", fontsize=10)
    axes.set_xticks(STREAMS)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def _draw_bars(axes: Axes, row: Row | None, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    shown = [(name, cell) for name in _COLOURS if (cell := _cell(row, name))]
    axes.set_yticks(range(len(shown)), [TITLES[name] for name, _ in shown])
    axes.set_ylim(len(_COLOURS) - 0.4, -0.6)
    axes.set_xlim(0, max((cell.high for _, cell in shown), default=1) * 1.3)
    for place, (name, cell) in enumerate(shown):
        axes.barh(place, cell.median, color=_COLOURS[name], height=0.6)
        axes.hlines(place, cell.low, cell.high, color="#444444", linewidth=1)
        axes.text(cell.high, place, f"  {cell.median:,.{row.digits if row else 0}f}", va="center", fontsize=9)


def _cell(row: Row | None, name: str) -> Figure | None:
    cell = row.cells.get(name) if row else None
    return cell if isinstance(cell, Figure) else None
