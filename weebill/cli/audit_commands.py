"""`weebill audit`: the commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, QuietOption, sources_of
from weebill.cli.equivalents import Guide

audit_app = typer.Typer(cls=Guide, help="Show and check the log of administrative acts.", rich_markup_mode=None)


@audit_app.command("list")
def list_acts(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most to show.")] = 50,
    before: Annotated[
        int | None, typer.Option(metavar="ROW", min=1, help="Those before this row.", show_default=False)
    ] = None,
    org: Annotated[
        str | None, typer.Option("--org", metavar="ORG", help="Of this organisation alone.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show who did what, the latest first."""
    from weebill.cli.audit import list_acts

    list_acts(sources_of(context, config), limit, before, org, as_json)


@audit_app.command("verify")
def verify_log(
    context: typer.Context,
    noted: Annotated[
        list[str] | None,
        typer.Option(
            "--noted", metavar="ROW:HASH", help="As an earlier `verify` printed; repeatable.", show_default=False
        ),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Check that no row was changed, moved or removed; prints what to note elsewhere."""
    from weebill.cli.audit import verify

    verify(sources_of(context, config), noted or [], quiet, as_json)
