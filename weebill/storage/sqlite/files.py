"""The file at the ledger's path, and the log beside it.

SQLite names the log (`-wal`) beside a database by the database's path, and takes what it finds there for that
database's own. Where the file was replaced, the log of the one that went would ruin the one in its place. So
connections are opened one after another, and a note beside the ledger says which file and which log belong together:
a log that is found beside another file is first set aside. Who has the old file open goes on with its own log by that
name, and harms nobody. It is kept: nobody can know whether all of it has come into its file.

Source: https://www.sqlite.org/howtocorrupt.html, on files that are renamed while they are open and on logs that come to
lie beside another database.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

_POLL_S: Final = 0.002
_NOTE_BYTES: Final = 256

log = logging.getLogger(__name__)


class File(NamedTuple):
    """A file, whatever its name."""

    device: int
    inode: int


def file_at(path: Path) -> File | None:
    """The file that `path` leads to, None where there is none. Raises OSError."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return File(status.st_dev, status.st_ino)


def is_empty(path: Path) -> bool:
    """Tells whether there is nothing at `path`. Raises OSError."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True


class Note:
    """The knowledge about the ledger at `path`, while nobody else opens or closes it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._log = path.with_name(f"{path.name}-wal")
        self._index = path.with_name(f"{path.name}-shm")

    def settle_log(self) -> None:
        """Leave no log at its place that SQLite would take for that of another file, or of an emptied one."""
        noted = self._read()
        if noted is None:
            return
        file, log_file = noted
        theirs = file_at(self._path) != file or is_empty(self._path)
        if theirs and file_at(self._log) == log_file:
            stamp = f".replaced-{time.time_ns() // 1_000_000}"
            for path in (self._index, self._log):
                with suppress(FileNotFoundError):
                    path.rename(f"{path}{stamp}")
            log.warning(
                "the ledger %s was replaced; what its log holds is in %s", self._path, f"{self._log.name}{stamp}"
            )
        elif not theirs and file_at(self._log) is None:  # it was only away for a moment
            for aside in self._set_aside():
                if file_at(aside) == log_file:
                    self._index_of(aside).rename(self._index)
                    aside.rename(self._log)

    def belongs(self, file: File) -> None:
        """The log that is there now is that of `file`; known before it holds anything, also after a power cut."""
        found = file_at(self._log)
        if found is None:
            os.ftruncate(self._descriptor, 0)
        elif self._read() != (file, found):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, " ".join(map(str, (*file, *found))).encode(), 0)
            os.fsync(self._descriptor)

    def _set_aside(self) -> list[Path]:
        return list(self._path.parent.glob(f"{self._log.name}.replaced-*"))

    def _index_of(self, aside: Path) -> Path:
        return aside.with_name(aside.name.replace(self._log.name, self._index.name, 1))

    def _read(self) -> tuple[File, File] | None:
        try:
            device, inode, log_device, log_inode = map(int, os.pread(self._descriptor, _NOTE_BYTES, 0).split())
        except ValueError:  # none yet
            return None
        return File(device, inode), File(log_device, log_inode)


@contextmanager
def alone(path: Path, timeout_s: float) -> Iterator[Note]:
    """Have nobody else open or close the ledger at `path`. Raises OSError, TimeoutError among them."""
    descriptor = os.open(path.with_name(f"{path.name}-owner"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process keeps the ledger {path} to itself")
            time.sleep(_POLL_S)
        yield Note(path, descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
