"""`weebill secrets`: looks after the master key that secrets in the ledger are sealed with."""

from __future__ import annotations

import typer

from weebill.cli.db import lost_in
from weebill.cli.errors import warn
from weebill.config.load import Sources, load_database
from weebill.storage.opening import open_ledger
from weebill.storage.sealing_rotation import prepare, rotate


def rotate_key(sources: Sources, abandon: bool, only_prepare: bool, quiet: bool) -> None:
    """Seals everything with a new master key, or makes that alone."""
    home = sources.home
    home.create()
    if only_prepare:
        key_id = prepare(home)
        typer.echo(key_id.hex() if quiet else f"Put the new key {key_id.hex()} into {home.master_key}")
        if not quiet:
            typer.echo("Copy that file to each machine with this ledger, then run `weebill secrets rotate` on one")
        return
    settings = load_database(sources)
    with open_ledger(home, settings) as ledger:
        done = rotate(ledger, home, abandon=abandon)
    if quiet:
        typer.echo(done.key_id.hex())
        return
    begun = "Ended the rotation that was begun before" if done.resumed else "Rotated the master key"
    typer.echo(f"{begun}: {done.sealed:,} secrets are sealed anew, with {done.key_id.hex()}")
    for lost in lost_in(home, settings):
        warn(lost)
