"""`weebill limits`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, get_args

import typer

from weebill.cli.errors import USAGE, CommandError
from weebill.cli.named import subject_of
from weebill.cli.output import NOTHING, day, print_json, print_table
from weebill.config.load import Sources, load_database
from weebill.limits.limit import BadLimitError, Limit, Measure, Window, amount_of, nano_of
from weebill.limits.setting import MOST_LISTED, Limits, LimitShown, LimitState, shown
from weebill.storage.database import Database
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger

_OPTIONS: Final = {"window": "--per", "model": "--model"}
_MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)


def set_limit(
    sources: Sources, subject: str, measure: str, amount: str, per: Window | None, model: str, as_json: bool
) -> None:
    """Sets a limit; `amount` is dollars for spend, else a whole number."""
    of = next((each for each in _MEASURES if each == measure), None)
    if of is None:
        raise CommandError(f"{measure!r} cannot be limited", f"give one of {', '.join(_MEASURES)}", USAGE)
    with _limits(sources) as (ledger, limits):
        whose = subject_of(ledger, limits, subject)
        limit = limits.set(whose, of, per, nano_of(amount) if of == "spend" else _whole(amount), model)
        state = limits.show(limit.id)
    if as_json:
        print_json(shown(state, LimitShown))
    else:
        typer.echo(f"Limit {limit.id}: {_said(limit)} of {limit.level} {limit.subject}")


def list_limits(sources: Sources, subject: str | None, as_json: bool) -> None:
    """Prints the limits in force, and how they stand."""
    found: list[LimitState] = []
    with _limits(sources) as (ledger, limits):
        whose = None if subject is None else subject_of(ledger, limits, subject)
        while page := limits.list(whose, found[-1].limit.id if found else 0):
            found += page
            if len(page) < MOST_LISTED:
                break
    if as_json:
        print_json([shown(each, LimitShown) for each in found])
    elif found:
        headings = ("ID", "OF", "MODEL", "LIMIT", "USED", "RESERVED", "LEFT", "RESETS")
        print_table(headings, [_row(each) for each in found])
    else:
        typer.echo("There are no limits; `weebill limits set KEY requests 60` makes one")


def show_limit(sources: Sources, limit_id: int, as_json: bool) -> None:
    """Prints a limit, and how it stands."""
    with _limits(sources) as (_, limits):
        state = limits.show(limit_id)
    if as_json:
        print_json(shown(state, LimitShown))
        return
    limit = state.limit
    lines = {
        "id": str(limit.id),
        "of": f"{limit.level} {limit.subject}",
        "models": limit.model or "all",
        "limit": _said(limit),
        "used": amount_of(limit.measure, state.used),
        "reserved": amount_of(limit.measure, state.reserved),
        "left": amount_of(limit.measure, state.left),
        "resets": "never" if state.resets_at is None else day(state.resets_at),
        "set": day(limit.changed_at),
    }
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        typer.echo(f"{name:{width}}{value}")


def remove_limit(sources: Sources, limit_id: int) -> None:
    """Removes a limit."""
    with _limits(sources) as (_, limits):
        limit = limits.remove(limit_id)
    typer.echo(f"Removed limit {limit.id}: {_said(limit)} of {limit.level} {limit.subject}")


@contextmanager
def _limits(sources: Sources) -> Iterator[tuple[Database, Limits]]:
    """Opens the ledger and its limits. Raises CommandError for a bad option."""
    sources.home.create()
    try:
        with open_ledger(sources.home, load_database(sources)) as ledger:
            ledger.change(lambda _: None)  # it may be new, or of an earlier release
            yield ledger, Limits(StoredLimits(ledger))
    except BadLimitError as error:
        raise CommandError(f"{_OPTIONS.get(error.param, error.param)}: {error}", exit_code=USAGE) from error


def _whole(text: str) -> int:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise BadLimitError(f"{text!r} is no whole number.", "amount") from None


def _said(limit: Limit) -> str:
    per = "" if limit.window == "none" else f" per {limit.window}"
    of = f" for {limit.model}" if limit.model else ""
    return f"{amount_of(limit.measure, limit.amount)}{per}{of}"


def _row(state: LimitState) -> tuple[str, ...]:
    limit = state.limit
    amounts = (amount_of(limit.measure, each) for each in (state.used, state.reserved, state.left))
    per = "" if limit.window == "none" else f" per {limit.window}"
    most = f"{amount_of(limit.measure, limit.amount)}{per}"
    return str(limit.id), limit.subject, limit.model or NOTHING, most, *amounts, day(state.resets_at)
