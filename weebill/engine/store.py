"""The model folder: the models in it, and their verification.

A model `name:variant` is the file `name@variant.gguf` and its stamp `name@variant.json`, which records the verified
hash. A start compares size and modification time with the stamp, and hashes the file only if they differ.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from weebill.config.paths import Home
from weebill.config.schema import LocalSettings
from weebill.engine.errors import (
    FetchBusyError,
    ModelDamagedError,
    ModelFormatError,
    ModelMissingError,
    ModelNameError,
    disk_full_as_error,
)
from weebill.engine.known import KNOWN_MODELS

Phase = Literal["waiting", "downloading", "unpacking", "verifying"]
# Called with the phase and the bytes done and to do; often, and from the calling thread.
Progress = Callable[[Phase, int, int], None]

CHUNK_BYTES = 1 << 20
GGUF_MAGIC = b"GGUF"
LOCK_TIMEOUT_S = 3600.0
LOCK_POLL_S = 0.1

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?")
_MAX_NAME = 100


def no_progress(phase: Phase, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The verified state of a model's file, with its modification time."""

    size: int
    mtime_ns: int
    sha256: str


class InstalledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the store. `sha256` is None if its file has changed since it was verified."""

    name: str
    path: Path
    size: int
    sha256: str | None
    known: bool


class ModelStore:
    """The models of one folder; any number of processes may use the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, settings: LocalSettings, home: Home) -> ModelStore:
        """Returns the store that `[local] models_dir` names, or else the one in the home folder."""
        return cls(Path(settings.models_dir).expanduser() if settings.models_dir else home.models)

    def path(self, name: str) -> Path:
        """Returns the path of the model's file, which need not exist. Raises ModelNameError."""
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            raise ModelNameError(name)
        return self.folder / (name.replace(":", "@") + ".gguf")

    def list(self) -> list[InstalledModel]:
        """Returns the models of this folder by name, without hashing."""
        names = {path.stem.replace("@", ":"): path for path in self.folder.glob("*.gguf")}
        return [self._describe(name, path) for name, path in sorted(names.items()) if _NAME.fullmatch(name)]

    def find(self, name: str, progress: Progress = no_progress) -> Path:
        """Returns the verified file of a model, ready to load.

        Costs two system calls if the file matches its stamp, else a hash of the whole file. Raises ModelNameError,
        ModelMissingError, ModelDamagedError or ModelFormatError.
        """
        path = self.path(name)
        if not path.is_file():
            raise ModelMissingError(name, self.folder, known=name in KNOWN_MODELS)
        if not self._is_as_stamped(name, path):
            self._verify(name, path, progress)
        return path

    def has(self, name: str) -> bool:
        """True if `find` would return a path."""
        try:
            self.find(name)
        except (ModelMissingError, ModelDamagedError, ModelFormatError):
            return False
        return True

    def remove(self, name: str) -> None:
        """Deletes a model. A host that has it loaded keeps it until it ends. Raises ModelMissingError."""
        path = self.path(name)
        with self.lock(name):
            _stamp_path(path).unlink(missing_ok=True)
            try:
                path.unlink()
            except FileNotFoundError:
                raise ModelMissingError(name, self.folder, known=name in KNOWN_MODELS) from None

    @contextlib.contextmanager
    def lock(self, name: str, progress: Progress = no_progress) -> Iterator[None]:
        """Holds this model against other processes that would add or remove it.

        The system releases it when its holder dies. Raises FetchBusyError after an hour.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path(name).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + LOCK_TIMEOUT_S
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise FetchBusyError(
                        f"Another process has been fetching {name} for an hour. End it, then run the command again."
                    )
                progress("waiting", 0, 0)
                time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Yields an empty folder on the store's file system, to be used under `lock`; removed afterwards.

        The remains of a dead process are removed first: the lock excludes other users.
        """
        folder = self.path(name).with_suffix(".part")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, name: str, file: Path, sha256: str) -> Path:
        """Moves a verified file from the scratch folder into the store, atomically and durably."""
        path = self.path(name)
        # The old stamp is removed first: a stamp never describes another file than the one there.
        _stamp_path(path).unlink(missing_ok=True)
        file.replace(path)
        _sync(self.folder)
        self._stamp(path, sha256)
        return path

    def _describe(self, name: str, path: Path) -> InstalledModel:
        stamp = _read_stamp(path)
        status = path.stat()
        fresh = stamp is not None and (stamp.size, stamp.mtime_ns) == (status.st_size, status.st_mtime_ns)
        return InstalledModel(
            name=name,
            path=path,
            size=status.st_size,
            sha256=stamp.sha256 if stamp is not None and fresh else None,
            known=name in KNOWN_MODELS,
        )

    def _is_as_stamped(self, name: str, path: Path) -> bool:
        recorded = self._describe(name, path).sha256
        known = KNOWN_MODELS.get(name)
        return recorded is not None and (known is None or recorded == known.sha256)

    def _verify(self, name: str, path: Path, progress: Progress) -> None:
        known, stamp = KNOWN_MODELS.get(name), _read_stamp(path)
        expected = known.sha256 if known else stamp.sha256 if stamp else None
        size = path.stat().st_size
        digest = hashlib.sha256()
        with path.open("rb") as file:
            if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                raise ModelFormatError(f"{path} is not a GGUF file. {_again(name)}")
            file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                progress("verifying", file.tell(), size)
        if expected is not None and digest.hexdigest() != expected:
            raise ModelDamagedError(
                f"{path} is damaged: its SHA-256 is {digest.hexdigest()} and must be {expected}. {_again(name)}"
            )
        self._stamp(path, digest.hexdigest())

    def _stamp(self, path: Path, sha256: str) -> None:
        status = path.stat()
        stamp = Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256)
        # A unique name: two processes may verify the same model at once.
        draft = _stamp_path(path).with_suffix(f".json.{os.getpid()}")
        with disk_full_as_error(self.folder, CHUNK_BYTES):
            draft.write_bytes(msgspec.json.encode(stamp))
            draft.replace(_stamp_path(path))


def _again(name: str) -> str:
    source = "" if name in KNOWN_MODELS else " --from FILE.gguf"
    return f"Replace it with: weebill rm {name} && weebill pull {name}{source}"


def _stamp_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_stamp(path: Path) -> Stamp | None:
    # An unreadable stamp only costs a hash of the file.
    try:
        return msgspec.json.decode(_stamp_path(path).read_bytes(), type=Stamp)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
