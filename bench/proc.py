"""Starting, pinning, watching and stopping processes (Linux: /proc, taskset)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

CONTENDER_CORE = 0
HARNESS_CORE = 1

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class BenchError(Exception):
    """Something that the person who runs the benchmark has to know or do."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. `pss` shares out pages that several processes map, so that it may be summed over them."""

    rss: int = 0
    pss: int = 0

    def __add__(self, other: Memory) -> Memory:
        return Memory(rss=self.rss + other.rss, pss=self.pss + other.pss)


class ProcessSample(msgspec.Struct, frozen=True, kw_only=True):
    """One process at one moment."""

    pid: int
    name: str
    memory: Memory
    fds: int


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require(program: str, package: str) -> str:
    """The path of `program`; BenchError says which Debian package brings it."""
    found = shutil.which(program)
    if found is None:
        raise BenchError(f"{program} is not installed; install it with: apt-get install {package}")
    return found


def busy_share(seconds: float = 1.0) -> float:
    """The share of all cores in use by anybody, from 0 to 1; waits `seconds` to find out."""

    def times() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]  # all, and of these idle or waiting for a disk

    before = times()
    time.sleep(seconds)
    after = times()
    return 1 - (after[1] - before[1]) / max(1, after[0] - before[0])


def tree(root: int) -> list[int]:
    """`root` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    pids = [root]
    for pid in pids:  # grows while it is walked
        pids.extend(children.get(pid, ()))
    return pids


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and of the children that they have waited for."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) / _TICKS_PER_S


def cpu_by_process(root: int) -> dict[str, float]:
    """CPU seconds of a tree, summed over processes of one name."""
    spent: dict[str, float] = {}
    for pid in tree(root):
        with suppress(OSError):
            name = _name(pid)
            spent[name] = spent.get(name, 0.0) + cpu_seconds([pid])
    return spent


def samples(root: int) -> list[ProcessSample]:
    """The memory and open files of every process of a tree; what ends meanwhile is left out."""
    found = []
    for pid in tree(root):
        with suppress(OSError):
            found.append(
                ProcessSample(pid=pid, name=_name(pid), memory=_memory(pid), fds=len(os.listdir(f"/proc/{pid}/fd")))
            )
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (state, ppid, ...), none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _name(pid: int) -> str:
    """The module or program that a process runs, e.g. `weebill.gateway` or `nginx: worker process`."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    script = words[1] if len(words) > 1 and "python" in words[0] else words[0]
    return Path(script).name


def _memory(pid: int) -> Memory:
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    pss = next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return Memory(rss=resident, pss=pss)


class Service:
    """A process started by the benchmark, with all it starts; `log` takes what it prints."""

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        core: int | None = None,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        pinned = ["taskset", "--cpu-list", str(core), *command] if core is not None else command
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                pinned,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | (env or {}),
                cwd=log.parent,
                pass_fds=pass_fds,
                start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then stops the rest in order
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """BenchError with the end of its log if it is no longer running."""
        if self._process.poll() is not None:
            raise BenchError(f"ended with status {self._process.returncode}: {self.log_end()}")

    def log_end(self) -> str:
        return self.log.read_text(errors="replace")[-1500:].strip()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Awake inside the block and stopped (SIGSTOP) outside it, so as not to disturb the others."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def _signal(self, number: signal.Signals) -> None:
        for pid in tree(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to whatever of its tree is left after a while."""
        self.resume()
        pids = tree(self.pid)
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        for pid in pids[1:]:
            # Its parent is gone, so a process with this pid and another parent than init is not ours.
            if (fields := _stat(pid)) and int(fields[1]) in (1, *pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
