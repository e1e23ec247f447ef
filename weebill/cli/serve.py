"""`weebill serve`: fetches missing models, starts, and shows how to use it."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
import typer

from weebill import __version__
from weebill.accounts.audit import command_line
from weebill.accounts.people import People
from weebill.catalog.load import load as load_catalogue
from weebill.cli.auto_tiers import tiers_in_words
from weebill.cli.models import acceptance
from weebill.cli.output import console
from weebill.cli.progress import show_progress
from weebill.cli.recommend import better
from weebill.config.load import Configuration, Sources, load
from weebill.config.paths import write_private
from weebill.config.proxies import is_loopback
from weebill.config.schema import LocalSettings
from weebill.models import engine_figures
from weebill.models.engine_choice import Comparison, chosen, objections
from weebill.models.engines import EngineKind
from weebill.models.errors import ModelError
from weebill.models.needs import free_memory
from weebill.models.pull import pull
from weebill.models.store import InstalledModel, ModelStore, ServedModel
from weebill.models.tasks import UNSERVED
from weebill.routing.servers import watched
from weebill.storage.keys import open_keys
from weebill.storage.sign_in import open_sign_ins
from weebill.supervisor.commands import Status
from weebill.supervisor.serve import serve as supervise

FIRST_KEY_NAME = "first"
_DEFAULT: Final = LocalSettings().models

log = logging.getLogger(__name__)


def serve(sources: Sources, quiet: bool) -> None:
    """Serves until a signal ends it."""
    startup = Startup(sources, load(sources), quiet)
    memory = startup.configuration.settings.local.memory_mb << 20 or free_memory()
    try:
        supervise(
            sources, startup.configuration, startup.prepare, startup.announce, offers=startup.offers, memory=memory
        )
    finally:
        startup.rescue_key()


class Startup:
    """The steps around the start of the processes."""

    def __init__(self, sources: Sources, configuration: Configuration, quiet: bool) -> None:
        self.configuration = configuration
        self._sources = sources
        self._home = sources.home
        self._quiet = quiet
        # The first key, until it has been shown; without a terminal, the file that it is in.
        self._unshown_key: str | None = None
        self._untold_file: Path | None = None
        # The token of a link that signs the owner in, until it has been shown.
        self._link_token: str | None = None
        # A command that pulls a better model than the default one.
        self._better = ""
        # The models of which it was said what their engine is.
        self._told_instead: set[str] = set()

    def prepare(self) -> Mapping[str, ServedModel]:
        """Fetches missing models and makes the first key; returns the local models by name."""
        local = self.configuration.settings.local
        store, served = ModelStore.of(local, self._home), {}
        measured = engine_figures.read(store.folder)
        installed = engine_figures.installed(local.engine.llama_server)
        for model in local.models:
            with show_progress(self._quiet) as progress:
                found = pull(store, model, progress, acceptance(quiet=self._quiet))
            served[model] = self._with_engine(model, _served_as(model, found), measured, installed)
        with open_keys(self._home, self.configuration.settings.database) as keys:
            created = keys.create_first(FIRST_KEY_NAME, "admin")
        if created and sys.stdout.isatty():
            self._unshown_key = created.secret
            self._better = self._named_better()
            self._link_token = self._first_link()
        elif created:
            # Without a terminal, output may be a log or a pipe, which others keep, and for longer.
            write_private(self._home.first_key, f"{created.secret}\n")
            self._untold_file = self._home.first_key
        if not self._quiet:
            typer.echo("Starting ...", err=True)
        return served

    def _first_link(self) -> str | None:
        """Returns the token of a link that signs the owner in, if this machine alone can open it."""
        settings = self.configuration.settings
        if self._quiet or not is_loopback(settings.server.host):
            return None
        with open_sign_ins(self._home, settings.database) as sign_ins:
            return People(sign_ins).link(None, command_line()).token

    def _named_better(self) -> str:
        local = self.configuration.settings.local
        if self._quiet or local.models != _DEFAULT:
            return ""
        typer.echo("Measuring this machine for two seconds ...", err=True)
        return better(self._sources, local)

    def offers(self) -> Mapping[str, ServedModel]:
        """Returns the models in the store that an engine can load and ask; others are left out.

        A model that the configuration names is called as it says there, so that it has one host under all of its names.
        """
        local = self.configuration.settings.local
        store, found = ModelStore.of(local, self._home), {}
        configured = {store.canonical(name): name for name in reversed(local.models)}
        measured = engine_figures.read(store.folder)
        installed = engine_figures.installed(local.engine.llama_server)
        for model in store.list():
            if model.manifest.task in UNSERVED:
                continue
            try:
                name = configured.get(model.name, model.name)
                found[name] = self._with_engine(name, _served_as(name, model), measured, installed)
            except (ModelError, OSError) as error:
                log.warning("%s is not served: %s", model.name, error)
        return found

    def _with_engine(
        self, name: str, served: ServedModel, measured: Mapping[str, Comparison], installed: frozenset[EngineKind]
    ) -> ServedModel:
        """Returns a model with the engine that is to serve it; tells once if that is not the configured one."""
        wish = self.configuration.settings.local.engine.engine
        model, instead = chosen(served, wish, measured.get(served.sha256), installed)
        if name not in self._told_instead:
            self._told_instead.add(name)
            if instead:
                log.warning("llama.cpp serves %s: %s", name, instead)
            elif less := objections(model.kind, served):
                log.warning("%s serves %s, as it is told to: %s", model.kind, name, "; ".join(less))
        return model

    def announce(self, status: Status) -> None:
        """Shows how to use the running gateway."""
        key, self._unshown_key = self._unshown_key, None
        key_file, self._untold_file = self._untold_file, None
        if self._quiet:
            for line in filter(None, (f"{status.origin}/v1", key or key_file)):
                typer.echo(line)
            return
        out = console()
        token, self._link_token = self._link_token, None
        link = f"{status.origin}/?token={token}" if token else ""
        models, autos, servers = self._model_names(), tiers_in_words(self.configuration), self._servers()
        for text, style in banner(status, models, key, key_file, autos, servers, self._better, link):
            out.print(text, style=style)

    def rescue_key(self) -> None:
        """Shows the first key if the start ended before it was announced, as it cannot be shown later."""
        if self._unshown_key:
            typer.echo(f"Your first API key, shown only now: {self._unshown_key}")
        if self._untold_file:
            typer.echo(f"Your first API key is in {self._untold_file}")

    def _model_names(self) -> list[str]:
        settings = self.configuration.settings
        of_providers = (model for provider in settings.providers.values() for model in provider.models)
        return list(dict.fromkeys([*settings.aliases, *settings.local.models, *of_providers]))

    def _servers(self) -> list[str]:
        """Returns the providers whose servers list their models, which are not known yet."""
        servers = watched(self.configuration.settings, load_catalogue())
        return [name for name, provider, _ in servers if not provider.models]


def _served_as(name: str, model: InstalledModel) -> ServedModel:
    """Returns the model as an engine is told of it under `name`; its own name is a further one then."""
    served = model.served()
    others = dict.fromkeys((*served.aliases, model.name))
    others.pop(name, None)
    return msgspec.structs.replace(served, aliases=tuple(others))


def banner(
    status: Status,
    models: list[str],
    key: str | None,
    key_file: Path | None,
    autos: Mapping[str, str] = MappingProxyType({}),
    servers: Sequence[str] = (),
    better: str = "",
    link: str = "",
) -> Iterator[tuple[str, str]]:
    """Yields lines with their styles. At the first start, `key` is the first key, or `key_file` its file; `autos` are
    the tiers of `auto` and its like, `servers` the providers that list their models by themselves, and `better` is a
    command that pulls a better model than the default one. `link` signs the owner in, once.
    """
    down = [model for model in status.models if model.stays and not model.ready]
    yield "", ""
    yield f"  Weebill {__version__}", "bold"
    yield "", ""
    yield f"  Base URL   {status.origin}/v1", "bold green"
    if key:
        yield "  API key    below, shown only now; `weebill keys create NAME` makes others", "bold green"
    elif key_file:
        yield (
            f"  API key    in {key_file}, which only you can read; `weebill keys create NAME` makes others",
            "bold green",
        )
    else:
        yield "  API key    one you have, or `weebill keys create NAME`", ""
    if link:
        yield f"  Sign in    {link}", "bold green"
    listed = f"those that {_shortened(list(servers))} will list" if servers else ""
    yield f"  Models     {'; '.join(filter(None, (_shortened(models), listed)))}", ""
    if [model.name for model in status.models] == list(_DEFAULT):
        found = better or "`weebill recommend` finds a model for this machine"
        yield f"  Better     that is for a first try; {found}", ""
    for name, tiers in autos.items():
        yield f"  {name:<10} {tiers}", ""
    for model in down:
        yield f"  Not ready  {model.name}: {model.failure or 'it is still loading'}", "bold red"
    yield "", ""
    if models and not key and not key_file:
        yield "  With your key in WEEBILL_API_KEY, paste this:", ""
    elif models:
        yield "  Paste this:", ""
    yield "", ""
    if key:
        yield f"export WEEBILL_API_KEY={key}", "bold green"
    elif key_file:
        yield f'export WEEBILL_API_KEY="$(cat {shlex.quote(str(key_file))})"', "cyan"
    if models:
        yield from ((line, "cyan") for line in curl(status.origin, models[0]))
        yield "", ""


def curl(origin: str, model: str) -> Iterator[str]:
    """Yields the lines of a command to paste; it takes the key from the environment."""
    yield f"curl {origin}/openai/v1/chat/completions \\"
    yield '  --header "Authorization: Bearer $WEEBILL_API_KEY" \\'
    yield "  --header 'Content-Type: application/json' \\"
    yield f"""  --data '{{"model": "{model}", "messages": [{{"content": "Your text prompt here", "role": "user"}}]}}'"""


def _shortened(models: list[str], shown: int = 6) -> str:
    rest = len(models) - shown
    return ", ".join(models[:shown]) + (f" and {rest} more" if rest > 0 else "")
