"""`weebill show`: a model of this machine, by its manifest and what its files tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from weebill.cli import models_catalogue
from weebill.cli.models import store_of
from weebill.cli.models_catalogue import target_of
from weebill.cli.output import NOTHING, count, day, print_json, print_table, size
from weebill.config.load import Sources, load
from weebill.models.curated import find_curated
from weebill.models.errors import ModelFormatError, ModelNameError
from weebill.models.gguf import ModelFacts, read_facts
from weebill.models.modelfile import written
from weebill.models.names import PlainName, parse
from weebill.models.recipe import commands_of
from weebill.models.static.layout import is_kept_static, read_vectors, static_facts
from weebill.models.store import InstalledModel, ModelStore, own_template


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A model as `--json` prints it; what is not known is null or empty."""

    name: str
    source: str
    revision: str
    licence: str
    licence_url: str
    task: str | None
    architecture: str
    parameters: int
    context: int | None
    embedding: int | None
    quantization: str
    chat_template: bool
    added: int
    parent: str
    converted_from: tuple[str, ...]
    files: tuple[ShownFile, ...]


class ShownFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a model; `in_place` is true if another program owns it."""

    role: str
    name: str
    size: int
    sha256: str
    path: str
    in_place: bool


def show(sources: Sources, name: str, as_json: bool) -> None:
    """Prints the facts of a model of this machine, or else of one of the catalogue. Raises ModelError."""
    store = store_of(sources)
    target = target_of(load(sources).settings, name)
    model = _stored(store, target)
    if model is None:
        # A name of the catalogue, or of nothing, is told by the catalogue.
        if _is_of_catalogue(target):
            models_catalogue.show(sources, name, as_json)
            return
        model = store.find(target)
    shown = _shown(model)
    if as_json:
        print_json(msgspec.to_builtins(shown))
        return
    print_table(("MODEL", shown.name), _facts(shown))
    typer.echo()
    print_table(
        ("FILE", "ROLE", "SIZE", "SHA256", "PATH"),
        [(each.name, each.role, size(each.size), each.sha256[:12], each.path) for each in shown.files],
    )


def show_modelfile(sources: Sources, name: str) -> None:
    """Prints the recipe that makes a model of this machine again. Raises ModelError."""
    model = store_of(sources).find(target_of(load(sources).settings, name))
    manifest = model.manifest
    template = manifest.template or own_template(manifest, model.path)
    file = Path(manifest.files[0].place or model.path.resolve())
    typer.echo(f"# To make another model of this one, put `FROM {model.name}` in place of the FROM below.")
    typer.echo(written(commands_of(manifest, file, template)), nl=False)


def _is_of_catalogue(target: str) -> bool:
    """True unless the name is one that `weebill pull` takes."""
    try:
        return isinstance(parse(target), PlainName) and find_curated(target) is None
    except ModelNameError:
        return True


def _stored(store: ModelStore, target: str) -> InstalledModel | None:
    try:
        wanted = store.canonical(target)
    except ModelNameError:  # such as `provider/model`
        return None
    return next((each for each in store.list() if each.name == wanted), None)


def _facts(shown: Shown) -> Iterator[tuple[str, str]]:
    yield ("created from", shown.parent) if shown.parent else ("source", shown.source or "a file that was given")
    if shown.converted_from:
        yield "converted from", ", ".join(shown.converted_from)
    if shown.revision:
        yield "revision", shown.revision
    yield "licence", (shown.licence or "not known") + (f" ({shown.licence_url})" if shown.licence_url else "")
    yield "for", shown.task or NOTHING
    yield "architecture", shown.architecture or NOTHING
    yield "parameters", count(shown.parameters)
    yield "context", f"{shown.context:,} tokens" if shown.context else NOTHING
    yield "embedding", f"{shown.embedding:,} dimensions" if shown.embedding else NOTHING
    yield "quantization", shown.quantization or NOTHING
    yield "chat template", "yes" if shown.chat_template else "no"
    yield "added", day(shown.added)


def _shown(model: InstalledModel) -> Shown:
    manifest = model.manifest
    paths = {file: path for role in {each.role for each in manifest.files} for file, path in model.paths(role)}
    # A split model's first part tells all but the parameters.
    told = [_told(model, index) for index in range(len(model.paths("model")))]
    first = told[0] if told else ModelFacts()
    licence = manifest.licence
    return Shown(
        name=manifest.name,
        source=manifest.source,
        revision=manifest.revision,
        licence=licence.name if licence else first.licence,
        licence_url=licence.url if licence else "",
        task=model.purpose,
        architecture=first.architecture,
        parameters=sum(each.parameters for each in told),
        context=first.context,
        embedding=first.embedding,
        quantization=first.quantization,
        chat_template=bool(first.chat_template or manifest.chat_template),
        added=manifest.added,
        parent=manifest.parent,
        converted_from=tuple(f"{file.name} ({file.sha256[:12]})" for file in manifest.converted_from),
        files=tuple(
            ShownFile(
                role=file.role,
                name=file.name,
                size=file.size,
                sha256=file.sha256,
                path=file.place or str(paths[file]),
                in_place=bool(file.place),
            )
            for file in manifest.files
        ),
    )


def _told(model: InstalledModel, index: int) -> ModelFacts:
    """Returns what a part of the model tells of itself; nothing if it is of another format, or damaged."""
    try:
        path = model.paths("model")[index][1]
        return static_facts(read_vectors(path)) if is_kept_static(model.manifest) else read_facts(path)
    except (ModelFormatError, OSError):
        return ModelFacts()
