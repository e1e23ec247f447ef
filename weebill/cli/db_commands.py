"""`weebill db`: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, QuietOption, sources_of
from weebill.cli.equivalents import Guide

db_app = typer.Typer(cls=Guide, help="Look after the ledger: keys, usage, experiments.", rich_markup_mode=None)

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@db_app.command("info")
def show_ledger(context: typer.Context, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Say where the ledger is, and what is in it."""
    from weebill.cli.db import info

    info(sources_of(context, config), as_json)


@db_app.command("upgrade")
def upgrade_ledger(context: typer.Context, quiet: QuietOption = False, config: ConfigOption = None) -> None:
    """Bring the ledger up to date with this release.

    A start does so, too. Makes the ledger if there is none.
    """
    from weebill.cli.db import upgrade

    upgrade(sources_of(context, config), quiet)


@db_app.command("backup")
def back_up_ledger(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier backup.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Write the ledger to a file, while it is used.

    The file is a SQLite ledger, also if the ledger is in PostgreSQL.
    """
    from weebill.cli.db import backup

    backup(sources_of(context, config), file, overwrite, quiet, as_json)


@db_app.command("restore")
def restore_ledger(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `weebill db backup` has written.")],
    yes: YesOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Put a backup in the ledger's place.

    It may be of another database than the ledger. Running processes notice.
    """
    from weebill.cli.db import restore

    restore(sources_of(context, config), file, yes, quiet)


@db_app.command("rekey")
def rekey_ledger(
    context: typer.Context, yes: YesOption = False, quiet: QuietOption = False, config: ConfigOption = None
) -> None:
    """Revoke all keys, if their secret.key is lost.

    New keys are made with the secret.key of this installation.
    """
    from weebill.cli.db import rekey

    rekey(sources_of(context, config), yes, quiet)
