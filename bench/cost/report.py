"""The cost study as tables and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from rich.table import Table

from bench.cost.study import ALL_LARGE, CostStudy, Curve, Outcome

_OWN, _GREY, _GOLD = "#0b7a75", "#9aa3ad", "#d1913c"


def cost_tables(study: CostStudy) -> Iterator[Table]:
    """Quality and spend on recorded prompts, then dollars a month for each scenario."""
    measured = Table(title="On recorded prompts, each judged by models that had not seen it", title_justify="left")
    for heading in ("", "policy", "to the large model", "right (95%)", "of the gap", "spend"):
        measured.add_column(heading, justify="left" if heading in ("", "policy") else "right")
    for outcome in study.outcomes:
        measured.add_row(*_cells(outcome), end_section=outcome.policy == study.outcomes[-1].policy)
    yield measured
    for scenario in study.scenarios:
        bills = [bill for bill in study.bills if bill.scenario == scenario.title]
        policies = list(dict.fromkeys(bill.policy for bill in bills))
        asked = f"{scenario.prompt_tokens:,} tokens in and {scenario.answer_tokens} out"
        table = Table(title=f"{scenario.title}, {asked}: dollars a month", title_justify="left")
        table.add_column("small / large")
        for policy in policies:
            table.add_column(policy, justify="right")
        for pair in study.pairs:
            found = {bill.policy: bill.dollars for bill in bills if bill.pair == pair.title}
            table.add_row(pair.title, *(f"{found[policy]:,.0f}" for policy in policies))
        yield table


def cost_markdown(study: CostStudy) -> str:
    """The same for a page."""
    lines = ["# Cost study", ""]
    lines += [
        "| | policy | to the large model | right (95%) | of the gap | spend |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {' | '.join(_cells(outcome))} |" for outcome in study.outcomes]
    for scenario in study.scenarios:
        bills = [bill for bill in study.bills if bill.scenario == scenario.title]
        policies = list(dict.fromkeys(bill.policy for bill in bills))
        asked = f"{scenario.prompt_tokens:,} tokens in and {scenario.answer_tokens} out each"
        lines += ["", f"{scenario.title}, {asked}, dollars a month:", ""]
        lines += [f"| small / large | {' | '.join(policies)} |", f"| --- |{' ---: |' * len(policies)}"]
        for pair in study.pairs:
            found = {bill.policy: bill.dollars for bill in bills if bill.pair == pair.title}
            lines.append(f"| {pair.title} | {' | '.join(f'{found[policy]:,.0f}' for policy in policies)} |")
    return "\n".join(lines) + "\n"


def draw_cost(study: CostStudy, path: Path) -> None:
    """Quality by share to the large model, one panel for each set of prompts, as PNG."""
    canvas = Canvas(figsize=(12, 5), dpi=130, facecolor="white", layout="constrained")
    for axes, curve in zip(canvas.subplots(1, len(study.curves)), study.curves, strict=True):
        _draw(axes, curve, [each for each in study.outcomes if each.prompts == curve.prompts])
    canvas.savefig(path)


def _draw(axes: Axes, curve: Curve, outcomes: list[Outcome]) -> None:
    axes.set_title(f"{curve.prompts}: right answers by what the large model is given", loc="left", fontsize=11)
    axes.plot(curve.shares, curve.oracle, color=_GREY, linestyle="--", label="oracle")
    axes.plot(curve.shares, curve.estimated, color=_OWN, linewidth=2.2, label="auto")
    ends = [curve.estimated[0], curve.estimated[-1]]
    axes.plot([0, 1], ends, color=_GREY, linestyle=":", label="by chance")
    for outcome in outcomes:
        above = [outcome.quality - outcome.low], [outcome.high - outcome.quality]
        axes.errorbar(outcome.share, outcome.quality, yerr=above, fmt="o", color=_GOLD, capsize=3, markersize=5)
        if outcome.policy.startswith("auto"):
            words = outcome.policy.removeprefix("auto, ")
            axes.annotate(words, (outcome.share, outcome.quality), (6, -12), textcoords="offset points", fontsize=8)
    axes.set_xlabel("share of the prompts that go to the large model")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(color="#e3e6ea")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")


def _cells(outcome: Outcome) -> tuple[str, ...]:
    right = f"{outcome.quality:.1%} ({outcome.low:.1%} to {outcome.high:.1%})"
    gap = "" if outcome.policy == ALL_LARGE else f"{outcome.recovered:.0%}"
    return outcome.prompts, outcome.policy, f"{outcome.share:.0%}", right, gap, f"{outcome.spend:.0%}"
