"""`weebill experiment`: the commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, QuietOption, sources_of
from weebill.cli.equivalents import Guide

experiment_app = typer.Typer(cls=Guide, help="Try a model on a share of another's requests.", rich_markup_mode=None)


@experiment_app.command("create")
def create_experiment(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Such as faster-mini.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="Whose requests it is about, by the name they use.")],
    candidate: Annotated[str, typer.Option(metavar="MODEL", help="The model to try in its place.")],
    share: Annotated[float, typer.Option(help="Of the requests, more than 0 and at most 1.")] = 0.1,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Send only a copy; the client never sees the answer.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Begin an experiment. A conversation always has the same model."""
    from weebill.cli.experiment import create

    create(sources_of(context, config), name, model, candidate, share, shadow, as_json)


@experiment_app.command("list")
def list_experiments(
    context: typer.Context, quiet: QuietOption = False, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List experiments, oldest first."""
    from weebill.cli.experiment import list_experiments

    list_experiments(sources_of(context, config), quiet, as_json)


@experiment_app.command("show")
def show_experiment(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The experiment's name.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare both models: answers, latency, cost, tokens and checks, with 95% confidence intervals."""
    from weebill.cli.experiment import show

    show(sources_of(context, config), name, as_json)


@experiment_app.command("promote")
def promote_experiment(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The experiment's name.")],
    config: ConfigOption = None,
) -> None:
    """Let the candidate answer all requests for the model, within a second."""
    from weebill.cli.experiment import promote

    promote(sources_of(context, config), name)


@experiment_app.command("rollback")
def roll_back_experiment(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The experiment's name.")],
    config: ConfigOption = None,
) -> None:
    """End an experiment or undo its promotion, within a second."""
    from weebill.cli.experiment import roll_back

    roll_back(sources_of(context, config), name)
