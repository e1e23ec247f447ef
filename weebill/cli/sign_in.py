"""`weebill users link`, `sessions` and `sign-out`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

import typer
from msgspec import structs

from weebill.accounts.audit import command_line
from weebill.accounts.errors import BadFieldError
from weebill.accounts.people import OWNER_EMAIL, People
from weebill.accounts.sign_in import SignIns
from weebill.accounts.tenants import User
from weebill.accounts.tenants_named import email_of
from weebill.cli.errors import USAGE, CommandError
from weebill.cli.output import NOTHING, day, print_json, print_table
from weebill.config.ledger_errors import LedgerError
from weebill.config.load import Sources, load, load_database
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.storage.sign_in import open_sign_ins
from weebill.supervisor.commands import NotRunningError, Status, StatusRequest, ask


def link(sources: Sources, email: str | None, quiet: bool, as_json: bool) -> None:
    """Prints a link that signs a user in, once; without an address the installation's owner."""
    settings = load(sources).settings
    sources.home.create()
    with open_sign_ins(sources.home, settings.database) as sign_ins:
        try:
            issued = People(sign_ins).link(email, command_line())
        except BadFieldError as error:
            raise CommandError(str(error), exit_code=USAGE) from error
    address = f"{origin_of(sources.home, settings)}/?token={issued.token}"
    if quiet:
        typer.echo(address)
        return
    if as_json:
        print_json({"email": issued.ticket.email, "ends_at": issued.ticket.ends_at, "link": address})
        return
    who = "the owner" if issued.ticket.email == OWNER_EMAIL else issued.ticket.email
    typer.echo(f"Signs {who} in, once, within half an hour:\n")
    typer.echo(f"  {address}\n")


def sessions(sources: Sources, email: str, as_json: bool) -> None:
    """Prints a user's sessions."""
    settings = load(sources).settings
    with open_sign_ins(sources.home, settings.database) as sign_ins:
        found = sign_ins.sessions(_user(sign_ins, email).id, settings.accounts.session_idle_s)
    if as_json:
        print_json([structs.asdict(each) for each in found])
        return
    if not found:
        typer.echo(f"{email} has no session")
        return
    rows = (
        (each.id, each.means, day(each.created_at), day(each.seen_at), each.address or NOTHING, each.agent or NOTHING)
        for each in found
    )
    print_table(("ID", "SIGNED IN BY", "SINCE", "LAST SEEN", "FROM", "WITH"), rows)


def sign_out(sources: Sources, email: str, session: str | None) -> None:
    """Ends a user's sessions, or one of them."""
    with open_sign_ins(sources.home, load_database(sources)) as sign_ins:
        ended = sign_ins.end(_user(sign_ins, email).id, lambda each: session in (None, each.id), command_line())
    if not ended and session is not None:
        raise CommandError(f"{email} has no session {session!r}", "`weebill users sessions` lists them")
    typer.echo(f"Ended {ended} {'session' if ended == 1 else 'sessions'} of {email}")


def _user(sign_ins: SignIns, email: str) -> User:
    try:
        address = email_of(email)
    except BadFieldError as error:
        raise CommandError(str(error), exit_code=USAGE) from error
    user = sign_ins.book.read(lambda table: table.user_of(address))
    if user is None:
        raise LedgerError(f"There is no user {address}.")
    return user


def origin_of(home: Home, settings: Settings) -> str:
    """Returns the address that a browser opens."""
    try:
        running = ask(home, StatusRequest(), Status).origin
    except NotRunningError:
        server = settings.server
        running = f"{'https' if server.tls_cert else 'http'}://{server.host}:{server.port}"
    return settings.accounts.origin or running
