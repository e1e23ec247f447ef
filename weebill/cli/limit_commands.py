"""`weebill limits`: the commands and their options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from weebill.cli.context import ConfigOption, JsonOption, sources_of
from weebill.cli.equivalents import Guide

limits_app = typer.Typer(
    cls=Guide, help="Limit requests, tokens and spend of keys, projects, organisations, users.", rich_markup_mode=None
)

LimitArgument = Annotated[int, typer.Argument(metavar="ID", help="The limit, as `weebill limits list` shows it.")]


@limits_app.command("set")
def set_limit(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(metavar="WHOSE", help="A key, an organisation, a project or a user, by id or name.")
    ],
    measure: Annotated[str, typer.Argument(metavar="WHAT", help="requests, tokens, spend or concurrent.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much at most; dollars for spend.")],
    per: Annotated[
        Literal["minute", "day", "month", "none"] | None,
        typer.Option(help="In UTC; minute by default, none (in all) for spend.", show_default=False),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Of requests for this model alone, `*` is any text.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Set a limit, in place of one of the same kind."""
    from weebill.cli.limits import set_limit

    set_limit(sources_of(context, config), subject, measure, amount, per, model, as_json)


@limits_app.command("list")
def list_limits(
    context: typer.Context,
    subject: Annotated[
        str | None, typer.Argument(metavar="[WHOSE]", help="By id or name; all without.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show limits: used, reserved, left, and when they are reset."""
    from weebill.cli.limits import list_limits

    list_limits(sources_of(context, config), subject, as_json)


@limits_app.command("show")
def show_limit(
    context: typer.Context, limit_id: LimitArgument, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Show one limit."""
    from weebill.cli.limits import show_limit

    show_limit(sources_of(context, config), limit_id, as_json)


@limits_app.command("machines")
def list_machines(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show which machines hold parts of limits, and when each was last heard of."""
    from weebill.cli.limit_machines import list_machines

    list_machines(sources_of(context, config), as_json)


@limits_app.command("release")
def release_machine(
    context: typer.Context,
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="As `weebill limits machines` shows it.")],
    config: ConfigOption = None,
) -> None:
    """Release what a machine holds that never comes back."""
    from weebill.cli.limit_machines import release_machine

    release_machine(sources_of(context, config), machine)


@limits_app.command("remove")
def remove_limit(context: typer.Context, limit_id: LimitArgument, config: ConfigOption = None) -> None:
    """Remove a limit."""
    from weebill.cli.limits import remove_limit

    remove_limit(sources_of(context, config), limit_id)
