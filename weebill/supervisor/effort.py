"""Measures what a process has had of the machine: who was kept waiting by others, or by the disk, is not to blame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Of what stands behind the name in /proc/PID/stat: state, utime and stime (proc_pid_stat(5)).
_STATE: Final = 0
_TIMES: Final = slice(11, 13)
_RUNNABLE: Final = "R"
_WAITS_FOR_DISK: Final = "D"


class Effort:
    """Follows the process `pid`, as far as the system tells (Linux)."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._told = bool(_fields(self._folder))
        self._used_s = self._used()

    def counted(self, elapsed_s: float) -> float:
        """Of the seconds since the last call, those in which the process could have answered.

        All of them for one that waits for something or stands still; what it ran for, for one that wants to run.
        """
        before, self._used_s = self._used_s, self._used()
        if not self._has_thread(_RUNNABLE):
            return elapsed_s
        return min(elapsed_s, self._used_s - before)

    def idled(self) -> bool:
        """Tells whether it has done nothing since the last call, and neither wants to run nor waits for the disk.

        False where the system does not tell.
        """
        before, self._used_s = self._used_s, self._used()
        return self._told and self._used_s == before and not self._has_thread(_RUNNABLE) and not self.waits_for_disk()

    def waits_for_disk(self) -> bool:
        """Tells whether the disk keeps it waiting, for a page or a write: another in its place would wait, too."""
        return self._has_thread(_WAITS_FOR_DISK)

    def _used(self) -> float:
        return sum(map(int, _fields(self._folder)[_TIMES])) / _TICKS_PER_S

    def _has_thread(self, state: str) -> bool:
        try:
            threads = list((self._folder / "task").iterdir())
        except OSError:
            return False
        return any(_fields(thread)[_STATE:1] == [state] for thread in threads)


def _fields(folder: Path) -> list[str]:
    """Of a process or thread; none where it is gone or the system has no such files."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
