"""Makes a model of static vectors of an embedding model of the store.

1. The base is fetched if it is not there. Its vocabulary is read from its file.
2. Its own engine makes the vector of each token alone, which takes a minute or two.
3. The vectors are turned, weighed and written (`static.distilled`), with a tokenizer of the vocabulary.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from weebill.models.blobs import SPARE_BYTES, Blobs, hash_of
from weebill.models.curated import Role
from weebill.models.errors import ModelFormatError, ModelNameError
from weebill.models.manifests import Manifest, StoredFile, slug
from weebill.models.names import is_plain
from weebill.models.plan import SUFFIX
from weebill.models.progress import SILENT, Progress
from weebill.models.pull import Accept, pull, refuse
from weebill.models.static.layout import TOKENIZER, is_kept_static
from weebill.models.static.vocabulary import read_wordpieces, tokenizer_json
from weebill.models.store import InstalledModel, ModelStore
from weebill.models.trying import bringing, tried

# Makes the vectors of texts in tokens by the model in a file, in 32-bit floats one after the other; is told how many
# bytes there are. Raises ModelError.
Embed = Callable[[Path, Sequence[Sequence[int]], Callable[[int], None]], bytes]

_VECTOR_BYTES: Final = 4


def distil(
    store: ModelStore,
    name: str,
    base: str,
    embed: Embed,
    progress: Progress = SILENT,
    accept: Accept = refuse,
) -> InstalledModel:
    """Makes the model `name` of the model `base`, in place of an earlier one. Raises ModelError."""
    if not is_plain(name):
        raise ModelNameError(name, "a model of one's own has a short name", "my-model:7b")
    with bringing(store):
        parent = pull(store, base, progress, accept)
        dimensions = _dimensions(parent)
        pieces = read_wordpieces(parent.path, parent.name)
        total = len(pieces.tokens) * dimensions * _VECTOR_BYTES
        store.blobs.require_space(total + SPARE_BYTES)
        made = embed(parent.path, pieces.texts(), lambda done: progress.step(name, "distilling", done, total))
        if len(made) != total:
            raise ModelFormatError(f"{parent.name} made vectors of {len(made):,} bytes instead of {total:,}.")
        manifest = Manifest(
            name=name,
            files=_files(store.blobs, name, parent.name, made, pieces.pieces, dimensions),
            added=int(time.time()),
            licence=parent.manifest.licence,
            terms=parent.manifest.terms,
            task="embed",
            parent=parent.name,
        )
        return store.record(tried(store, manifest, progress))


def _dimensions(parent: InstalledModel) -> int:
    """Returns the length of the vectors that a model makes. Raises ModelFormatError if it makes none of its own."""
    served = None if is_kept_static(parent.manifest) else parent.served()
    if served is None or served.task != "embed" or not served.dimensions:
        raise ModelFormatError(
            f"{parent.name} makes no vectors of which static ones could be made. Name one like minilm."
        )
    return served.dimensions


def _files(
    blobs: Blobs, name: str, base: str, made: bytes, pieces: tuple[str, ...], dimensions: int
) -> tuple[StoredFile, ...]:
    import numpy as np

    from weebill.models.static.distilled import config_json, distilled, write_vectors

    vectors = np.frombuffer(made, np.float32).reshape(-1, dimensions)
    if not np.isfinite(vectors).all():
        raise ModelFormatError(f"{base} made vectors that are not finite, of which no static ones can be made.")
    rows = distilled(vectors)
    return (
        _stored(blobs, name, "model", f"model{SUFFIX}", lambda file: write_vectors(file, rows)),
        _stored(blobs, name, "config", TOKENIZER, lambda file: file.write(tokenizer_json(pieces))),
        _stored(blobs, name, "config", "config.json", lambda file: file.write(config_json(base, rows.shape[1]))),
    )


def _stored(blobs: Blobs, model: str, role: Role, name: str, write: Callable[[IO[bytes]], object]) -> StoredFile:
    key = f"static-{slug(model)}-{name}"
    with blobs.alone(key, lambda: 0):
        draft = blobs.partial / f"{key}.draft"
        try:
            with draft.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            size, sha256 = draft.stat().st_size, hash_of(draft, lambda done, size: None)
            blobs.publish(draft, sha256)
        finally:
            draft.unlink(missing_ok=True)
    return StoredFile(role=role, name=name, size=size, sha256=sha256)
