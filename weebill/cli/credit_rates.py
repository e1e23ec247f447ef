"""`weebill credits rates` and `rate`: mark-ups and discounts."""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation

import typer

from weebill.accounts.audit import command_line
from weebill.billing.rates import WHOLE, Rate
from weebill.cli.credits import actor, opened
from weebill.cli.errors import USAGE, CommandError
from weebill.cli.output import day, print_json, print_table
from weebill.cli.times import moment
from weebill.config.load import Sources
from weebill.storage.rates import add_rate, all_rates

_PARTS = WHOLE // 100  # of a percent


def list_rates(sources: Sources, as_json: bool) -> None:
    """Prints every rate."""
    with opened(sources) as ledger:
        found = ledger.read(all_rates)
    if as_json:
        shown = [rate._asdict() for rate in found]
        print_json(shown)
    elif found:
        rows = (
            (rate.project or "all", rate.model, _percent(rate.parts_per_million), day(rate.valid_from))
            for rate in found
        )
        print_table(("PROJECT", "MODEL", "RATE", "FROM"), rows)
    else:
        typer.echo("There are no rates: requests are billed at their cost; `weebill credits rate +20` makes one")


def set_rate(sources: Sources, percent: str, model: str, project: str, begins: str | None, note: str) -> None:
    """Makes a rate."""
    now = int(time.time())
    rate = Rate(project, model, _read_percent(percent), now if begins is None else moment(begins, now, "--from"))
    with opened(sources) as ledger:
        made = ledger.change(
            lambda connection: add_rate(connection, rate, now, note, actor(), command_line(), soonest=begins is None)
        )
    of = f"project {project}" if project else "all projects"
    typer.echo(f"{model} of {of}: {_percent(made.parts_per_million)} from {day(made.valid_from)} on")
    if made.valid_from > rate.valid_from:
        typer.echo(f"It begins in {made.valid_from - now} seconds: a hard stop has let requests through for less")


def _read_percent(text: str) -> int | None:
    if text == "none":
        return None
    try:
        parts = Decimal(text.removesuffix("%")) * _PARTS + WHOLE
        if parts != parts.to_integral_value():
            raise InvalidOperation
        return int(parts)
    except (InvalidOperation, ValueError, OverflowError):
        raise CommandError(f"PERCENT: {text!r} is no percentage", "write it as +20, -7.5 or 0", USAGE) from None


def _percent(parts: int | None) -> str:
    return "ended" if parts is None else f"{Decimal(parts - WHOLE) / _PARTS:+f}%"
