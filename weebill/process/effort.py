"""Measures the time in which a process could have run: it is not to blame for waits for a processor or the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Indexes of the fields after the name in /proc/PID/stat (proc_pid_stat(5)).
_STATE: Final = 0
_TIMES: Final = slice(11, 13)
_SESSION: Final = 3
_PAGES: Final = 9  # that had to be read
_TIMES_WITH_CHILDREN: Final = slice(11, 15)
_MOVED: Final = frozenset({"rchar", "wchar", "read_bytes"})  # proc_pid_io(5)
_PROCESSES: Final = Path("/proc")
# More than a question ten times a second takes of a server that only says that it loads.
_LEAST_USED_S: Final = 0.05
_LEAST_SHARE: Final = 0.02
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
        return state in _thread_states(self._folder)


def _thread_states(folder: Path) -> set[str]:
    """Returns the states of the threads of a process; none if it is gone."""
    try:
        threads = list((folder / "task").iterdir())
    except OSError:
        return set()
    return {state for thread in threads for state in _fields(thread)[_STATE:1]}


def _bytes_moved(folder: Path) -> int:
    """Returns the bytes that a process has read and written; 0 if it is gone or another user's."""
    try:
        lines = (folder / "io").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(number) for name, _, number in (line.partition(": ") for line in lines) if name in _MOVED)


def _fields(folder: Path) -> list[str]:
    """Reads the fields of a process or thread; none if it is gone or the system has no such files."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


class Activity(NamedTuple):
    """The work of some processes so far: the seconds of processors that they had, and the bytes that they have read and
    written, pages that were read for them counted in. One that `waits` wants a processor, or waits for the disk.
    """

    cpu_s: float
    moved: int
    waits: bool


def activity_of(session: int) -> Activity | None:
    """Returns what the processes of a session have done, and those that have ended there; None if the system does not
    tell (Linux does).
    """
    cpu_s, moved, waits, found = 0.0, 0, False, False
    for folder in _PROCESSES.glob("[0-9]*"):
        fields = _fields(folder)
        if not fields or int(fields[_SESSION]) != session:
            continue
        found = True
        cpu_s += sum(map(int, fields[_TIMES_WITH_CHILDREN])) / _TICKS_PER_S
        moved += int(fields[_PAGES]) + _bytes_moved(folder)
        waits = waits or bool(_thread_states(folder) & {_RUNNABLE, _WAITS_FOR_DISK})
    return Activity(cpu_s, moved, waits) if found else None


class Stillness:
    """Measures for how long processes have done nothing: none has read or written, and they have had less of a
    processor than answers to our questions take.
    """

    def __init__(self) -> None:
        self._last: Activity | None = None
        self._still_s = 0.0

    def after(self, elapsed_s: float, found: Activity | None) -> float:
        """Returns the seconds, from what is found after some more; 0 if the system does not tell."""
        last = self._last
        self._still_s += elapsed_s
        # Counts what has elapsed for the caller: while it stood still itself, it could not look.
        if last is None or found is None or found.waits or found.moved != last.moved or self._works(last, found):
            self._last, self._still_s = found, 0.0
        return self._still_s

    def _works(self, last: Activity, found: Activity) -> bool:
        return found.cpu_s - last.cpu_s >= max(_LEAST_USED_S, _LEAST_SHARE * self._still_s)
