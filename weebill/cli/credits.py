"""`weebill credits`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

import getpass
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

import typer
from sqlalchemy import Connection

from weebill.accounts.audit import command_line
from weebill.accounts.pepper import read_pepper
from weebill.billing.credits import Origin
from weebill.billing.errors import BadCreditError, UnknownTransactionError
from weebill.billing.money import dollars, read_dollars
from weebill.billing.statements import MOST_LISTED, as_csv, as_page, check_span, receipt
from weebill.billing.transactions import Transaction
from weebill.billing.webhooks import Alert, check_alert, secret_of
from weebill.cli.errors import USAGE, CommandError, warn
from weebill.cli.named import organisation_of
from weebill.cli.output import NOTHING, day, print_document, print_json, print_table
from weebill.cli.targets import target
from weebill.cli.times import moment
from weebill.config.load import Sources, load, load_database
from weebill.storage.credit_alerts import alert_of, set_alert
from weebill.storage.credit_checks import verify
from weebill.storage.credit_stops import set_stop
from weebill.storage.credit_views import balance, statement
from weebill.storage.credits import CreditRows, credits_in
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger

Form = Literal["table", "csv", "html", "json"]

_OPTIONS = {
    "amount": "DOLLARS",
    "expires_at": "--expires",
    "note": "--note",
    "below": "--below",
    "url": "--url",
    "mail": "--mail",
    "project": "--project",
    "model": "--model",
    "valid_from": "--from",
    "since": "--from",
    "organisation": "--org",
    "parts_per_million": "PERCENT",
}


def show(sources: Sources, org: str, as_json: bool) -> None:
    """Prints an organisation's balance."""
    with opened_for(sources, org) as (ledger, of):
        here = ledger.read(lambda connection: balance(connection, of))
    if as_json:
        parts = [part._asdict() for part in here.parts]
        print_json(here._asdict() | {"parts": parts})
        return
    lines = {
        "organisation": here.organisation,
        "balance": _money(here.balance_nano),
        "available": _money(here.available_nano),
        "billed": f"{_money(here.billed_nano)} for usage that has cost {_money(here.cost_nano)}",
    }
    lines["stop"] = "hard: refused once nothing is available" if here.hard_stop else "soft: served, and owes"
    if here.unpriced:
        lines["not billed"] = f"{here.unpriced} requests of unknown price"
    for part in here.parts:
        lines[f"until {day(part.expires_at)}" if part.expires_at is not None else "without end"] = _money(
            part.left_nano
        )
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        typer.echo(f"{name:{width}}{value}")


def grant(
    sources: Sources, org: str, amount: str, expires: str | None, note: str, reference: str, as_json: bool
) -> None:
    """Gives credits."""
    until = None if expires is None else moment(expires, time.time(), "--expires")
    nano = read_amount(amount)
    with opened_for(sources, org) as (ledger, of):
        made = credits_in(ledger, command_line()).grant(of, nano, _origin("grant", of, note, reference), until)
    _told(made, as_json)


def adjust(sources: Sources, org: str, amount: str, note: str, reference: str, as_json: bool) -> None:
    """Corrects a balance."""
    nano = read_amount(amount)
    with opened_for(sources, org) as (ledger, of):
        made = credits_in(ledger, command_line()).adjust(of, nano, _origin("adjustment", of, note, reference))
    _told(made, as_json)


def stop(sources: Sources, org: str, how: str) -> None:
    """Sets if an organisation is refused once its credits are used up."""

    def change(connection: Connection) -> None:
        CreditRows(connection).lock(of)
        set_stop(connection, of, hard=how == "hard")

    with opened_for(sources, org) as (ledger, of):
        ledger.change(change)
    refused = "is refused once its credits are used up" if how == "hard" else "is served beyond its credits, and owes"
    typer.echo(f"{of} {refused}")


def print_statement(sources: Sources, org: str, since: str, until: str, form: Form, file: Path | None) -> None:
    """Prints the transactions of a time."""
    now = time.time()
    begin = moment(since, now, "--from") if since else 0
    end = moment(until, now, "--until") if until else int(now) + 1
    with opened_for(sources, org) as (ledger, of):
        check_span(begin, end)
        found = ledger.read(lambda connection: statement(connection, of, begin, end))
    if len(found.transactions) == MOST_LISTED:
        warn(f"only the first {MOST_LISTED} transactions are listed; narrow it down by --from and --until")
    if form in ("table", "json"):
        _print(found.transactions, form == "json")
        return
    _write(sources, as_csv(found.transactions) if form == "csv" else as_page(found), file)


def print_receipt(sources: Sources, org: str, transaction: str, form: Form, file: Path | None) -> None:
    """Prints one transaction."""
    with opened_for(sources, org) as (ledger, of):
        found = ledger.read(lambda connection: CreditRows(connection).find(of, transaction))
    if found is None:
        raise UnknownTransactionError(
            f"{org} has no transaction {transaction!r}; `weebill credits statement` lists them."
        )
    if form in ("table", "json"):
        _print([found], form == "json")
        return
    _write(sources, as_csv([found]) if form == "csv" else receipt(found), file)


def check(sources: Sources, as_json: bool) -> None:
    """Checks all rows; fails if anything does not add up."""
    with opened(sources) as ledger:
        found = ledger.read(verify)
    if found.problems:
        raise CommandError(
            f"the ledger of credits does not add up: {'; '.join(found.problems)}",
            "rows were changed past Weebill, or lost: compare it with a backup (`weebill db restore`)",
        )
    if as_json:
        print_json({"transactions": found.transactions})
    else:
        typer.echo(f"Transactions that add up: {found.transactions}")


class Told(NamedTuple):
    """The webhook and the address that are told of a low balance: None for that of now, `none` for none."""

    url: str | None
    mail: str | None


def alert(sources: Sources, org: str, below: str | None, told: Told, new_secret: bool, as_json: bool) -> None:
    """Sets when and whom to tell of a low balance, and prints that with the secret of its signatures."""
    low = None if below in (None, "never") else read_amount(str(below), "--below")
    with opened_for(sources, org) as (ledger, of):
        here = ledger.read(lambda connection: alert_of(connection, of))
        credits_in(ledger, command_line()).settle(of)  # one that had no credits has a balance from now on
        here = here or Alert(None, "", 0)
        number = here.secrets + (new_secret or not here.secrets)
        keys_in(ledger, sources.home)  # the pepper is made at first use
        url, mail = _given(told.url, here.url), _given(told.mail, here.mail)
        wanted = Alert(here.low_nano if below is None else low, url, number, mail)
        if wanted != here:
            settings = load(sources).settings
            check_alert(wanted.low_nano, wanted.url, wanted.mail, private=settings.credits.private_webhooks)
            if wanted.mail and not settings.mail.host:
                raise CommandError("--mail: no mail is sent here", "set `host` in [mail]", USAGE)
            ledger.change(lambda connection: set_alert(connection, of, wanted, int(time.time()), command_line()))
    secret = secret_of(read_pepper(sources.home.pepper), of, wanted.secrets) if wanted.url else None
    if as_json:
        told_at = {"mail": wanted.mail or None, "url": wanted.url or None}
        print_json({"below_nano": wanted.low_nano, **told_at, "secret": secret})
        return
    typer.echo(f"below    {NOTHING if wanted.low_nano is None else _money(wanted.low_nano)}")
    typer.echo(f"mail     {wanted.mail or NOTHING}")
    typer.echo(f"webhook  {wanted.url or NOTHING}")
    if secret is not None:
        typer.echo(f"secret   {secret}")


def _given(option: str | None, here: str) -> str:
    return here if option is None else "" if option == "none" else option


@contextmanager
def opened(sources: Sources) -> Iterator[Database]:
    """Opens the ledger. Raises CommandError for a bad option."""
    sources.home.create()
    try:
        with open_ledger(sources.home, load_database(sources)) as ledger:
            ledger.change(lambda _: None)
            yield ledger
    except BadCreditError as error:
        option = _OPTIONS.get(error.param)
        if option is None:
            raise
        raise CommandError(f"{option}: {error}", exit_code=USAGE) from error


@contextmanager
def opened_for(sources: Sources, org: str) -> Iterator[tuple[Database, str]]:
    """Opens the ledger, and finds an organisation by id or name; yields both, the organisation by its id.

    Raises CommandError for a bad option, UnknownTenantError, TenantConflictError.
    """
    with opened(sources) as ledger:
        yield ledger, organisation_of(ledger, org)


def read_amount(text: str, option: str = "DOLLARS") -> int:
    """Returns the nano-dollars of an amount. Raises CommandError."""
    try:
        return read_dollars(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}", "write it as 25, 0.50 or -3", USAGE) from None


def actor() -> str:
    """Returns who uses the command line, for the ledger."""
    with suppress(KeyError, OSError):
        return f"cli:{getpass.getuser()}"
    return "cli"


def _origin(kind: str, org: str, note: str, reference: str) -> Origin:
    return Origin(f"{kind}:{org}:{reference or secrets.token_hex(8)}", actor(), note)


def _told(made: Transaction, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    typer.echo(
        f"{made.id}: {_signed(made.amount_nano)}; the balance of {made.organisation} is {_money(made.balance_nano)}"
    )


def _money(nano: int) -> str:
    """Formats an amount: `$12.50`, `-$0.10`."""
    return f"{'-' if nano < 0 else ''}${dollars(abs(nano))}"


def _signed(nano: int) -> str:
    """Formats a change: `+$12.50`, `-$0.10`."""
    return f"{'' if nano < 0 else '+'}{_money(nano)}"


def _print(found: Sequence[Transaction], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = (
        (day(each.at), each.id, each.kind, _signed(each.amount_nano), _money(each.balance_nano),
         day(each.expires_at), each.note or NOTHING)
        for each in found
    )  # fmt: skip
    print_table(("TIME", "TRANSACTION", "KIND", "AMOUNT", "BALANCE", "EXPIRES", "NOTE"), rows)


def _write(sources: Sources, text: str, file: Path | None) -> None:
    if file is None:
        print_document(text)
        return
    with target(sources.home, file, sources.file).open("w", encoding="utf-8", newline="") as written:
        written.write(text)
