"""Measures the time in which a process could have run: it is not to blame for waits for a processor or the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Indexes of the fields after the name in /proc/PID/stat: state, utime and stime (proc_pid_stat(5)).
_STATE: Final = 0
_TIMES: Final = slice(11, 13)
_RUNNABLE: Final = "R"
_WAITS_FOR_DISK: Final = "D"


class Effort:
    """Measures the process `pid`, if the system has the figures (Linux)."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._told = bool(_fields(self._folder))
        self._used_s = self._used()

    def counted(self, elapsed_s: float) -> float:
        """Returns the seconds since the last call in which the process could have answered.

        For a process that sleeps or is stopped, all of them; for one that wants to run, the processor time it had.
        """
        before, self._used_s = self._used_s, self._used()
        if not self._has_thread(_RUNNABLE):
            return elapsed_s
        return min(elapsed_s, self._used_s - before)

    def idled(self) -> bool:
        """True if it has done nothing since the last call, and neither wants to run nor waits for the disk.

        False if the system has no figures.
        """
        before, self._used_s = self._used_s, self._used()
        return self._told and self._used_s == before and not self._has_thread(_RUNNABLE) and not self.waits_for_disk()

    def waits_for_disk(self) -> bool:
        """True if it waits for the disk, for a page or a write: a restarted process would wait, too."""
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
    """Reads the fields of a process or thread; none if it is gone or the system has no such files."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
