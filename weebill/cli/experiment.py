"""`weebill experiment`: works on the ledger, even if Weebill is not running; workers follow within a second."""

from __future__ import annotations

import typer

from weebill.auto.comparison import ArmFigures, Comparison, Figure, compare
from weebill.auto.experiments import Experiment
from weebill.auto.intervals import Interval
from weebill.cli.errors import CommandError
from weebill.cli.models import store_of
from weebill.cli.output import NOTHING, console, day, print_json, print_table
from weebill.config.checks import model_names
from weebill.config.load import Sources, load, load_database
from weebill.config.problems import did_you_mean
from weebill.storage.comparison import ArmTables
from weebill.storage.experiments import experiments_in, open_experiments
from weebill.storage.opening import open_ledger

# For each figure: its title, divisor, unit and decimals.
_SHOWN: dict[Figure, tuple[str, float, str, int]] = {
    "success": ("answered", 0.01, "%", 1),
    "passed": ("passed its checks", 0.01, "%", 1),
    "escalated": ("escalated", 0.01, "%", 1),
    "first_byte_p50_ms": ("first byte, p50", 1, " ms", 0),
    "first_byte_p95_ms": ("first byte, p95", 1, " ms", 0),
    "latency_p50_ms": ("answer, p50", 1, " ms", 0),
    "latency_p95_ms": ("answer, p95", 1, " ms", 0),
    "cost_nano": ("cost of 1,000 requests", 1e6, " $", 4),
    "prompt_tokens": ("prompt tokens", 1, "", 0),
    "completion_tokens": ("completion tokens", 1, "", 0),
}


def create(sources: Sources, name: str, model: str, candidate: str, share: float, shadow: bool, as_json: bool) -> None:
    """Starts an experiment with configured models."""
    settings = load(sources).settings
    installed = store_of(sources).manifests.all()
    known = model_names(settings) | set(settings.aliases) | set(settings.autos) | {each.name for each in installed}
    for each in (model, candidate):
        if each not in known:
            raise CommandError(f"there is no model {each!r}{did_you_mean(each, known)}", "`weebill list` shows them")
    sources.home.create()
    with open_experiments(sources.home, load_database(sources)) as experiments:
        made = experiments.create(name, model, candidate, share, shadow)
    if as_json:
        print_json(made)
        return
    what = "a copy of " if shadow else ""
    typer.echo(f"Began {made.name}: {what}{made.share:.0%} of the requests for {made.model} go to {made.candidate}")


def list_experiments(sources: Sources, quiet: bool, as_json: bool) -> None:
    """Prints all experiments; with `quiet`, their names."""
    sources.home.create()
    with open_experiments(sources.home, load_database(sources)) as store:
        experiments = store.all()
    if quiet:
        for each in experiments:
            typer.echo(each.name)
    elif as_json:
        print_json(experiments)
    elif experiments:
        rows = (
            (each.name, each.model, each.candidate, f"{each.share:.0%}", _kind(each), each.state.replace("_", " "),
             day(each.created_at), day(each.changed_at))
            for each in experiments
        )  # fmt: skip
        print_table(("NAME", "MODEL", "CANDIDATE", "SHARE", "KIND", "STATE", "CREATED", "CHANGED"), rows)
    else:
        typer.echo("There are no experiments; `weebill experiment create NAME --model M --candidate C` begins one")


def show(sources: Sources, name: str, as_json: bool) -> None:
    """Prints both arms side by side, with 95% confidence intervals."""
    sources.home.create()
    with open_ledger(sources.home, load_database(sources)) as ledger:
        experiment = experiments_in(ledger).get(name)
        found = ledger.read(lambda connection: compare(ArmTables(connection), experiment))
    if as_json:
        print_json(found)
    else:
        _print(found)


def promote(sources: Sources, name: str) -> None:
    """Lets the candidate answer in the model's place."""
    sources.home.create()
    with open_experiments(sources.home, load_database(sources)) as experiments:
        made = experiments.promote(name)
    typer.echo(f"Promoted: {made.candidate} answers for {made.model}; `weebill experiment rollback {name}` undoes it")


def roll_back(sources: Sources, name: str) -> None:
    """Ends an experiment, or undoes its promotion."""
    sources.home.create()
    with open_experiments(sources.home, load_database(sources)) as experiments:
        ended = experiments.roll_back(name)
    typer.echo(f"Rolled back: {ended.model} is answered as before {ended.name}")


def _print(found: Comparison) -> None:
    experiment, control, candidate = found.experiment, found.control, found.candidate
    console().print(f"{experiment.name}: {_kind(experiment)}, {experiment.state.replace('_', ' ')}\n")
    rows = [("requests", str(control.requests), str(candidate.requests), "")]
    rows += [
        (title, _cell(control, figure), _cell(candidate, figure), _shown(found.differences.get(figure), figure, "+"))
        for figure, (title, _, _, _) in _SHOWN.items()
        if figure in control.figures or figure in candidate.figures
    ]
    if control.unpriced or candidate.unpriced:
        rows.append(("requests of unknown price", str(control.unpriced), str(candidate.unpriced), ""))
    print_table(("", experiment.model, experiment.candidate, "DIFFERENCE"), rows)
    if not control.requests or not candidate.requests:
        console().print("\nNo requests yet for one of them; usage is in the ledger a second after an answer")


def _cell(arm: ArmFigures, figure: Figure) -> str:
    return _shown(arm.figures.get(figure), figure, "")


def _shown(interval: Interval | None, figure: Figure, sign: str) -> str:
    if interval is None:
        return NOTHING
    _, divisor, unit, decimals = _SHOWN[figure]
    value, low, high = (f"{each / divisor:{sign}.{decimals}f}" for each in interval)
    return f"{value}{unit} ({low} to {high})"


def _kind(experiment: Experiment) -> str:
    return "shadow" if experiment.shadow else "A/B"
