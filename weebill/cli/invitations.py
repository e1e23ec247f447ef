"""`weebill users invite`, `invitations` and `withdraw`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import typer
from msgspec import structs

from weebill.accounts.audit import command_line
from weebill.accounts.errors import BadFieldError
from weebill.accounts.people import People
from weebill.accounts.pepper import read_pepper
from weebill.accounts.tenants import Organisation
from weebill.cli.errors import USAGE, CommandError
from weebill.cli.output import day, print_json, print_table
from weebill.cli.sign_in import origin_of
from weebill.config.load import Sources, load
from weebill.config.schema import Settings
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger
from weebill.storage.sign_in import sign_ins_in
from weebill.storage.tenants import tenants_in


class _Opened(NamedTuple):
    """The people of an installation, and the organisation that is meant."""

    settings: Settings
    people: People
    organisation: Organisation


def invite(sources: Sources, email: str, org: str, role: str, quiet: bool, as_json: bool) -> None:
    """Prints the link of an invitation."""
    with _opened(sources, org) as opened:
        if opened.settings.accounts.sign_up == "closed":
            hint = 'set `accounts.sign_up` to "invitation", or make the user with `weebill users create`'
            raise CommandError("invitations are off", hint)
        issued = opened.people.invite(opened.organisation.id, email, role, command_line())
        address = f"{origin_of(sources.home, opened.settings)}/join?token={issued.token}"
    if quiet:
        typer.echo(address)
        return
    if as_json:
        ticket = issued.ticket
        print_json(
            {"id": issued.id, "email": ticket.email, "role": ticket.role, "ends_at": ticket.ends_at, "link": address}
        )
        return
    typer.echo(f"Lets {issued.ticket.email} join {opened.organisation.name} as {role}, once, within seven days:\n")
    typer.echo(f"  {address}\n")


def list_invitations(sources: Sources, org: str, quiet: bool, as_json: bool) -> None:
    """Prints the open invitations to an organisation; with `quiet`, their ids."""
    with _opened(sources, org) as opened:
        found = opened.people.invitations(opened.organisation.id)
    if quiet:
        for each in found:
            typer.echo(each.id)
    elif as_json:
        print_json([structs.asdict(each) for each in found])
    elif found:
        rows = ((each.id, each.email, each.role, day(each.created_at), day(each.ends_at)) for each in found)
        print_table(("ID", "E-MAIL", "ROLE", "INVITED", "ENDS"), rows)
    else:
        typer.echo("There are none; `weebill users invite EMAIL` makes one")


def withdraw(sources: Sources, invitation: str, org: str) -> None:
    """Ends an invitation."""
    with _opened(sources, org) as opened:
        gone = opened.people.withdraw(opened.organisation.id, invitation, command_line())
    typer.echo(f"Withdrew the invitation of {gone.email} ({gone.id})")


@contextmanager
def _opened(sources: Sources, org: str) -> Iterator[_Opened]:
    settings = load(sources).settings
    sources.home.create()
    try:
        with open_ledger(sources.home, settings.database) as ledger:
            keys_in(ledger, sources.home)  # makes the pepper, or finds that it is another ledger's
            people = People(sign_ins_in(ledger, sources.home, read_pepper(sources.home.pepper)))
            yield _Opened(settings, people, tenants_in(ledger, command_line()).find(Organisation, org))
    except BadFieldError as error:
        raise CommandError(str(error), exit_code=USAGE) from error
