"""`weebill keys`: the commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, QuietOption, sources_of
from weebill.cli.equivalents import Guide

keys_app = typer.Typer(cls=Guide, help="Make, show, limit, rotate and revoke API keys.", rich_markup_mode=None)

KeyArgument = Annotated[str, typer.Argument(metavar="ID|NAME", help="The key.")]
ExpiresOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When it ends: 30d, 12h, or a day such as 2027-01-31.", show_default=False),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", help="For this model alone, `*` is any text; repeatable.", show_default=False
    ),
]
EndpointOption = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint",
        metavar="NAME",
        help="For this endpoint alone, such as embeddings; repeatable.",
        show_default=False,
    ),
]
NetworkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--network", metavar="CIDR", help="From there alone, such as 10.0.0.0/8; repeatable.", show_default=False
    ),
]
PreferOption = Annotated[
    str | None,
    typer.Option(metavar="JSON", help="Routing, as `provider` of a request that says nothing.", show_default=False),
]


@keys_app.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who or what it is for.")],
    admin: Annotated[bool, typer.Option("--admin", help="May also manage this installation.")] = False,
    expires: ExpiresOption = None,
    models: ModelOption = None,
    endpoints: EndpointOption = None,
    networks: NetworkOption = None,
    local_only: Annotated[bool, typer.Option("--local-only", help="Requests stay on this machine.")] = False,
    prefer: PreferOption = None,
    project: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Of this project, by id or name.", show_default=False)
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Held by a user, by id or e-mail address.", show_default=False)
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--service-account", metavar="ACCOUNT", help="Held by it, by id or name.", show_default=False),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make an API key. It is shown once."""
    from weebill.cli.keys import Given, GivenOwner, create

    given = Given(expires, models, endpoints, networks, local_only or None, prefer)
    owner = GivenOwner(project, user, account)
    create(sources_of(context, config), name, "admin" if admin else "user", given, owner, quiet, as_json)


@keys_app.command("list")
def list_keys(
    context: typer.Context,
    revoked: Annotated[bool, typer.Option("--all", "-a", help="Revoked ones too.")] = False,
    project: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Of this project alone.", show_default=False)
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List API keys, without their secrets."""
    from weebill.cli.keys import list_keys

    list_keys(sources_of(context, config), revoked, project, quiet, as_json)


@keys_app.command("show")
def show_key(
    context: typer.Context, key: KeyArgument, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Show what an API key is limited to, and its use so far."""
    from weebill.cli.keys import show

    show(sources_of(context, config), key, as_json)


@keys_app.command("set")
def set_key(
    context: typer.Context,
    key: KeyArgument,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it ends: 30d, 2027-01-31, or `never`.", show_default=False),
    ] = None,
    models: ModelOption = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="For all models again.")] = False,
    endpoints: EndpointOption = None,
    all_endpoints: Annotated[bool, typer.Option("--all-endpoints", help="For all endpoints again.")] = False,
    networks: NetworkOption = None,
    all_networks: Annotated[bool, typer.Option("--all-networks", help="From everywhere again.")] = False,
    local_only: Annotated[
        bool | None,
        typer.Option("--local-only/--not-local-only", help="Requests stay on this machine.", show_default=False),
    ] = None,
    prefer: PreferOption = None,
    config: ConfigOption = None,
) -> None:
    """Change what an API key is limited to, within a second.

    What is not given stays; what is given takes the place of what was.
    """
    from weebill.cli.keys import Given, change

    given = Given(
        expires,
        [] if all_models else models,
        [] if all_endpoints else endpoints,
        [] if all_networks else networks,
        local_only,
        prefer,
    )
    change(sources_of(context, config), key, given)


@keys_app.command("rotate")
def rotate_key(
    context: typer.Context,
    key: KeyArgument,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="For how long the old secret is valid yet.")] = "24h",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give an API key another secret. It is shown once."""
    from weebill.cli.keys import rotate

    rotate(sources_of(context, config), key, overlap, quiet, as_json)


@keys_app.command("revoke")
def revoke_key(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID|NAME", help="The key to revoke.")],
    config: ConfigOption = None,
) -> None:
    """Revoke an API key, within a second."""
    from weebill.cli.keys import revoke

    revoke(sources_of(context, config), key)
