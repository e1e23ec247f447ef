"""`weebill providers key` and `weebill secrets`: the commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, QuietOption, sources_of
from weebill.cli.equivalents import Guide

provider_keys_app = typer.Typer(
    cls=Guide, help="Give keys of providers to Weebill, to be kept sealed.", rich_markup_mode=None
)
secrets_app = typer.Typer(cls=Guide, help="Look after the key that secrets are sealed with.", rich_markup_mode=None)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The key, such as pkey_...")]


@provider_keys_app.command("add")
def add_provider_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A provider's name, such as openai.")],
    project: Annotated[
        str | None, typer.Option(metavar="ID", help="For this project alone, and paid by it.", show_default=False)
    ] = None,
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Go on with the installation's keys where this one fails.")
    ] = False,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Call the provider with it first.")] = True,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Keep a provider's key, which is asked for or read from the standard input."""
    from weebill.cli.provider_keys import add

    add(sources_of(context, config), name, project, fallback, test, quiet, as_json)


@provider_keys_app.command("list")
def list_provider_keys(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Of this provider alone.", show_default=False)] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the keys that are kept, without their secrets."""
    from weebill.cli.provider_keys import list_keys

    list_keys(sources_of(context, config), name, as_json)


@provider_keys_app.command("test")
def try_provider_key(context: typer.Context, key: IdArgument, config: ConfigOption = None) -> None:
    """Call the provider with a key that is kept."""
    from weebill.cli.provider_keys import try_out

    try_out(sources_of(context, config), key)


@provider_keys_app.command("disable")
def disable_provider_key(context: typer.Context, key: IdArgument, config: ConfigOption = None) -> None:
    """Stop using a key, within a second."""
    from weebill.cli.provider_keys import set_disabled

    set_disabled(sources_of(context, config), key, True)


@provider_keys_app.command("enable")
def enable_provider_key(context: typer.Context, key: IdArgument, config: ConfigOption = None) -> None:
    """Use a key again."""
    from weebill.cli.provider_keys import set_disabled

    set_disabled(sources_of(context, config), key, False)


@provider_keys_app.command("remove")
def remove_provider_key(context: typer.Context, key: IdArgument, config: ConfigOption = None) -> None:
    """Forget a key, within a second and for good."""
    from weebill.cli.provider_keys import remove

    remove(sources_of(context, config), key)


@secrets_app.command("rotate")
def rotate_master_key(
    context: typer.Context,
    prepare: Annotated[bool, typer.Option("--prepare", help="Only make the new key, to be copied first.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up what is sealed with a key that is lost.")] = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Seal all secrets in the ledger with a new master key.

    Weebill may run meanwhile. If it is interrupted, run it again.
    """
    from weebill.cli.secrets import rotate_key

    rotate_key(sources_of(context, config), abandon, prepare, quiet)
