"""`python -m bench`: measure and report; `python -m bench soak`: a long steady load;
`python -m bench translation`: what translating costs; `python -m bench routing`: failures, in virtual time;
`python -m bench failover`: failures, live; `python -m bench routed`: what a choice costs;
`python -m bench engines`: engines for local models, on one model;
`python -m bench usage`: a page of usage in a large ledger."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import weebill
from bench import contenders, measure, report
from bench.bytecodes import bytecodes_table, count_bytecodes
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
from bench.proc import BenchError, busy_share
from bench.results import Run, total
from bench.routed import DEPLOYMENTS, is_within, measure_routed, routed_table
from bench.rows import notes_of, rows_of
from bench.simulation.report import draw_routing, routing_table
from bench.simulation.run import RUNS, run_all
from bench.soak import Moment, is_flat, soak, soak_table
from bench.translated import measure_translated, translated_table
from bench.translation import PAIRS, draw_translation, measure_translation, translation_table
from bench.usage import measure_usage, usage_table
from weebill.config.schema import Settings

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results"
_PUBLISHED = _HERE.parent / "docs" / "benchmarks"
_ROUTELLM = Path("../shared/data/routing")
_ENGINE = "engine"
_FILE_WIDTH = 170  # of what is printed to something else than a terminal

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


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
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """Weebill beside its peers."""
    signal.signal(signal.SIGTERM, _interrupt)
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
        commit=_commit(),
        machine=_machine(),
        busy_before=busy_share(),
        options=dataclasses.asdict(plan),
    )
    console = _console()
    with _stopping_in_order(console):
        _measure(console, field, plan, run, _ENGINE in names, quick)
    _report(console, run, out, publish)


@app.command("soak")
def soak_command(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the load lasts.")] = 10.0,
    width: Annotated[int, typer.Option(min=1, max=500, help="Requests under way at once.")] = 48,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """A steady mixed load on Weebill: is memory flat? Exits with 1 if it is not, or an answer was wrong."""
    console = _console()
    columns = (TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn())
    with _stopping_in_order(console), Progress(*columns, console=console, auto_refresh=False) as progress:
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
    out.mkdir(parents=True, exist_ok=True)
    (out / "soak.json").write_bytes(msgspec.json.encode(found))
    draw_soak(found, out / "soak.png")
    _publish(console, out, ("soak.json", "soak.png"), publish)
    if found.faults or not flat:
        raise typer.Exit(1)


@app.command("translation")
def translation_command(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the median counts.")] = 7,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """What translating costs, every inbound API to every dialect, in process."""
    console = _console()
    with _stopping_in_order(console), _steps(console) as progress:
        task = progress.add_task("translation", total=PAIRS)
        pairs = measure_translation(rounds, lambda: progress.advance(task))
    console.print(translation_table(pairs))
    out.mkdir(parents=True, exist_ok=True)
    (out / "translation.json").write_bytes(msgspec.json.format(msgspec.json.encode(pairs), indent=1))
    draw_translation(pairs, out / "translation.png")
    _publish(console, out, ("translation.json", "translation.png"), publish)


@app.command("usage")
def usage_command(
    requests: Annotated[int, typer.Option(min=1000, help="Requests in the ledger.")] = 5_000_000,
    url: Annotated[str | None, typer.Option(help="An empty PostgreSQL; SQLite by default.", show_default=False)] = None,
    filled: Annotated[bool, typer.Option("--filled", help="It is not empty: this has filled it before.")] = False,
) -> None:
    """How long a page of usage takes in a large ledger."""
    if filled and url is None:
        raise typer.BadParameter("--filled is of a ledger in PostgreSQL: give its --url")
    console = _console()
    with _stopping_in_order(console):
        console.print(
            usage_table(measure_usage(None if filled else requests, url, lambda what: console.print(f"… {what}")))
        )


@app.command("translated")
def translated_command(
    seconds: Annotated[float, typer.Option(min=1, help="How long each is measured.")] = 5.0,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """Weebill beside LiteLLM in front of upstreams of other dialects."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = _console()
    with _stopping_in_order(console):
        found = measure_translated(seconds, lambda what: console.print(f"… {what}"))
    console.print(translated_table(found))
    out.mkdir(parents=True, exist_ok=True)
    (out / "translated.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    _publish(console, out, ("translated.json",), publish)


@app.command("cost")
def cost_command(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="The recorded prompts of RouteLLM.")] = _ROUTELLM,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """What `auto` saves: quality and spend on recorded prompts, and dollars a month at real prices."""
    console = _console()
    with _stopping_in_order(console):
        found = study(data, lambda what: console.print(f"… {what}"))
    for table in cost_tables(found):
        console.print(table)
    out.mkdir(parents=True, exist_ok=True)
    (out / "cost.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    (out / "cost.md").write_text(cost_markdown(found))
    draw_cost(found, out / "cost.png")
    _publish(console, out, ("cost.md", "cost.json", "cost.png"), publish)


@app.command("routing")
def routing_command(
    seed: Annotated[int, typer.Option(help="Of arrivals, work and chance.")] = 1,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """Routing under failures, in virtual time: Weebill's policies beside round-robin and LiteLLM's default."""
    console = _console()
    with _stopping_in_order(console), _steps(console) as progress:
        task = progress.add_task("simulated runs", total=RUNS)
        outcomes = run_all(seed, lambda: progress.advance(task))
    console.print(routing_table(outcomes))
    out.mkdir(parents=True, exist_ok=True)
    (out / "routing.json").write_bytes(msgspec.json.format(msgspec.json.encode(outcomes), indent=1))
    draw_routing(outcomes, out / "routing.png")
    _publish(console, out, ("routing.json", "routing.png"), publish)


@app.command("failover")
def failover_command(
    requests: Annotated[int, typer.Option(min=100, help="How many, half of them streams.")] = 20_000,
    rate: Annotated[float, typer.Option(min=1, help="So many a second.")] = 150.0,
    breaker: Annotated[
        bool, typer.Option(help="Without, the failing provider gets its share all the time, and all is made good.")
    ] = True,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """A real Weebill while one of two providers fails in every way. Exits with 1 if that is noticed."""
    console = _console()
    plan = Plan(requests=requests, rate=rate)
    if not breaker:
        plan = msgspec.structs.replace(plan, failures=1_000_000)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with _stopping_in_order(console), Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=requests)
        found = failover(
            plan,
            lambda over, mode: progress.update(task, completed=over, description=f"one is: {mode}", refresh=True),
        )
    console.print(failover_table(found))
    for fault in found.faults():
        console.print(f"[red]✗[/red] {escape(fault)}")
    out.mkdir(parents=True, exist_ok=True)
    name = "failover.json" if breaker else "failover-without-breaker.json"
    (out / name).write_bytes(msgspec.json.format(msgspec.json.encode(figures(found)), indent=1))
    _publish(console, out, (name,), publish)
    if found.faults():
        raise typer.Exit(1)


@app.command("routed")
def routed_command(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each, in turns.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each round lasts.")] = 1.5,
    connections: Annotated[int, typer.Option(min=1, help="Closed loops asking at once.")] = 16,
    functions: Annotated[int, typer.Option(min=0, help="How many functions are shown with their bytecodes.")] = 30,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """What a choice among three deployments costs. Exits with 1 if that is more than the target allows."""
    console = _console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with _stopping_in_order(console), Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("rounds", total=2 * rounds)
        found = measure_routed(rounds, seconds, connections, lambda: progress.update(task, advance=1, refresh=True))
    console.print(routed_table(found))
    console.print(bytecodes_table({model: count_bytecodes(model) for model in DEPLOYMENTS}, functions))
    out.mkdir(parents=True, exist_ok=True)
    (out / "routed.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    _publish(console, out, ("routed.json",), publish)
    if not is_within(found):
        raise typer.Exit(1)


@app.command("engines")
def engines_command(
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds, of which the median counts.")] = 5,
    model: Annotated[str, typer.Option(metavar="NAME", help="The default model, unless another is named.")] = "",
    peers: Annotated[bool, typer.Option(help="Without, others' servers are neither built nor measured.")] = True,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """The model that is served by default: Weebill's engine, alone and through the gateway, beside others' servers."""
    run = EnginesRun(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        machine=_machine(),
        busy_before=busy_share(),
        model=model or Settings().local.models[0],
        rounds=rounds,
    )
    console = _console()
    with _stopping_in_order(console):
        measure_engines(run, lambda what: console.print(f"… {what}"), peers_too=peers)
    engines_table(console, run)
    out.mkdir(parents=True, exist_ok=True)
    (out / "engines.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
    (out / "engines.md").write_text(engines_markdown(run))
    draw_engines(run, out / "engines.png")
    _publish(console, out, ("engines.md", "engines.json", "engines.png"), publish)


def _steps(console: Console) -> Progress:
    """How many of a known number of steps are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


@contextmanager
def _stopping_in_order(console: Console) -> Iterator[None]:
    """Whatever ends the block has stopped what was started in it; says so."""
    try:
        yield
    except BenchError as error:
        console.print(f"[red]bench:[/red] {escape(str(error))}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped, and so is everything that was started")
        raise typer.Exit(130) from None


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


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
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    (out / "results.md").write_text(report.markdown(run, rows, notes))
    draw(run, rows, out / "results.png")
    _publish(console, out, ("results.md", "results.json", "results.png"), publish)


def _publish(console: Console, out: Path, names: tuple[str, ...], publish: bool) -> None:
    console.print(f"written to {out}: {', '.join(names)}")
    if publish:
        _PUBLISHED.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(out / name, _PUBLISHED / name)
        console.print(f"and copied to {_PUBLISHED}")


def _commit() -> str:
    command = ["git", "-C", str(_HERE), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return f"{weebill.__version__} ({found})" if found else weebill.__version__


def _machine() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "CPU": cpu,
        "cores": str(os.cpu_count()),
        "Linux": platform.release(),
        "Python": platform.python_version(),
    }


if __name__ == "__main__":
    app()
