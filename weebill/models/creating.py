"""Makes a model of another one, or of files of this machine, by a recipe.

The new name has the base's files, or those that were made of them, so that it takes no room unless it is quantized.
What the recipe does not change is as the base has it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from weebill.models.adapters import require_fitting
from weebill.models.bringing import Bringer
from weebill.models.converting import Converter
from weebill.models.curated import Licence, Sampling
from weebill.models.download import Patience
from weebill.models.errors import ModelFormatError, ModelNameError, NotFoundError
from weebill.models.gguf import read_first_facts
from weebill.models.manifests import Manifest, StoredFile
from weebill.models.names import is_plain
from weebill.models.parameters import Changed, changed
from weebill.models.plan import FromFile, Plan, PlannedFile
from weebill.models.progress import SILENT, Progress
from weebill.models.pull import Accept, carry_out, pull, refuse
from weebill.models.recipe import Recipe
from weebill.models.sources.local import of_path
from weebill.models.static.layout import is_kept_static
from weebill.models.store import InstalledModel, ModelStore, own_template
from weebill.models.tasks import serving
from weebill.models.templating import is_go, is_jinja, is_of_same_family
from weebill.models.trying import bringing, tried

_MOST_TEXT: Final = 1 << 20
_MOST_MESSAGES: Final = 1000
_SHOWN_TERMS: Final = 80


def create(
    store: ModelStore, name: str, recipe: Recipe, progress: Progress = SILENT, accept: Accept = refuse
) -> InstalledModel:
    """Makes a model under a short name, in place of an earlier one. Raises ModelError."""
    if not is_plain(name):
        raise ModelNameError(name, "a model of one's own has a short name", "my-model:7b")
    # Before anything is brought.
    _require_bounds(recipe)
    changed(Changed(Sampling(), 0), recipe.parameters)
    store.take_over(progress)
    base = Path(recipe.base)
    if base.is_absolute():
        plan = replace(of_path(name, base), precision=recipe.precision)
        bringer = Bringer(store.blobs, plan, progress, Patience())
        return carry_out(store, plan, bringer, lambda manifest: _changed(store, manifest, recipe, progress))
    with bringing(store):
        parent = pull(store, recipe.base, progress, accept)
        manifest = msgspec.structs.replace(
            parent.manifest, name=name, added=int(time.time()), parent=parent.name, source="", revision=""
        )
        if recipe.precision is not None:
            manifest = _quantized(store, manifest, recipe, progress)
        return store.record(tried(store, _changed(store, manifest, recipe, progress), progress))


def _require_bounds(recipe: Recipe) -> None:
    texts = (recipe.system or "", recipe.template or "", *recipe.terms, *(each.content for each in recipe.messages))
    if len(recipe.messages) > _MOST_MESSAGES or sum(map(len, texts)) > _MOST_TEXT:
        raise ModelFormatError(
            f"The template, the system prompt, the messages and the licences have more than {_MOST_TEXT:,} characters, "
            f"or there are more than {_MOST_MESSAGES:,} messages."
        )


def _quantized(store: ModelStore, manifest: Manifest, recipe: Recipe, progress: Progress) -> Manifest:
    if is_kept_static(manifest):
        raise ModelFormatError(f"{recipe.base} has static vectors, which stay as they are: leave --quantize out.")
    plan = Plan(manifest.name, "", (), precision=recipe.precision)
    file = Converter(store.blobs, plan, progress).quantize(manifest.files, recipe.precision or "F16")
    others = tuple(each for each in manifest.files if each.role != "model")
    return msgspec.structs.replace(manifest, files=(file, *others), converted_from=manifest.of_role("model"))


def _changed(store: ModelStore, manifest: Manifest, recipe: Recipe, progress: Progress) -> Manifest:
    """Returns a manifest with the changes of a recipe; to be called under `bringing`. Raises ModelError."""
    (first, *_) = manifest.of_role("model") or manifest.files
    path = Path(first.place or store.blobs.path(first.sha256))
    own = own_template(manifest, path)
    settings = changed(Changed(manifest.sampling or Sampling(), manifest.context), recipe.parameters)
    template = manifest.template if recipe.template is None else _template(recipe.template, own, progress)
    system = manifest.system if recipe.system is None else recipe.system
    messages = recipe.messages or manifest.messages
    is_static = is_kept_static(manifest)
    if recipe.adapters and is_static:
        raise ModelFormatError(f"{recipe.base} has static vectors, which take no adapters.")
    is_chat = not is_static and serving(manifest.task, read_first_facts(path)) == "chat"
    if (system or messages or recipe.template is not None) and not is_chat:
        raise ModelFormatError(f"{recipe.base} writes no texts, so that it has no template and no system prompt.")
    if (system or messages) and not (template or own):
        raise ModelFormatError(
            f"{recipe.base} has no template of conversations, which a system prompt and messages need. Give it one "
            "in Jinja with TEMPLATE."
        )
    terms = (*manifest.terms, *(text for text in recipe.terms if text not in manifest.terms))
    return msgspec.structs.replace(
        manifest,
        files=(*manifest.files, *_adapters(store, manifest, recipe, progress)),
        sampling=None if settings.sampling == Sampling() else settings.sampling,
        context=settings.context,
        template=template,
        system=system,
        messages=messages,
        terms=terms,
        licence=manifest.licence or (_licence(terms[0]) if terms else None),
    )


def _template(given: str, own: str, progress: Progress) -> str:
    """Returns a template in Jinja, "" for the model's own. Raises ModelFormatError."""
    if is_jinja(given):
        return given
    if not is_go(given):
        raise ModelFormatError("The template writes no message. It must be one in Jinja.")
    if is_of_same_family(given, own):
        progress.say("The template is one of Ollama's, and the model has the same in Jinja: that is used.")
        return ""
    raise ModelFormatError(
        "The template is one of Ollama's (Go), and marks turns otherwise than the model's own, if that has one. Write "
        "it in Jinja, as `chat_template` on the model's page of the hub is, or leave TEMPLATE out."
    )


def _adapters(store: ModelStore, manifest: Manifest, recipe: Recipe, progress: Progress) -> Iterator[StoredFile]:
    if not recipe.adapters:
        return
    base = tuple(Path(each.place or store.blobs.path(each.sha256)) for each in manifest.of_role("model"))
    for path in recipe.adapters:
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}. An ADAPTER is a GGUF file.")
        require_fitting(path, base)
    planned = tuple(PlannedFile("adapter", path.name, FromFile(path)) for path in recipe.adapters)
    plan = Plan(manifest.name, "", planned)
    yield from Bringer(store.blobs, plan, progress, Patience()).bring()


def _licence(text: str) -> Licence:
    return Licence(name=next(iter(text.strip().splitlines()), "")[:_SHOWN_TERMS] or "not named")
