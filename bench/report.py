"""The table on a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.results import Figure, Run
from bench.rows import Row

TITLES = {
    "direct": "direct",
    "nginx": "nginx",
    "envoy": "Envoy",
    "caddy": "Caddy",
    "weebill": "Weebill",
    "interpreted": "Weebill, interpreted",
    "ferrogw": "ferrogw",
    "litellm": "LiteLLM",
    "portkey": "Portkey",
}


def columns_of(run: Run, rows: list[Row]) -> list[str]:
    """The contenders that any row has a cell for, and those that could not be measured, in their usual order."""
    named = {name for row in rows for name in row.cells} | set(run.absent)
    usual = [name for name in TITLES if name in named]
    return usual + [name for name in run.versions if name in named and name not in TITLES]


def title_of(name: str) -> str:
    """The title of a contender; a name of one's own is another build of Weebill."""
    return TITLES.get(name, f"Weebill, {name}")


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _range(cell: Figure, digits: int) -> str:
    low, high = _number(cell.low, digits), _number(cell.high, digits)
    return "" if low == high else f"{low} to {high}"


def _heading(name: str, run: Run) -> str:
    version = run.versions.get(name, "not measured")
    return f"{title_of(name)} {version}" + (", ended early" if name in run.absent and name in run.versions else "")


def print_table(console: Console, run: Run, rows: list[Row], notes: list[str]) -> None:
    """Medians, with the least and greatest round below each."""
    columns = columns_of(run, rows)
    table = Table(title=f"Weebill {run.commit} beside its peers", caption="median, least to greatest of the rounds")
    table.add_column("", overflow="fold", min_width=24)
    for name in columns:
        table.add_column(_heading(name, run), justify="right", style="bold" if name == "weebill" else "")
    table.add_column("Target")
    for section, group in groupby(rows, key=lambda row: row.section):
        table.add_section()
        table.add_row(Text(section, style="bold cyan"))
        for row in group:
            cells = [terminal_cell(row.cells.get(name, "–"), row.digits) for name in columns]
            table.add_row(Text(row.title), *cells, Text("\n").join(terminal_verdicts(row)))
    console.print(table)
    for note in notes:
        console.print(Text(f"• {note}"))


def terminal_cell(cell: Figure | str, digits: int) -> Text:
    """A median with its range below it."""
    if isinstance(cell, str):
        return Text(cell, style="red" if cell.startswith("✗") else "dim")
    text = Text(_number(cell.median, digits))
    if spread := _range(cell, digits):
        text.append(f"\n{spread}", style="dim")
    return text


def terminal_verdicts(row: Row) -> Iterator[Text]:
    """Targets, green if they were met."""
    styles = {True: "green", False: "red", None: "dim"}
    for verdict in row.verdicts:
        yield Text(str(verdict), style=styles[verdict.met])


def markdown(run: Run, rows: list[Row], notes: list[str]) -> str:
    """The same table for a page."""
    columns = columns_of(run, rows)
    lines = [
        "# Benchmark results",
        "",
        f"Weebill {run.commit}, {run.started_at}, on {', '.join(f'{k} {v}' for k, v in run.machine.items())}. "
        "Each cell: the median of the rounds, in parentheses the least and the greatest.",
        "",
        f"| | {' | '.join(_heading(name, run) for name in columns)} | Target |",
        f"| --- | {' | '.join('---:' for _ in columns)} | --- |",
    ]
    for section, group in groupby(rows, key=lambda row: row.section):
        lines.append(f"| **{section}** | {' | '.join('' for _ in columns)} | |")
        for row in group:
            cells = [markdown_cell(row.cells.get(name, "–"), row.digits) for name in columns]
            lines.append(f"| {row.title} | {' | '.join(cells)} | {'<br>'.join(map(str, row.verdicts))} |")
    lines.append("")
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def markdown_cell(cell: Figure | str, digits: int) -> str:
    """A median with its range in parentheses."""
    if isinstance(cell, str):
        return cell
    spread = _range(cell, digits)
    return _number(cell.median, digits) + (f" ({spread})" if spread else "")
