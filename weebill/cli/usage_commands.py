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
        "--only",
        metavar="NAME=VALUE",
        help="Of this alone, such as model=mini or project=web; repeatable.",
        show_default=False,
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


ProjectOption = Annotated[
    str, typer.Option("--project", metavar="PROJECT", help="Of this project, by id or name.", show_default=False)
]


@usage_app.command("retention")
def retention(
    context: typer.Context,
    project: ProjectOption = "",
    days: Annotated[int | None, typer.Option(metavar="DAYS", help="Keep requests as long.", show_default=False)] = None,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Keep no requests, only sums.")] = False,
    forever: Annotated[bool, typer.Option("--forever", help="Keep them for good, as at the start.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show or set for how long single requests are kept; sums stay.

    Without a project, a time is for all that have none of their own. Weebill deletes what is due once a minute.
    """
    from weebill.cli.usage_keeping import set_retention, show_retention

    sources = sources_of(context, config)
    if project or days is not None or counts_only or forever:
        set_retention(sources, project, days, counts_only, forever)
    else:
        show_retention(sources, as_json)


OrgOption = Annotated[
    str, typer.Option("--org", metavar="ORG", help="Of this organisation, by id or name.", show_default=False)
]
EndUserOption = Annotated[
    str, typer.Option("--end-user", metavar="NAME", help="Whom clients made requests for.", show_default=False)
]


@usage_app.command("erase")
def erase_usage(
    context: typer.Context,
    org: OrgOption = "",
    project: ProjectOption = "",
    end_user: EndUserOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Delete all requests of an organisation, a project or an end user, their ratings, and stored answers.

    Sums of keys and models stay: they name nobody. `weebill usage export-tenant` writes all of it first. With
    --end-user, --org or --project says whose, where several have one of that name.
    """
    from weebill.cli.usage_keeping import erase, tenant_of

    erase(sources_of(context, config), tenant_of(org, project, end_user), yes)


@usage_app.command("export-tenant")
def export_tenant(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A new ZIP file.")],
    org: OrgOption = "",
    project: ProjectOption = "",
    end_user: EndUserOption = "",
    config: ConfigOption = None,
) -> None:
    """Write all that is kept of an organisation, a project or an end user to a ZIP file of JSON Lines.

    With --end-user, --org or --project says whose, where several have one of that name.
    """
    from weebill.cli.usage_keeping import export_tenant, tenant_of

    export_tenant(sources_of(context, config), tenant_of(org, project, end_user), output)
