"""One of two providers fails in every way there is, while requests come in steadily. What do the clients see?

A real `weebill serve` stands in front of two loopback providers (`provider.py`). One is well throughout; the other
goes through all modes, again and again: killed, silent, errors, limits, connections that are cut, garbage. A request is
good if its answer is complete and right. One of which some content had been passed on when it broke off cannot be saved
(`resume` aside) and is counted apart.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Final

import msgspec

from bench.contenders import weebill_key, weebill_program
from bench.failover.client import Seen, ask
from bench.proc import BenchError, ProcessSample, Service, free_port, samples

KILL: Final = "kill"
WELL: Final = "well"
MODES: Final = (KILL, "hang", "500", "429", "cut", "garbage")

_START_S: Final = 60.0
_RECORDS_S: Final = 30.0
_WATCH_S: Final = 0.25
_SETTLE_S: Final = 1.0
_CONFIG: Final = """
[server]
port = {port}
workers = 1
[local]
models = []
[providers.faulty]
base_url = "http://127.0.0.1:{faulty}/v1"
models = ["m"]
[providers.good]
base_url = "http://127.0.0.1:{good}/v1"
models = ["m"]
[routing.breaker]
open_s = {open_s}
max_open_s = {max_open_s}
slow_start_s = {slow_start_s}
failures = {failures}
min_requests = {failures}
"""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`requests` at `rate` a second, half of them streams; each mode lasts `failing_s`, with `well_s` after it.

    Callers wait `deadline_s` for their answer to begin, and a busy machine may wake them `slack_s` later. Breakers open
    after `failures` in a row; what fails is tried again sooner than by default, so that the failing provider is met
    more often.
    """

    requests: int = 20_000
    rate: float = 150.0
    failing_s: float = 6.0
    well_s: float = 4.0
    deadline_s: float = 5.0
    slack_s: float = 1.0
    open_s: float = 1.0
    max_open_s: float = 2.0
    slow_start_s: float = 1.0
    failures: int = 5

    @property
    def breaks(self) -> bool:
        """Whether a breaker can open at all."""
        return self.failures < self.requests


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway worker's open files and resident bytes at some time; `under_way` are requests."""

    at_s: float
    under_way: int
    fds: int
    rss: int


class Failover(msgspec.Struct, kw_only=True):
    """All that happened. `records` counts the usage records of requests that have as many."""

    plan: Plan
    seconds: float
    seen: list[Seen]
    moments: list[Moment]
    records: dict[int, int]

    @property
    def savable(self) -> list[Seen]:
        """All but those of which content had been passed on when they failed."""
        return [it for it in self.seen if not it.fault or not it.content]

    @property
    def good(self) -> float:
        """The share of those that were answered, 0 to 1."""
        return sum(not it.fault for it in self.savable) / len(self.savable)

    @property
    def longest_s(self) -> float:
        """The longest that anybody waited for an answer to begin."""
        return max(it.begun_s for it in self.seen)

    def faults(self) -> list[str]:
        """What is not as it should be."""
        found = []
        if self.good < 0.999:
            found.append(f"only {self.good:.3%} answered: {Counter(it.fault for it in self.savable if it.fault)}")
        if self.longest_s > self.plan.deadline_s + self.plan.slack_s:
            found.append(f"somebody waited {self.longest_s:.1f} s")
        if set(self.records) != {1}:
            found.append(f"usage records for each request: {self.records}")
        first, last = self.moments[0], self.moments[-1]
        if any(it.fds > first.fds + 3 * it.under_way + 64 for it in self.moments):
            found.append(f"open files: {max(it.fds for it in self.moments)}")
        if last.rss > first.rss + 32_000_000:
            found.append(f"resident: {first.rss / 1e6:.0f} MB became {last.rss / 1e6:.0f} MB")
        return found


class Faulty:
    """The provider that fails, as a process."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bench.failover.provider", str(self._port)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parents[2]
            )
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise BenchError(f"{' '.join(command)} does not start: {self._log.read_text()[-500:]}")
        return process

    def be(self, mode: str) -> None:
        """Fail in that way from now on."""
        if mode == KILL:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            return
        if self._process.poll() is not None:
            self._process = self._start()
        self._say("well" if mode == WELL else mode)

    def _say(self, mode: str) -> None:
        if self._process.stdin is None:
            raise AssertionError("it is started with a pipe")
        self._process.stdin.write(f"{mode}\n".encode())
        self._process.stdin.flush()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def failover(plan: Plan, tick: Callable[[int, str], None]) -> Failover:
    """Run it; `tick` is told how many requests are over, and the mode. Stops all it started."""
    with tempfile.TemporaryDirectory(prefix="weebill-failover-") as name, ExitStack() as stack:
        folder = Path(name)
        faulty_port, good_port, port = free_port(), free_port(), free_port()
        faulty, good = (Faulty(each, folder / "providers.log") for each in (faulty_port, good_port))
        stack.callback(good.stop)
        stack.callback(faulty.stop)
        config = _CONFIG.format(port=port, faulty=faulty_port, good=good_port, **msgspec.structs.asdict(plan))
        (folder / "weebill.toml").write_text(config)
        key = weebill_key(folder)
        service = Service([weebill_program(), "serve"], log=folder / "log", env={"WEEBILL_HOME": str(folder)})
        stack.callback(service.stop)
        run = _Run(plan, port, key, service, faulty, tick)
        asyncio.run(run.all())
        records = _records(folder / "weebill.db", [it.request_id for it in run.seen])
        return Failover(plan=plan, seconds=run.seconds, seen=run.seen, moments=run.moments, records=records)


class _Run:
    def __init__(
        self, plan: Plan, port: int, key: str, service: Service, faulty: Faulty, tick: Callable[[int, str], None]
    ) -> None:
        self._plan = plan
        self._port = port
        self._key = key
        self._service = service
        self._faulty = faulty
        self._tick = tick
        self._mode = WELL
        self._under_way = 0
        self.seconds = 0.0
        self.seen: list[Seen] = []
        self.moments: list[Moment] = []

    async def all(self) -> None:
        await self._ready()
        watching, failing = asyncio.create_task(self._watch()), asyncio.create_task(self._fail())
        begun = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._plan.requests):
                    group.create_task(self._ask(number))
                    await asyncio.sleep(max(0.0, begun + (number + 1) / self._plan.rate - time.monotonic()))
            self.seconds = time.monotonic() - begun
            await asyncio.sleep(_SETTLE_S)
        finally:
            failing.cancel()
            watching.cancel()
            await asyncio.gather(failing, watching, return_exceptions=True)
        self._note(begun)

    async def _ready(self) -> None:
        until = time.monotonic() + _START_S
        while True:
            self._service.check()
            if not (await self._asked(0)).fault:
                return
            if time.monotonic() > until:
                raise BenchError(f"weebill is not ready after {_START_S:.0f} s: {self._service.log_end()}")
            await asyncio.sleep(0.1)

    async def _fail(self) -> None:
        """Through all modes, with time to recover after each."""
        plan = self._plan
        for mode in cycle(MODES):
            await asyncio.sleep(plan.well_s)
            self._faulty.be(mode)
            self._mode = mode
            await asyncio.sleep(plan.failing_s)
            self._faulty.be(WELL)
            self._mode = WELL

    async def _ask(self, number: int) -> None:
        self._under_way += 1
        try:
            self.seen.append(await self._asked(number))
        finally:
            self._under_way -= 1

    async def _asked(self, number: int) -> Seen:
        return await ask(self._port, self._key, number, self._mode, self._plan.deadline_s)

    async def _watch(self) -> None:
        begun = time.monotonic()
        while True:
            self._note(begun)
            self._tick(len(self.seen), self._mode)
            await asyncio.sleep(_WATCH_S)

    def _note(self, begun: float) -> None:
        worker = self._worker()
        self.moments.append(
            Moment(at_s=time.monotonic() - begun, under_way=self._under_way, fds=worker.fds, rss=worker.memory.rss)
        )

    def _worker(self) -> ProcessSample:
        found = [it for it in samples(self._service.pid) if it.name == "weebill.gateway"]
        if len(found) != 1:
            raise BenchError(f"there are {len(found)} gateway workers; {self._service.log_end()}")
        return found[0]


def _records(database: Path, request_ids: list[str]) -> dict[int, int]:
    """For each number of usage records, how many of these requests have so many; waits for the last to be there."""
    until = time.monotonic() + _RECORDS_S
    while True:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            rows = Counter(found for (found,) in connection.execute("SELECT request_id FROM usage"))
        counts = Counter(rows[request_id] for request_id in request_ids)
        if not counts[0] or time.monotonic() > until:
            return {number: count for number, count in counts.items() if count}
        time.sleep(0.2)
