"""A file that is half brought: its bytes, and the note that says how many of them count.

Only bytes that were on the disk before the note was written count, so neither a kill nor a power cut leaves a wrong
beginning to go on from.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Final

import msgspec

from weebill.models.blobs import CHUNK_BYTES, Hashed

# Bytes between two times of waiting for the disk: what a kill costs at most.
CHECKPOINT_BYTES: Final = 32 << 20


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes that count, the model they are for, and the server's mark of the contents' version."""

    model: str
    durable: int
    validator: str = ""


class Partial:
    """The growing file of one key, to be used by one process at a time. `done` counts its bytes."""

    def __init__(self, folder: Path, key: str, model: str, checkpoint_bytes: int = CHECKPOINT_BYTES) -> None:
        self.path = folder / f"{key}.part"
        self._note = folder / f"{key}.json"
        self._model = model
        self._checkpoint_bytes = checkpoint_bytes
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._durable = 0
        self.done = 0
        self.validator = ""

    @property
    def kept(self) -> int:
        """The bytes that an earlier process left and that count."""
        note = _read(self._note)
        return min(note.durable, _size(self.path)) if note is not None else 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def open(self, hashed: Hashed) -> None:
        """Goes on where an earlier process ended, after hashing what it left. Raises OSError."""
        kept, note = self.kept, _read(self._note)
        self._file = self.path.open("r+b" if kept else "w+b")
        self._file.truncate(kept)
        self.validator = note.validator if note is not None and kept else ""
        while chunk := self._file.read(min(CHUNK_BYTES, kept - self.done)):
            self._digest.update(chunk)
            self.done += len(chunk)
            hashed(self.done, kept)
        self._durable = self.done

    def begin_anew(self) -> None:
        """Forgets all bytes. Raises OSError."""
        file = self._opened()
        self._note.unlink(missing_ok=True)
        file.seek(0)
        file.truncate(0)
        self._digest = hashlib.sha256()
        self.done = self._durable = 0
        self.validator = ""

    def write(self, chunk: bytes) -> None:
        """Appends bytes. Raises OSError."""
        self._opened().write(chunk)
        self._digest.update(chunk)
        self.done += len(chunk)
        if self.done - self._durable >= self._checkpoint_bytes:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Makes all bytes so far count. Raises OSError."""
        file = self._opened()
        file.flush()
        os.fsync(file.fileno())
        self._durable = self.done
        draft = self._note.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(Note(model=self._model, durable=self.done, validator=self.validator)))
        draft.replace(self._note)

    def close(self) -> None:
        """Closes the file, without making more bytes count."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Removes the file, unless it has got another name, and its note."""
        self.close()
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError(f"{self.path} is not open")
        return self._file


def remove_of_model(folder: Path, model: str) -> int:
    """Removes what was left half brought of a model, while nobody brings anything; returns the bytes freed."""
    freed = 0
    for note_path in folder.glob("*.json"):
        note = _read(note_path)
        if note is not None and note.model == model:
            part = note_path.with_suffix(".part")
            freed += _size(part)
            part.unlink(missing_ok=True)
            note_path.unlink(missing_ok=True)
    return freed


def _read(path: Path) -> Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
