"""`weebill credits`: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from weebill.cli.context import ConfigOption, JsonOption, sources_of
from weebill.cli.equivalents import Guide
from weebill.cli.errors import USAGE, CommandError

credits_app = typer.Typer(cls=Guide, help="Show, give and check credits of organisations.", rich_markup_mode=None)

OrgOption = Annotated[str, typer.Option("--org", metavar="ORG", help="The organisation, by id or name.")]
AmountArgument = Annotated[str, typer.Argument(metavar="DOLLARS", help="Such as 25 or 0.50.")]
NoteOption = Annotated[str, typer.Option(metavar="TEXT", help="What it is for, on statements.")]
ReferenceOption = Annotated[
    str, typer.Option(metavar="TEXT", help="Made once for this, however often it is asked for.", show_default=False)
]
_OWN = "org_default"


@credits_app.command("show")
def show_credits(
    context: typer.Context, org: OrgOption = _OWN, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Show an organisation's balance, when parts of it end, and what it was billed."""
    from weebill.cli.credits import show

    show(sources_of(context, config), org, as_json)


@credits_app.command("grant")
def grant_credits(
    context: typer.Context,
    dollars: AmountArgument,
    org: OrgOption = _OWN,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When they end: 30d, or a day such as 2027-01-31.", show_default=False),
    ] = None,
    note: NoteOption = "",
    reference: ReferenceOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give credits that nobody has paid."""
    from weebill.cli.credits import grant

    grant(sources_of(context, config), org, dollars, expires, note, reference, as_json)


@credits_app.command("adjust", context_settings={"ignore_unknown_options": True})
def adjust_credits(
    context: typer.Context,
    dollars: Annotated[str, typer.Argument(metavar="DOLLARS", help="Such as 0.50, or -0.50 to take it away.")],
    org: OrgOption = _OWN,
    note: NoteOption = "",
    reference: ReferenceOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Correct a balance by another transaction: none is ever changed."""
    from weebill.cli.credits import adjust

    adjust(sources_of(context, config), org, dollars, note, reference, as_json)


@credits_app.command("refund")
def refund_credits(
    context: typer.Context,
    transaction: Annotated[str, typer.Argument(metavar="ID", help="The purchase, ctx_...")],
    dollars: Annotated[str | None, typer.Argument(metavar="[DOLLARS]", help="A part of it; all by default.")] = None,
    org: OrgOption = _OWN,
    force: Annotated[bool, typer.Option("--force", help="Also what is used already.")] = False,
    config: ConfigOption = None,
) -> None:
    """Pay back a purchase through Stripe."""
    from weebill.cli.credit_refunds import refund

    refund(sources_of(context, config), org, transaction, dollars, force)


@credits_app.command("stop")
def stop_at_credits(
    context: typer.Context,
    how: Annotated[Literal["hard", "soft"], typer.Argument(metavar="hard|soft")],
    org: OrgOption = _OWN,
    config: ConfigOption = None,
) -> None:
    """Refuse an organisation once its credits are used up (hard), or serve it on, so that it owes (soft)."""
    from weebill.cli.credits import stop

    stop(sources_of(context, config), org, how)


@credits_app.command("statement")
def credit_statement(
    context: typer.Context,
    org: OrgOption = _OWN,
    since: Annotated[str, typer.Option("--from", metavar="DAY", help="Its beginning, such as 2027-01-01.")] = "",
    until: Annotated[str, typer.Option(metavar="DAY", help="Up to the beginning of it; now by default.")] = "",
    form: Annotated[Literal["table", "csv", "html"], typer.Option("--format", help="How it is written.")] = "table",
    file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")] = None,
    receipt: Annotated[str, typer.Option(metavar="ID", help="The receipt of one transaction instead.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Print the transactions of a time, or write them for a spreadsheet or a printer."""
    from weebill.cli.credits import print_receipt, print_statement

    if as_json and (form != "table" or file is not None):
        raise CommandError("--json is printed, and a format of its own", "leave --format and --output out", USAGE)
    if receipt:
        print_receipt(sources_of(context, config), org, receipt, "json" if as_json else form, file)
        return
    print_statement(sources_of(context, config), org, since, until, "json" if as_json else form, file)


@credits_app.command("verify")
def verify_credits(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Check that every transaction sums to zero, and every balance is the sum of its transactions."""
    from weebill.cli.credits import check

    check(sources_of(context, config), as_json)


@credits_app.command("alert")
def alert_on_credits(
    context: typer.Context,
    below: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="The balance; `never` for no message.", show_default=False)
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The webhook; `none` for none.", show_default=False)
    ] = None,
    mail: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Who gets a mail; `none` for nobody.", show_default=False)
    ] = None,
    new_secret: Annotated[bool, typer.Option("--new-secret", help="Sign with another secret from now on.")] = False,
    org: OrgOption = _OWN,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Have a webhook or somebody by mail told of a low balance, each time that it falls; without options, show it."""
    from weebill.cli.credits import Told, alert

    alert(sources_of(context, config), org, below, Told(url, mail), new_secret, as_json)


@credits_app.command("rates")
def credit_rates(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List mark-ups and discounts, past and future ones included."""
    from weebill.cli.credit_rates import list_rates

    list_rates(sources_of(context, config), as_json)


@credits_app.command("rate", context_settings={"ignore_unknown_options": True})
def set_credit_rate(
    context: typer.Context,
    percent: Annotated[str, typer.Argument(metavar="PERCENT", help="+20, -10, 0, or `none` to end a rate.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="Of the models that served, `*` is any text.")] = "*",
    project: Annotated[str, typer.Option(metavar="ID", help="Of a project; of all by default.")] = "",
    begins: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="1d, or a day such as 2027-01-31; now by default."),
    ] = None,
    note: NoteOption = "",
    config: ConfigOption = None,
) -> None:
    """Bill requests more or less than they cost, from a time on; what was before stays as it is."""
    from weebill.cli.credit_rates import set_rate

    set_rate(sources_of(context, config), percent, model, project, begins, note)
