"""What the simulation found, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from rich.table import Table

from bench.simulation.balancers import BALANCERS, COOLDOWNS, DEFAULT, RETRIED
from bench.simulation.run import After, Outcome
from bench.simulation.scenarios import SCENARIOS

# Of the picture, in which all of them would be in each other's way.
_COLOURS: Final = {DEFAULT: "#0b7a75", RETRIED: "#7d8896", COOLDOWNS: "#d1913c"}


def routing_table(outcomes: list[Outcome]) -> Table:
    """A row for each scenario and balancer."""
    table = Table(
        title="Routing under failures, in virtual time",
        caption="added: to good answers, over what they take at the fastest server; load: Jain's index before anything "
        "is wrong, 1 if all get the same; calls: for each request, in all and while something is wrong",
    )
    for column in ("scenario", "balancer"):
        table.add_column(column)
    for column in ("answered", "added p50", "p99, s", "load", "calls", "in trouble", "to the dead", "dropped", "back"):
        table.add_column(column, justify="right")
    for scenario in SCENARIOS:
        table.add_section()
        title = scenario.name
        for name in BALANCERS:
            found = next(it for it in outcomes if (it.scenario, it.balancer) == (scenario.name, name))
            table.add_row(
                title, name, _answered(found), f"{found.added_p50:.2f}", f"{found.added_p99:.2f}",
                f"{found.fairness:.2f}", f"{found.calls:.2f}", f"{found.calls_in_trouble:.2f}",
                "" if found.to_dead is None else f"{found.to_dead:.1%}",
                _seconds(found.dropped_after), _seconds(found.back_after),
            )  # fmt: skip
            title = ""
    return table


def _answered(found: Outcome) -> str:
    text = f"{found.good:.2%}"
    return f"[bold]{text}[/bold]" if found.balancer == DEFAULT else text


def _seconds(value: After) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.2f} s"


class _Panel(NamedTuple):
    title: str
    value: Callable[[Outcome], After]
    form: str = "{:.1f}"


_PANELS: Final = (
    _Panel("Not answered, % of all requests", lambda it: 100 * (1 - it.good)),
    _Panel("Latency added to good answers, p99, s", lambda it: it.added_p99),
    _Panel("Until the dead one is left alone, s", lambda it: it.dropped_after),
    _Panel("Until it is back after its recovery, s", lambda it: it.back_after),
)


def draw_routing(outcomes: list[Outcome], path: Path) -> None:
    """Write four panels of horizontal bars as PNG, in groups by scenario; only those in which anything is wrong."""
    canvas = Canvas(figsize=(12, 11), dpi=120, facecolor="white", layout="constrained")
    troubled = {it.name for it in SCENARIOS if it.trouble[1]}
    shown = [it for it in outcomes if it.scenario in troubled]
    panels = canvas.subplots(2, 2, height_ratios=(11, 6))
    for axes, panel in zip(panels.flat, _PANELS, strict=True):
        _draw_panel(axes, panel, [it for it in shown if panel.value(it) is not None])
    handles, labels = panels[0][0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=len(_COLOURS), frameon=False)
    canvas.suptitle("Routing under failures, in virtual time (less is better)", fontsize=13, weight="bold")
    canvas.savefig(path)


def _draw_panel(axes: Axes, panel: _Panel, outcomes: list[Outcome]) -> None:
    values = {(it.scenario, it.balancer): panel.value(it) for it in outcomes}
    scenarios = list(dict.fromkeys(it.scenario for it in outcomes))
    known = [value for (_, name), value in values.items() if name in _COLOURS and isinstance(value, float)]
    greatest = max(known)
    height = 0.8 / len(_COLOURS)
    for place, (name, colour) in enumerate(_COLOURS.items()):
        for row, scenario in enumerate(scenarios):
            value = values[scenario, name]
            y = row + (place - (len(_COLOURS) - 1) / 2) * height
            length = value if isinstance(value, float) else greatest
            text = panel.form.format(value) if isinstance(value, float) else str(value)
            axes.barh(y, length, height=height * 0.88, color=colour, label=name if not row else None)
            weight = "bold" if name == DEFAULT else "normal"
            axes.text(length, y, f" {text}", va="center", fontsize=7.5, color=colour, weight=weight)
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.set_yticks(range(len(scenarios)), scenarios)
    axes.invert_yaxis()
    axes.set_xlim(0, greatest * 1.15)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
