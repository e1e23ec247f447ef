"""`weebill serve`: fetch what is missing, start, and say how to use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from weebill import __version__
from weebill.cli.output import console
from weebill.cli.progress import show_progress
from weebill.config.load import Configuration, Sources, load
from weebill.engine.fetch import pull
from weebill.engine.store import ModelStore
from weebill.ledger.keys import KeyStore
from weebill.supervisor.commands import Status
from weebill.supervisor.serve import serve as supervise

FIRST_KEY_NAME = "first"


def serve(sources: Sources, quiet: bool) -> None:
    """Serve until a signal ends it."""
    startup = Startup(sources, load(sources), quiet)
    try:
        supervise(sources, startup.configuration, startup.prepare, startup.announce)
    finally:
        startup.rescue_key()


class Startup:
    """What happens once, around the start of the processes."""

    def __init__(self, sources: Sources, configuration: Configuration, quiet: bool) -> None:
        self.configuration = configuration
        self._home = sources.home
        self._quiet = quiet
        # The first key, from when it is made until it has been shown.
        self._unshown_key: str | None = None

    def prepare(self) -> Mapping[str, Path]:
        """Fetch missing models and make the first key; returns each local model's file."""
        store = ModelStore.of(self.configuration.settings.local, self._home)
        paths = {}
        for model in self.configuration.settings.local.models:
            with show_progress(model, self._quiet) as progress:
                paths[model] = pull(store, model, progress)
        with KeyStore.open(self._home) as keys:
            created = keys.create_first(FIRST_KEY_NAME, "admin")
        self._unshown_key = created.secret if created else None
        if not self._quiet:
            typer.echo("Starting ...", err=True)
        return paths

    def announce(self, status: Status) -> None:
        """Say how to use what is running."""
        key, self._unshown_key = self._unshown_key, None
        if self._quiet:
            for line in filter(None, (f"{status.origin}/v1", key)):
                typer.echo(line)
            return
        out = console()
        for text, style in banner(status, self._model_names(), key):
            out.print(text, style=style)

    def rescue_key(self) -> None:
        """Show the first key if the start ended before it could be announced: it cannot be had again."""
        if self._unshown_key:
            typer.echo(f"Your first API key, shown only now: {self._unshown_key}")

    def _model_names(self) -> list[str]:
        settings = self.configuration.settings
        of_providers = (model for provider in settings.providers.values() for model in provider.models)
        return list(dict.fromkeys([*settings.aliases, *settings.local.models, *of_providers]))


def banner(status: Status, models: list[str], key: str | None) -> Iterator[tuple[str, str]]:
    """Lines with their styles. `key` is the first key, if this is the first start."""
    down = [model for model in status.models if not model.ready]
    yield "", ""
    yield f"  Weebill {__version__}", "bold"
    yield "", ""
    yield f"  Base URL   {status.origin}/v1", "bold green"
    if key:
        yield f"  API key    {key}", "bold green"
        yield "             shown only now; `weebill keys create NAME` makes others", "dim"
    else:
        yield "  API key    one you have, or `weebill keys create NAME`", ""
    yield f"  Models     {_shortened(models)}", ""
    for model in down:
        yield f"  Not ready  {model.name}: {model.failure or 'it is still loading'}", "bold red"
    yield "", ""
    if not key:
        yield "  With your key in WEEBILL_API_KEY, paste this:", ""
        yield "", ""
    if models:
        yield from ((line, "cyan") for line in curl(status.origin, models[0], key or "$WEEBILL_API_KEY"))
        yield "", ""


def curl(origin: str, model: str, key: str) -> Iterator[str]:
    """A command to paste, as lines."""
    yield f"curl {origin}/openai/v1/chat/completions \\"
    yield f'  --header "Authorization: Bearer {key}" \\'
    yield "  --header 'Content-Type: application/json' \\"
    yield f"""  --data '{{"model": "{model}", "messages": [{{"content": "Your text prompt here", "role": "user"}}]}}'"""


def _shortened(models: list[str], shown: int = 6) -> str:
    rest = len(models) - shown
    return ", ".join(models[:shown]) + (f" and {rest} more" if rest > 0 else "")
