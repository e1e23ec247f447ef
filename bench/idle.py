"""`python -m bench.idle [SECONDS]`: what a Weebill costs that has nothing to do, process by process.

An installation with one worker and no local models, in a home of its own; nobody sends it a request.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.contenders import weebill_program
from bench.proc import BenchError, Service, busy_share, free_port, tree
from weebill.config.paths import Home
from weebill.supervisor.commands import NotRunningError, Status, StatusRequest, ask

_CONFIG: Final = """\
[server]
port = {port}

[local]
models = []
"""
_SECONDS: Final = 60.0
_SETTLED_S: Final = 5.0  # after the start, until only what goes on and on goes on
_START_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Spent:
    """The use of a process since its start: nanoseconds of processors, and how often it was woken up."""

    processor_ns: int
    wakes: int


@dataclass(frozen=True, slots=True)
class Idle:
    """The use of one process in a second."""

    name: str
    processor_ms: float
    wakes: float


def measure_idle(seconds: float) -> list[Idle]:
    """Returns each process of an idle installation. Raises BenchError if it does not start."""
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder:
        home = Path(folder, "home")
        home.mkdir(mode=0o700)
        (home / "weebill.toml").write_text(_CONFIG.format(port=free_port()))
        service = Service([weebill_program(), "serve"], log=home / "log", env={"WEEBILL_HOME": str(home)})
        try:
            _wait_until_ready(service, home)
            pids = _programs(service.pid)
            before, began = _spent(pids), time.monotonic()
            time.sleep(seconds)
            after, took_s = _spent(pids), time.monotonic() - began
        finally:
            service.stop()
    return [
        Idle(
            name,
            (after[pid].processor_ns - before[pid].processor_ns) / 1e6 / took_s,
            (after[pid].wakes - before[pid].wakes) / took_s,
        )
        for pid, name in pids.items()
        if pid in after
    ]


def _wait_until_ready(service: Service, home: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not _is_ready(home):
        service.check()
        if time.monotonic() > deadline:
            raise BenchError(f"Weebill was not ready within {_START_S:.0f} s: {service.log_end()}")
        time.sleep(0.1)
    time.sleep(_SETTLED_S)


def _is_ready(home: Path) -> bool:
    try:
        processes = ask(Home(home), StatusRequest(), Status).processes
    except NotRunningError:
        return False
    return all(each.state == "ready" for each in processes)


def _programs(root: int) -> dict[int, str]:
    """Returns the processes of a tree, by what they are called."""
    found = {}
    for pid in tree(root):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        found[pid] = next(
            (word.removeprefix("weebill.") for word in words if word.startswith("weebill.")), "supervisor"
        )
    return found


def _spent(pids: Iterable[int]) -> dict[int, Spent]:
    """Returns what processes have taken, the sum over their threads; without those that have ended."""
    return {pid: _of_threads(Path(f"/proc/{pid}/task")) for pid in pids if Path(f"/proc/{pid}/task").exists()}


def _of_threads(tasks: Path) -> Spent:
    processor_ns = wakes = 0
    for task in tasks.iterdir():
        processor_ns += int((task / "schedstat").read_text().split()[0])
        status = (task / "status").read_text().splitlines()
        wakes += sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
    return Spent(processor_ns, wakes)


def _table(found: list[Idle], busy: float) -> Table:
    table = Table(caption=f"others kept {busy:.0%} of all cores busy before")
    table.add_column("process")
    table.add_column("ms of processor a second", justify="right")
    table.add_column("wakes a second", justify="right")
    for each in found:
        table.add_row(each.name, f"{each.processor_ms:.2f}", f"{each.wakes:.0f}")
    table.add_row("all", f"{sum(each.processor_ms for each in found):.2f}", f"{sum(each.wakes for each in found):.0f}")
    return table


if __name__ == "__main__":
    busy_before = busy_share()
    Console().print(_table(measure_idle(float(sys.argv[1]) if sys.argv[1:] else _SECONDS), busy_before))
