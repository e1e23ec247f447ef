"""`weebill usage`: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, sources_of
from weebill.cli.equivalents import Guide

usage_app = typer.Typer(cls=Guide, help="Report and export what was used, and by whom.", rich_markup_mode=None)

ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="organization, project, key, user, model, provider, endpoint, end_user, tag:NAME; repeatable.",
        show_default=False,
    ),
]
SinceOption = Annotated[
    str, typer.Option("--since", metavar="TIME", help="7d, 24h, or a day such as 2026-11-01.", show_default=False)
]
UntilOption = Annotated[
    str, typer.Option("--until", metavar="TIME", help="Up to then; now by default.", show_default=False)
]
BucketOption = Annotated[
    str,
    typer.Option("--bucket", metavar="NAME", help="hour, day, week, month, or all of it at once.", show_default=False),
]
ZoneOption = Annotated[
    str, typer.Option("--timezone", metavar="NAME", help="Whose days they are, such as Europe/Berlin; UTC by default.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="NAME=VALUE", help="Of this alone, such as model=mini; repeatable.", show_default=False
    ),
]
CsvOption = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write CSV; - is standard output.", show_default=False)
]
ParquetOption = Annotated[
    Path | None, typer.Option("--parquet", metavar="FILE", help="Write Parquet.", show_default=False)
]


@usage_app.callback(invoke_without_command=True)
def usage(
    context: typer.Context,
    by: ByOption = None,
    since: SinceOption = "",
    until: UntilOption = "",
    bucket: BucketOption = "",
    timezone: ZoneOption = "",
    only: OnlyOption = None,
    csv: CsvOption = None,
    parquet: ParquetOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Without a command, report the last seven days: by model, or by day where nothing is said."""
    if context.invoked_subcommand is not None:
        return
    report_usage(context, by, since, until, bucket, timezone, only, csv, parquet, as_json, config)


@usage_app.command("report")
def report_usage(
    context: typer.Context,
    by: ByOption = None,
    since: SinceOption = "",
    until: UntilOption = "",
    bucket: BucketOption = "",
    timezone: ZoneOption = "",
    only: OnlyOption = None,
    csv: CsvOption = None,
    parquet: ParquetOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Sum requests, tokens and costs up, by time and by what is asked."""
    from weebill.cli.usage import Files, Given, show

    # Whoever names groups wants to compare these; whoever does not, days.
    given = Given(since, until, bucket or ("all" if by else "day"), timezone, by or (), only or ())
    show(sources_of(context, config), given, Files(csv, parquet), as_json)


@usage_app.command("export")
def export_requests(
    context: typer.Context,
    since: SinceOption = "",
    until: UntilOption = "",
    only: OnlyOption = None,
    csv: CsvOption = None,
    parquet: ParquetOption = None,
    config: ConfigOption = None,
) -> None:
    """Write every single request, a row each, to a file; of the last seven days if nothing is said."""
    from weebill.cli.usage import Files, Given, export

    export(sources_of(context, config), Given(since, until, "all", "", (), only or ()), Files(csv, parquet))
