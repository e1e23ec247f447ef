"""Takes over what an earlier release left in the model folder, and files that were put there by hand.

A link in the folder stays another's file: it is read where it is.

A model `name:variant` was the file `name@variant.gguf`, and its verified hash was in `name@variant.json`. It becomes a
blob by a rename. At a kill in between, the next run does the rest: the manifest is written before the file is moved, so
the file never lies where no name leads to it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from weebill.models.blobs import Blobs, Stamp, hash_of, is_as_stamped
from weebill.models.curated import CuratedModel, find_curated
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import require_magic
from weebill.models.manifests import Manifest, Manifests, StoredFile, sync
from weebill.models.names import is_plain
from weebill.models.progress import Progress


def take_over(blobs: Blobs, manifests: Manifests, progress: Progress) -> None:
    """Makes blobs of the models in the top folder. A file that is no GGUF stays; a damaged one is put aside."""
    if not any(_models(blobs.root)):
        return
    with blobs.bringing(), blobs.alone("takeover", lambda: 0):
        for name, path in _models(blobs.root):
            _take(blobs, manifests, name, path, progress)


def _models(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.glob("*.gguf")):
        name = path.stem.replace("@", ":")
        if is_plain(name) and path.is_file():
            yield name, path


def _take(blobs: Blobs, manifests: Manifests, name: str, path: Path, progress: Progress) -> None:
    known, stamp_path = find_curated(name), path.with_suffix(".json")
    stamp = _read_stamp(stamp_path)
    if stamp is not None and is_as_stamped(path, stamp, stamp.sha256):
        sha256 = stamp.sha256
    else:
        try:
            require_magic(path, str(path))
        except ModelFormatError:
            return
        sha256 = hash_of(path, lambda done, size: progress.step(path.name, "verifying", done, size))
    curated = {file.sha256 for file in known.files} if known is not None else set()
    if known is not None and sha256 not in curated and not known.source.startswith("pypi:"):
        known = None  # a user's own model, from before the name was in the list
    if sha256 not in (curated if known is not None else {stamp.sha256 if stamp is not None else sha256}):
        aside = path.with_suffix(".gguf.refused")
        path.replace(aside)
        stamp_path.unlink(missing_ok=True)
        progress.say(f"{path.name} is damaged, or not the model of its name; it is kept aside as {aside}")
        return
    status, place = path.stat(), str(path.resolve()) if path.is_symlink() else ""
    file = StoredFile(
        role="model",
        name=_own_name(known, path),
        size=status.st_size,
        sha256=sha256,
        place=place,
        mtime_ns=status.st_mtime_ns if place else 0,
    )
    manifests.write(_manifest(name, file, known, int(status.st_mtime)))
    if place:
        path.unlink()
    else:
        blobs.publish(path, sha256)
    stamp_path.unlink(missing_ok=True)
    _remove_remains(path)
    sync(blobs.root)


def _own_name(known: CuratedModel | None, path: Path) -> str:
    return Path(known.files[0].path).name if known is not None else path.name


def _manifest(name: str, file: StoredFile, known: CuratedModel | None, added: int) -> Manifest:
    if known is None:
        return Manifest(name=name, files=(file,), added=added)
    return Manifest(
        name=name,
        files=(file,),
        added=added,
        source=known.name,
        licence=known.licence,
        task=known.task,
        sampling=known.sampling,
        chat_template=known.chat_template,
    )


def _remove_remains(path: Path) -> None:
    """Removes the lock and the scratch folder of an earlier release, unless it is at work."""
    lock = path.with_suffix(".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path.with_suffix(".part"), ignore_errors=True)
        lock.unlink(missing_ok=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def _read_stamp(path: Path) -> Stamp | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stamp)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
