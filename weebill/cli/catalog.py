"""The commands about the catalogue and their options: `weebill models`, `weebill providers`, `weebill catalog`.

What they do is imported when they run, so that help is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from weebill.cli.context import ConfigOption, JsonOption, home_of, sources_of
from weebill.cli.equivalents import Guide, point_elsewhere

if TYPE_CHECKING:
    from typer._click.core import Context


class ListByDefault(Guide):
    """A group whose command `list` needs not be named."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            if args:
                point_elsewhere(self.name or "", args)
            args = ["list", *args]
        return super().parse_args(ctx, args)


models_app = typer.Typer(
    cls=ListByDefault,
    help="List models, here and at providers; `weebill models list --help` shows how to choose.",
    rich_markup_mode=None,
)
providers_app = typer.Typer(
    cls=ListByDefault, help="List providers and which can be used; test one.", rich_markup_mode=None
)
catalog_app = typer.Typer(cls=Guide, help="Bring the catalogue's prices up to date.", rich_markup_mode=None)


adapters_app = typer.Typer(
    cls=ListByDefault, help="List, load and unload LoRA adapters of vLLM and SGLang.", rich_markup_mode=None
)
ProvidersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provider", metavar="NAME", help="At it; may be repeated. The only one by default.", show_default=False
    ),
]


@adapters_app.command("list")
def list_adapters(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the adapters that are loaded."""
    from weebill.cli.adapters import list_adapters

    list_adapters(home_of(context), as_json)


@adapters_app.command("load")
def load_adapter(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model's name for clients.")],
    path: Annotated[str, typer.Argument(help="The server's path of it, or its name on the hub.")],
    provider: ProvidersOption = None,
    config: ConfigOption = None,
) -> None:
    """Load an adapter."""
    from weebill.cli.adapters import load_adapter

    load_adapter(sources_of(context, config), name, path, provider or ())


@adapters_app.command("unload")
def unload_adapter(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name that it was loaded under.")],
    provider: ProvidersOption = None,
    config: ConfigOption = None,
) -> None:
    """Unload an adapter."""
    from weebill.cli.adapters import unload_adapter

    unload_adapter(sources_of(context, config), name, provider or ())


@models_app.command("list")
def list_models(
    context: typer.Context,
    search: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Words of its name.", show_default=False)
    ] = None,
    provider: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Served by it; may be repeated.", show_default=False)
    ] = None,
    max_price: Annotated[
        float | None,
        typer.Option(min=0, metavar="DOLLARS", help="At most, for a million tokens in or out.", show_default=False),
    ] = None,
    min_context: Annotated[
        int | None, typer.Option(min=0, metavar="TOKENS", help="At least.", show_default=False)
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Reads or makes: text, image, audio, video, pdf.", show_default=False),
    ] = None,
    tools: Annotated[bool, typer.Option("--tools", help="Calls tools.")] = False,
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Reasons.")] = False,
    open_weights: Annotated[bool, typer.Option("--open", help="With open weights.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Of this machine only.")] = False,
    active: Annotated[bool, typer.Option("--active", help="That can be used now: the key is there.")] = False,
    sort: Annotated[Literal["name", "price", "context", "released"], typer.Option(help="Order.")] = "name",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List models of this machine, of the configuration and of the catalogue."""
    from weebill.cli.models_catalogue import ListOptions, list_catalogue

    wanted = ListOptions(
        text=tuple(search or ()),
        providers=tuple(provider or ()),
        max_price=max_price,
        min_context=min_context,
        modalities=tuple(modality or ()),
        tools=tools,
        reasoning=reasoning,
        open_weights=open_weights,
        local=local,
        active=active,
    )
    list_catalogue(sources_of(context, config), wanted, sort, as_json)


@models_app.command("show")
def show_model(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ID", help="Such as openai/gpt-4o-mini, or its last part.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show all that is known of a model: limits, abilities, who serves it at which price."""
    from weebill.cli.models_catalogue import show

    show(sources_of(context, config), model, as_json)


@providers_app.command("list")
def list_providers(
    context: typer.Context,
    active: Annotated[bool, typer.Option("--active", help="Those that can be used now.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List providers: whether they can be used, what they speak, what they do with data."""
    from weebill.cli.providers import list_providers

    list_providers(sources_of(context, config), active, as_json)


@providers_app.command("test")
def probe_provider(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A provider's name, such as openai.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Call a provider for one token, and say what is wrong. Weebill need not be running."""
    from weebill.cli.providers import probe_provider

    probe_provider(sources_of(context, config), name, as_json)


@catalog_app.command("refresh")
def refresh_catalogue(
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", metavar="FILE|URL", help="Such as https://models.dev/api.json.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Add models that are not known yet.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which prices and limits differ from models.dev's, and take them over.

    They are kept in $WEEBILL_HOME/catalog.json.
    """
    from weebill.cli.models_refresh import refresh

    refresh(home_of(context), source, yes=yes, add=add, as_json=as_json)
