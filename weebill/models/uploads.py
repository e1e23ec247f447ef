"""Files that clients have sent and of which no model has been made yet: in `partial`, under their SHA-256.

Those of which none is made are removed with other remains of downloads.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from weebill.models.errors import ModelDamagedError, NotFoundError, written_to
from weebill.models.names import is_inner_path

DIGEST: Final = re.compile(r"sha256[:-]([0-9a-f]{64})")


class Upload:
    """A file that is being received. Not named before its hash is found right."""

    def __init__(self, folder: Path, sha256: str) -> None:
        self._target = place_of(folder, sha256)
        self._sha256 = sha256
        self._draft = self._target.with_name(f"{self._target.name}.{secrets.token_hex(8)}")
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None

    def add(self, chunk: bytes) -> None:
        """Writes a part of the file. Raises DiskFullError or ReadOnlyError."""
        with written_to(self._target.parent):
            if self._file is None:
                self._target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = self._draft.open("xb")
            self._file.write(chunk)
        self._digest.update(chunk)

    def finish(self) -> None:
        """Names the file. Raises ModelDamagedError if it is another one than was announced, DiskFullError."""
        self.add(b"")
        if self._digest.hexdigest() != self._sha256:
            raise ModelDamagedError(f"The file's SHA-256 is {self._digest.hexdigest()} and must be {self._sha256}.")
        assert self._file is not None  # noqa: S101 - opened just now
        with written_to(self._target.parent):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._draft.replace(self._target)

    def close(self) -> None:
        """Removes what has not been named."""
        if self._file is not None:
            self._file.close()
            self._draft.unlink(missing_ok=True)


def place_of(folder: Path, sha256: str) -> Path:
    """Returns the place of an uploaded file in a model folder."""
    return folder / "partial" / f"upload-{sha256}.blob"


@contextlib.contextmanager
def laid_out(folder: Path, files: Mapping[str, str]) -> Iterator[Path]:
    """Yields a folder with links to uploaded files under their names.

    Raises NotFoundError for one that was not uploaded, or that has a name which leads elsewhere.
    """
    with TemporaryDirectory(prefix="weebill-") as scratch:
        for name, sha256 in files.items():
            place = place_of(folder, sha256)
            if not is_inner_path(name):
                raise NotFoundError(f"{name!r} is no name of a file.")
            if not place.is_file():
                raise NotFoundError(f"{name} was not uploaded: there is no blob sha256:{sha256}.")
            link = Path(scratch, name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place)
        yield Path(scratch)


def remove(folder: Path, sha256s: Iterable[str]) -> None:
    """Removes uploaded files of which a model was made."""
    for sha256 in sha256s:
        place_of(folder, sha256).unlink(missing_ok=True)
