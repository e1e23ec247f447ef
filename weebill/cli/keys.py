"""`weebill keys`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

import typer

from weebill.accounts.api_key import KeyRole
from weebill.cli.errors import warn
from weebill.cli.output import day, print_table
from weebill.config.load import Sources, load_database
from weebill.storage.keys import open_keys


def create(sources: Sources, name: str, role: KeyRole, quiet: bool) -> None:
    """Creates a key and prints it; with `quiet`, prints the key alone."""
    sources.home.create()
    with open_keys(sources.home, load_database(sources)) as keys:
        created = keys.create(name, role)
    if created.warning:
        warn(created.warning)
    if quiet:
        typer.echo(created.secret)
        return
    typer.echo(f"Made key {created.key.name} ({created.key.id}, role {role}). It is shown only now:\n")
    typer.echo(f"  {created.secret}\n")


def list_keys(sources: Sources, revoked: bool, quiet: bool) -> None:
    """Prints the keys; with `quiet`, their ids."""
    sources.home.create()
    with open_keys(sources.home, load_database(sources)) as keys:
        shown = [key for key in keys.all() if revoked or key.revoked_at is None]
    if quiet:
        for key in shown:
            typer.echo(key.id)
    elif shown:
        rows = ((key.id, key.name, key.role, key.hint, day(key.created_at), day(key.revoked_at)) for key in shown)
        print_table(("ID", "NAME", "ROLE", "KEY", "CREATED", "REVOKED"), rows)
    else:
        typer.echo("There are no keys; `weebill keys create NAME` makes one")


def revoke(sources: Sources, id_or_name: str) -> None:
    """Revokes a key."""
    sources.home.create()
    with open_keys(sources.home, load_database(sources)) as keys:
        key = keys.revoke(id_or_name)
    typer.echo(f"Revoked {key.name} ({key.id})")
