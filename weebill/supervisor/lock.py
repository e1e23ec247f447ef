"""The lock that allows one supervisor for each home folder."""

from __future__ import annotations

import fcntl
import os

from weebill.config.paths import Home


class AlreadyRunningError(Exception):
    """Another supervisor holds the lock; `pid` is None if it has not written it yet."""

    def __init__(self, home: Home, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"Weebill is already running in {home.root} ({who})")


class InstanceLock:
    """Held from construction until `release` or the death of the process. Raises AlreadyRunningError."""

    def __init__(self, home: Home) -> None:
        self._file = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            raise AlreadyRunningError(home, int(holder) if holder.isdecimal() else None) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Releases the lock, so that another supervisor can start."""
        os.ftruncate(self._file, 0)
        os.close(self._file)
