"""A folder in which each process of a machine keeps one notice for the others.

Each process has its own file, replaced as a whole by a rename: there is no lock, no half-read notice, and a killed
process leaves its last one. A look costs one `stat` for each file, and where nothing has changed, one in all.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

MAX_NOTICE_BYTES: Final = 1024 * 1024
_SUFFIX: Final = ".notice"
_COARSE_NS: Final = 20_000_000  # two changes of a folder as close as that may have the same time


class NoticeDirectory:
    """The notices in `folder`, of which this process writes the one called `name`. Methods block, and raise OSError.

    Notices from before this object was made are not read: their writers may be long gone.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._own = folder / f"{name}{_SUFFIX}"
        self._seen: dict[str, tuple[int, int]] = {}
        self._changed_ns = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.read()

    def post(self, notice: bytes) -> None:
        """Replaces this process's notice. Raises ValueError for one of more than MAX_NOTICE_BYTES."""
        if len(notice) > MAX_NOTICE_BYTES:
            raise ValueError(f"a notice of {len(notice)} bytes, of {MAX_NOTICE_BYTES} allowed")
        draft = self._own.with_suffix(".draft")
        draft.write_bytes(notice)
        draft.replace(self._own)

    def changed(self) -> bool:
        """True if there may be new notices since the last `read`. Each of them comes by a rename in the folder."""
        return self._folder.stat().st_mtime_ns != self._changed_ns

    def read(self) -> list[bytes]:
        """Returns the notices of others that are new since the last call."""
        changed_ns = self._folder.stat().st_mtime_ns
        self._changed_ns = changed_ns if changed_ns + _COARSE_NS < time.time_ns() else 0
        changed = []
        for entry in os.scandir(self._folder):
            if entry.name.endswith(_SUFFIX) and entry.name != self._own.name:
                try:
                    status = entry.stat()
                    # Every notice is a new file, so the inode tells apart two with the same timestamp.
                    version = (status.st_ino, status.st_mtime_ns)
                    if self._seen.get(entry.name) != version and status.st_size <= MAX_NOTICE_BYTES:
                        changed.append(Path(entry).read_bytes())
                        self._seen[entry.name] = version
                except FileNotFoundError:
                    self._seen.pop(entry.name, None)
        return changed

    @staticmethod
    def latest(folder: Path, age_s: float) -> list[bytes]:
        """Returns all notices that are at most `age_s` old, for processes without one of their own."""
        found = []
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            try:
                status = path.stat()
                if time.time() - status.st_mtime <= age_s and status.st_size <= MAX_NOTICE_BYTES:
                    found.append(path.read_bytes())
            except FileNotFoundError:
                continue
        return found

    def remove(self) -> None:
        """Removes this process's notice."""
        self._own.unlink(missing_ok=True)
