"""`python -m bench`: measure and report; `python -m bench soak`: a long steady load;
`python -m bench translation`: what translating costs; `python -m bench routing`: failures, in virtual time;
`python -m bench failover`: failures, live; `python -m bench routed`: what a choice costs;
`python -m bench engines`: engines for local models, on one model;
`python -m bench usage`, `keys`, `limits`, `outage`: pages of a large ledger, checks of keys and limits, a ledger in
trouble."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import accounts, contenders, measure, report
from bench.bytecodes import bytecodes_table, count_bytecodes
from bench.console import (
    RESULTS,
    Out,
    Publish,
    commit,
    interrupt,
    machine,
    publish_results,
    save,
    steps,
    stopping_in_order,
    the_console,
)
from bench.contenders import STARTERS, Starter
from bench.cost.report import cost_markdown, cost_tables, draw_cost
from bench.cost.study import study
from bench.engine import measure_engine
from bench.engines.found import EnginesRun
from bench.engines.measure import measure_engines
from bench.engines.report import draw_engines, engines_markdown, engines_table
from bench.failover.report import failover_table, figures
from bench.failover.run import Plan, failover
from bench.plot import draw, draw_soak
from bench.proc import busy_share
from bench.results import Run, total
from bench.routed import DEPLOYMENTS, is_within, measure_routed, routed_table
from bench.rows import notes_of, rows_of
from bench.simulation.report import draw_routing, routing_table
from bench.simulation.run import RUNS, run_all
from bench.soak import Moment, is_flat, soak, soak_table
from bench.translated import measure_translated, translated_table
from bench.translation import PAIRS, draw_translation, measure_translation, translation_table
from weebill.config.schema import Settings

_ROUTELLM = Path("../shared/data/routing")
_ENGINE = "engine"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
for _command in (accounts.usage, accounts.keys, accounts.limits, accounts.outage):
    app.command(_command.__name__)(_command)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short round of each; for a look, not for figures.")
    ] = False,
    only: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Comma-separated, of: {', '.join([*STARTERS, _ENGINE])}.")
    ] = ",".join([*STARTERS, _ENGINE]),
    beside: Annotated[
        list[str], typer.Option(metavar="NAME=FOLDER", help="Another build of Weebill, unpacked, as a contender.")
    ] = [],  # noqa: B006 - Typer copies it
    rounds: Annotated[int | None, typer.Option(min=1, help="Interleaved rounds.")] = None,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """Weebill beside its peers."""
    signal.signal(signal.SIGTERM, interrupt)
    if context.invoked_subcommand:
        return
    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in STARTERS and name != _ENGINE]:
        raise typer.BadParameter(f"no contender {unknown[0]!r}; there are {', '.join([*STARTERS, _ENGINE])}")
    field = {name: starter for name, starter in STARTERS.items() if name in names}
    for build in beside:
        name, given, folder = build.partition("=")
        if not given or name in STARTERS or not Path(folder, "weebill").is_dir():
            raise typer.BadParameter(f"not NAME=FOLDER with a new name and a folder that holds `weebill`: {build}")
        field[name] = contenders.beside(name, Path(folder).resolve())
    if sys.platform != "linux" or (os.cpu_count() or 1) < 2:
        raise typer.BadParameter("the benchmark needs Linux and two cores")
    plan = measure.QUICK if quick else measure.Plan()
    if rounds:
        plan = dataclasses.replace(plan, rounds=rounds)
    run = Run(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        machine=machine(),
        busy_before=busy_share(),
        options=dataclasses.asdict(plan),
    )
    console = the_console()
    with stopping_in_order(console):
        _measure(console, field, plan, run, _ENGINE in names, quick)
    _report(console, run, out, publish)


@app.command("soak")
def soak_command(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the load lasts.")] = 10.0,
    width: Annotated[int, typer.Option(min=1, max=500, help="Requests under way at once.")] = 48,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """A steady mixed load on Weebill: is memory flat? Exits with 1 if it is not, or an answer was wrong."""
    console = the_console()
    columns = (TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn())
    with stopping_in_order(console), Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("soak", total=minutes * 60)

        def tick(moment: Moment) -> None:
            resident = total(moment.processes)
            files = sum(process.fds for process in moment.processes)
            said = f"soak: {resident.rss / 1e6:.0f} MB resident, {files} files"
            progress.update(task, completed=moment.at_s, description=said, refresh=True)

        found = soak(minutes * 60, width, tick)
    flat = is_flat(found)
    console.print(soak_table(found))
    console.print("[green]✓[/green] memory is flat" if flat else "[red]✗[/red] memory is not flat")
    for fault in found.faults[:10]:
        console.print(f"[red]✗[/red] {escape(fault)}")
    save(found, out / "soak.json")
    draw_soak(found, out / "soak.png")
    publish_results(console, out, ("soak.json", "soak.png"), publish)
    if found.faults or not flat:
        raise typer.Exit(1)


@app.command("translation")
def translation_command(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the median counts.")] = 7,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """What translating costs, every inbound API to every dialect, in process."""
    console = the_console()
    with stopping_in_order(console), steps(console) as progress:
        task = progress.add_task("translation", total=PAIRS)
        pairs = measure_translation(rounds, partial(progress.update, task, advance=1, refresh=True))
    console.print(translation_table(pairs))
    save(pairs, out / "translation.json")
    draw_translation(pairs, out / "translation.png")
    publish_results(console, out, ("translation.json", "translation.png"), publish)


@app.command("translated")
def translated_command(
    seconds: Annotated[float, typer.Option(min=1, help="How long each is measured.")] = 5.0,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """Weebill beside LiteLLM in front of upstreams of other dialects."""
    signal.signal(signal.SIGTERM, interrupt)
    console = the_console()
    with stopping_in_order(console):
        found = measure_translated(seconds, lambda what: console.print(f"… {what}"))
    console.print(translated_table(found))
    save(found, out / "translated.json")
    publish_results(console, out, ("translated.json",), publish)


@app.command("cost")
def cost_command(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="The recorded prompts of RouteLLM.")] = _ROUTELLM,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """What `auto` saves: quality and spend on recorded prompts, and dollars a month at real prices."""
    console = the_console()
    with stopping_in_order(console):
        found = study(data, lambda what: console.print(f"… {what}"))
    for table in cost_tables(found):
        console.print(table)
    save(found, out / "cost.json")
    (out / "cost.md").write_text(cost_markdown(found))
    draw_cost(found, out / "cost.png")
    publish_results(console, out, ("cost.md", "cost.json", "cost.png"), publish)


@app.command("routing")
def routing_command(
    seed: Annotated[int, typer.Option(help="Of arrivals, work and chance.")] = 1,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """Routing under failures, in virtual time: Weebill's policies beside round-robin and LiteLLM's default."""
    console = the_console()
    with stopping_in_order(console), steps(console) as progress:
        task = progress.add_task("simulated runs", total=RUNS)
        outcomes = run_all(seed, partial(progress.update, task, advance=1, refresh=True))
    console.print(routing_table(outcomes))
    save(outcomes, out / "routing.json")
    draw_routing(outcomes, out / "routing.png")
    publish_results(console, out, ("routing.json", "routing.png"), publish)


@app.command("failover")
def failover_command(
    requests: Annotated[int, typer.Option(min=100, help="How many, half of them streams.")] = 20_000,
    rate: Annotated[float, typer.Option(min=1, help="So many a second.")] = 150.0,
    breaker: Annotated[
        bool, typer.Option(help="Without, the failing provider gets its share all the time, and all is made good.")
    ] = True,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """A real Weebill while one of two providers fails in every way. Exits with 1 if that is noticed."""
    console = the_console()
    plan = Plan(requests=requests, rate=rate)
    if not breaker:
        plan = msgspec.structs.replace(plan, failures=1_000_000)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with stopping_in_order(console), Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=requests)
        found = failover(
            plan,
            lambda over, mode: progress.update(task, completed=over, description=f"one is: {mode}", refresh=True),
        )
    console.print(failover_table(found))
    for fault in found.faults():
        console.print(f"[red]✗[/red] {escape(fault)}")
    name = "failover.json" if breaker else "failover-without-breaker.json"
    save(figures(found), out / name)
    publish_results(console, out, (name,), publish)
    if found.faults():
        raise typer.Exit(1)


@app.command("routed")
def routed_command(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each, in turns.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each round lasts.")] = 1.5,
    connections: Annotated[int, typer.Option(min=1, help="Closed loops asking at once.")] = 16,
    functions: Annotated[int, typer.Option(min=0, help="How many functions are shown with their bytecodes.")] = 30,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """What a choice among three deployments costs. Exits with 1 if that is more than the target allows."""
    console = the_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with stopping_in_order(console), Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("rounds", total=2 * rounds)
        found = measure_routed(rounds, seconds, connections, lambda: progress.update(task, advance=1, refresh=True))
    console.print(routed_table(found))
    console.print(bytecodes_table({model: count_bytecodes(model) for model in DEPLOYMENTS}, functions))
    save(found, out / "routed.json")
    publish_results(console, out, ("routed.json",), publish)
    if not is_within(found):
        raise typer.Exit(1)


@app.command("engines")
def engines_command(
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds, of which the median counts.")] = 5,
    model: Annotated[str, typer.Option(metavar="NAME", help="The default model, unless another is named.")] = "",
    peers: Annotated[bool, typer.Option(help="Without, others' servers are neither built nor measured.")] = True,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """The model that is served by default: Weebill's engine, alone and through the gateway, beside others' servers."""
    run = EnginesRun(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        machine=machine(),
        busy_before=busy_share(),
        model=model or Settings().local.models[0],
        rounds=rounds,
    )
    console = the_console()
    with stopping_in_order(console):
        measure_engines(run, lambda what: console.print(f"… {what}"), peers_too=peers)
    engines_table(console, run)
    save(run, out / "engines.json")
    (out / "engines.md").write_text(engines_markdown(run))
    draw_engines(run, out / "engines.png")
    publish_results(console, out, ("engines.md", "engines.json", "engines.png"), publish)


def _measure(
    console: Console, field: Mapping[str, Starter], plan: measure.Plan, run: Run, engine: bool, quick: bool
) -> None:
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Redrawn only between measurements: a bar that redraws itself would take time from the load generator's core.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=plan.steps(len(field)) + engine)

        def step(what: str) -> None:
            progress.update(task, description=what, advance=1)
            progress.refresh()

        if field:
            measure.measure(field, plan, run, step)
        if engine:
            step("local model: engine alone and through the gateway")
            measure_engine(run, requests=2 if quick else 12)


def _report(console: Console, run: Run, out: Path, publish: bool) -> None:
    rows, notes = rows_of(run), notes_of(run)
    report.print_table(console, run, rows, notes)
    save(run, out / "results.json")
    (out / "results.md").write_text(report.markdown(run, rows, notes))
    draw(run, rows, out / "results.png")
    publish_results(console, out, ("results.md", "results.json", "results.png"), publish)


if __name__ == "__main__":
    app()
