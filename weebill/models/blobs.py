"""Blobs: the contents of files, each stored once under its SHA-256, and never changed.

```
blobs/sha256-HEX        the content, read-only
blobs/sha256-HEX.json   its size and modification time when its hash was last found right
partial/KEY.*           what is being brought; KEY is the SHA-256 if that is known
```

A blob is there as a whole or not at all: it gets its name only after it is verified and on the disk. A start compares
size and modification time, and hashes a blob only if they differ from when it was verified. Blobs are brought under a
shared lock on the folder and removed under an exclusive one, so none goes that is about to be named.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Final

import msgspec

from weebill.models.errors import DiskFullError, FetchBusyError, ModelDamagedError, written_to
from weebill.models.manifests import sync

CHUNK_BYTES: Final = 1 << 20
# Room for stamps, manifests, pip's log and the file system's own needs.
SPARE_BYTES: Final = 16 << 20
LOCK_POLL_S: Final = 0.1
# Of waiting for a process that brings nothing.
LOCK_TIMEOUT_S: Final = 3600.0
# What was left half fetched for longer is given up.
PARTIAL_DAYS: Final = 30

Hashed = Callable[[int, int], None]


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a file when its hash was last found right, with its modification time."""

    size: int
    mtime_ns: int
    sha256: str


class Blobs:
    """The blobs of one model folder; any number of processes may use it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "blobs"
        self.partial = root / "partial"

    def path(self, sha256: str) -> Path:
        """Returns the place of a blob."""
        return self.folder / f"sha256-{sha256}"

    def is_verified(self, sha256: str) -> bool:
        """True if the blob is there, as it was when its hash was found right."""
        return is_as_stamped(self.path(sha256), _read_stamp(_stamp_path(self.path(sha256))), sha256)

    def verify(self, sha256: str, hashed: Hashed) -> None:
        """Hashes a blob that has changed since it was verified. Raises FileNotFoundError or ModelDamagedError."""
        path = self.path(sha256)
        if self.is_verified(sha256):
            return
        found = hash_of(path, hashed)
        if found != sha256:
            raise ModelDamagedError(f"{path} is damaged: its SHA-256 is {found} and must be {sha256}.")
        self.stamp(path, sha256)

    def stamp(self, path: Path, sha256: str) -> None:
        """Notes that the file at `path`, a blob or what is about to become one, has this hash."""
        status = path.stat()
        stamp = Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256)
        # A unique name: two processes may verify the same blob at once.
        target = _stamp_path(self.path(sha256))
        draft = target.with_suffix(f".json.{os.getpid()}")
        with written_to(self.root):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(stamp))
            draft.replace(target)

    def publish(self, draft: Path, sha256: str) -> None:
        """Makes a verified file on the store's file system, already on the disk, a blob."""
        with written_to(self.root):
            draft.chmod(0o444)
            self.stamp(draft, sha256)
            draft.replace(self.path(sha256))
            sync(self.folder)

    def drop(self, sha256: str) -> None:
        """Removes a damaged blob."""
        _stamp_path(self.path(sha256)).unlink(missing_ok=True)
        self.path(sha256).unlink(missing_ok=True)

    def require_space(self, needed: int) -> None:
        """Raises DiskFullError unless `needed` bytes more, and some to spare, have room."""
        with written_to(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self.root).free < needed + SPARE_BYTES:
            raise DiskFullError(self.root, needed + SPARE_BYTES)

    @contextlib.contextmanager
    def bringing(self) -> Iterator[None]:
        """Holds all blobs against `collect`, in any number of processes at once."""
        with self._held("lock", fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def alone(self, key: str, waiting: Callable[[], int]) -> Iterator[None]:
        """Holds what has this key against other processes that would bring it; the system releases it at death.

        `waiting` is called while another has it, and returns how far that one is. Raises FetchBusyError if that has
        not grown for an hour.
        """
        with written_to(self.root):
            self.partial.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.partial / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            most, since = -1, time.monotonic()
            while not _try_lock(descriptor):
                if (done := waiting()) > most:
                    most, since = done, time.monotonic()
                elif time.monotonic() - since > LOCK_TIMEOUT_S:
                    raise FetchBusyError(
                        "Another process has been fetching this for an hour, and nothing has come. End it, then run "
                        "the command again."
                    )
                time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[bool]:
        """Keeps others from bringing anything. Yields False, and keeps nobody, while a process brings something."""
        if not self.root.is_dir():
            yield False
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._held("lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True

    def collect(self, named: Set[str]) -> int:
        """Removes the blobs that are not `named`, and old partial files; returns the bytes freed.

        To be called while `at_rest`.
        """
        return self._remove_all_but(named) + self._remove_old_partials()

    @contextlib.contextmanager
    def _held(self, name: str, how: int) -> Iterator[None]:
        with written_to(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _remove_all_but(self, named: Set[str]) -> int:
        freed = 0
        for path in self.folder.glob("sha256-*"):
            if path.name.removeprefix("sha256-").partition(".")[0] not in named:
                freed += path.lstat().st_size
                path.unlink()
        return freed

    def _remove_old_partials(self) -> int:
        oldest = time.time() - PARTIAL_DAYS * 86_400
        freed = 0
        for path in self.partial.glob("*"):
            if path.is_dir():  # of a process that is dead, as nobody brings anything
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix == ".lock" or path.stat().st_mtime < oldest:
                freed += path.stat().st_size
                path.unlink()
        return freed


def is_as_stamped(path: Path, stamp: Stamp | None, sha256: str) -> bool:
    """True if the file at `path` has the stamp's size and modification time, and the stamp the hash."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return stamp == Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256)


def hash_of(path: Path, hashed: Hashed) -> str:
    """Returns the SHA-256 of a file, in bounded memory."""
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            hashed(file.tell(), size)
    return digest.hexdigest()


def _stamp_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read_stamp(path: Path) -> Stamp | None:
    # An unreadable stamp only costs a hash of the file.
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stamp)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
