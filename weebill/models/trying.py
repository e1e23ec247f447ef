"""Tries a model before its files get a name, unless nothing is new, and finds the file that is at fault.

1. Files whose hash the curated list has are known to be good, and so are those that were tried with each other before
   and have a name since: a manifest notes them.
2. An engine loads all of the model's files and answers once (`trial`).
3. If it cannot, the model's first file is tried alone, then each of what comes on top of it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from weebill.models import curated
from weebill.models.errors import ModelFormatError, UnfitError
from weebill.models.manifests import Manifest
from weebill.models.progress import Progress
from weebill.models.store import InstalledModel, ModelStore
from weebill.models.tasks import UNSERVED
from weebill.models.trial import Outcome, Sample, Trial

# Of what a trial tells: more is asked of models that are tried by a later one.
_FORMAT: Final = 2


@contextlib.contextmanager
def bringing(store: ModelStore) -> Iterator[None]:
    """Holds all blobs while a model is brought and named; those that no name has then do not stay.

    What was fetched stays if something else is at fault than the files, as it will be asked for again.
    """
    try:
        with store.blobs.bringing():
            yield
    except UnfitError:
        store.collect()
        raise
    # Of an earlier model of this name, or of fetches that ended while another went on.
    store.collect()


def tried(store: ModelStore, manifest: Manifest, progress: Progress) -> Manifest:
    """Returns a manifest that notes that its model was tried; to be called under `bringing`. Raises UnfitError."""
    trial = store.trial
    if trial is None or manifest.task in UNSERVED or _is_curated(manifest):
        return msgspec.structs.replace(manifest, tried="")
    noted = msgspec.structs.replace(manifest, tried=_key(manifest))
    if any(each.tried == noted.tried for each in store.manifests.all()):
        return noted
    with store.laid_out(manifest) as model:
        progress.step(manifest.name, "trying", 0, 0)
        outcome = _outcome(trial, model)
    if outcome.untried:
        progress.say(f"{manifest.name} was not tried: {outcome.untried}.")
        return msgspec.structs.replace(manifest, tried="")
    return noted


def _is_curated(manifest: Manifest) -> bool:
    known = {file.sha256 for model in curated.curated().values() for file in model.files}
    others = (file for file in manifest.files if file.role != "model")
    made_of = (*(manifest.converted_from or manifest.of_role("model")), *others)
    return not manifest.template and all(file.sha256 in known for file in made_of)


def _key(manifest: Manifest) -> str:
    files = (f"{file.role} {file.sha256}" for file in manifest.files)
    parts = (str(_FORMAT), manifest.task or "", manifest.template, *files)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _outcome(trial: Trial, model: InstalledModel) -> Outcome:
    """Returns the outcome of a trial without a fault. Raises UnfitError."""
    try:
        sample = _sample(model)
        outcome = trial(sample)
        if outcome.fault:
            culprit, fault = _blamed(trial, model, sample, outcome.fault)
            raise UnfitError(f"{culprit} cannot be used: {fault.removesuffix('.')}.")
    except ModelFormatError as error:
        # By the names that the files have for people.
        raise UnfitError(str(error).replace(f"{model.path.parent}/", "")) from None
    return outcome


def _sample(model: InstalledModel) -> Sample:
    served = model.served()
    return Sample(
        path=str(served.path),
        size=model.size,
        kind=served.kind,
        task=served.task,
        is_pooled=served.is_pooled,
        chat_template=served.chat_template,
        adapters=tuple(str(each.path) for each in served.adapters),
        projector=None if served.projector is None else str(served.projector),
        tokenizer=None if served.tokenizer is None else str(served.tokenizer),
    )


def _blamed(trial: Trial, model: InstalledModel, sample: Sample, fault: str) -> tuple[str, str]:
    """Returns the part of a model that is at fault, in words, and its fault; that of all is known."""
    alone = msgspec.structs.replace(sample, adapters=(), projector=None, chat_template=None)
    file = f"The file {model.path.name}"
    if alone == sample:
        return file, fault
    if found := trial(alone).fault:
        return file, found
    parts = [*_parts(alone, sample)]
    if len(parts) == 1:
        return parts[0][0], fault
    for culprit, part in parts:
        if found := trial(part).fault:
            return culprit, found
    return f"{file}, with all that comes with it,", fault


def _parts(alone: Sample, sample: Sample) -> Iterator[tuple[str, Sample]]:
    """Yields each part that comes on top of a model's own file, in words, and a sample of that file with it."""
    for path in sample.adapters:
        yield f"The adapter {Path(path).name}", msgspec.structs.replace(alone, adapters=(path,))
    if sample.projector is not None:
        projector = Path(sample.projector).name
        yield f"The projector {projector}", msgspec.structs.replace(alone, projector=sample.projector)
    if sample.chat_template is not None:
        yield "The template", msgspec.structs.replace(alone, chat_template=sample.chat_template)
