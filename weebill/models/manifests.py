"""Manifests: which files belong to a name, where they came from, and under which terms.

A manifest is a JSON file of its own, replaced as a whole. Its file name is made from the model's name, and is the same
on file systems that take `A` for `a`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from weebill.models.curated import Licence, Role, Sampling, Sha256, Task
from weebill.models.errors import written_to

_SHOWN: Final = 60
# Ends in what can be the name of a file.
_NAME: Final = r"(^|/)(?!\.{0,2}$)[^/\x00]+$"


class StoredFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of a model: `name` as its source calls it, `size` in bytes.

    `place` is the absolute path of a file that belongs to another program and is read where it is, with the
    modification time when it was verified; "" for a blob of the store.
    """

    role: Role
    name: Annotated[str, Meta(pattern=_NAME)]
    size: int
    sha256: Sha256
    place: str = ""
    mtime_ns: int = 0


Speaker = Literal["system", "user", "assistant"]


class Said(msgspec.Struct, frozen=True):
    """A message of a conversation."""

    role: Speaker
    content: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model of the store.

    `source` is the name that it was fetched by, "" for a file that was given; `revision` the source's own version.
    `sampling` and `chat_template` (a file in `weebill/models/templates`) are overrides, None for what the files say.
    `added` is in Unix seconds. `converted_from` are the files that the model was made of, which are not kept. `tried`
    is the same for all models of which an engine has tried these files, "" if it has not.

    A model that was created from another one, its `parent`, may have a template of its own (`template`, Jinja), a
    system prompt and first messages for each conversation, a `context` in tokens (0 for the configured one), and
    `terms`, the texts of licences.
    """

    name: str
    files: Annotated[tuple[StoredFile, ...], Meta(min_length=1)]
    added: int
    format: Literal[1] = 1
    source: str = ""
    revision: str = ""
    licence: Licence | None = None
    task: Task | None = None
    sampling: Sampling | None = None
    chat_template: str | None = None
    converted_from: tuple[StoredFile, ...] = ()
    parent: str = ""
    template: str = ""
    system: str = ""
    messages: tuple[Said, ...] = ()
    context: int = 0
    terms: tuple[str, ...] = ()
    tried: str = ""

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)

    def of_role(self, role: Role) -> tuple[StoredFile, ...]:
        """Returns the files of a role, in order; a model may be split into several."""
        return tuple(file for file in self.files if file.role == role)

    def blobs(self) -> frozenset[str]:
        """Returns the hashes of the files that are in the store."""
        return frozenset(file.sha256 for file in self.files if not file.place)


def slug(name: str) -> str:
    """Returns a file name for a model's name: readable, bounded, and of no other name."""
    readable = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")[-_SHOWN:]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


class Manifests:
    """The manifests of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Returns the file of a name's manifest."""
        return self.folder / f"{slug(name)}.json"

    def read(self, name: str) -> Manifest | None:
        """Returns the manifest of a name, None if there is none or it cannot be read."""
        found = _read(self.path(name))
        return found if found is not None and found.name == name else None

    def all(self) -> Iterator[Manifest]:
        """Yields all manifests, by name."""
        found = (_read(path) for path in self.folder.glob("*.json"))
        yield from sorted((each for each in found if each is not None), key=lambda each: each.name)

    def unreadable(self) -> bool:
        """True if there is a manifest whose files are not known: nothing may be taken for unused then."""
        return any(_read(path) is None for path in self.folder.glob("*.json"))

    def write(self, manifest: Manifest) -> None:
        """Puts a manifest into the place of an earlier one, durably."""
        path = self.path(manifest.name)
        with written_to(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(path, msgspec.json.format(msgspec.json.encode(manifest)))

    def remove(self, name: str) -> bool:
        """Removes a name's manifest; False if there was none."""
        try:
            self.path(name).unlink()
        except FileNotFoundError:
            return False
        sync(self.folder)
        return True


def write_durably(path: Path, content: bytes) -> None:
    """Replaces a file as a whole: after a kill or a power cut, it is the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Writes a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Manifest | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
