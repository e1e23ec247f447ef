"""A real `weebill serve` under a steady load while its ledger is in trouble: what do clients and operators see?

Keys that the workers have met, within limits that they hold parts of; keys that they have not met; the management API.
PostgreSQL gets a proxy in front (`between.py`); SQLite another program that holds its lock.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from bench.contenders import weebill_program, weebill_says
from bench.failover.run import Faulty
from bench.http import Answer
from bench.outage.between import Between
from bench.proc import BenchError, Service, free_port
from weebill.config.paths import Home
from weebill.telemetry import layout
from weebill.telemetry.metrics import LOOP_LAG, PART

WELL: Final = "well"
WORKERS: Final = 2
KNOWN, UNMET, MANAGING = "known key", "key not met", "management"

_START_S: Final = 60.0
_CLIENTS: Final = 8
_PAUSE_S: Final = 0.02
_SLOW_S: Final = 3.0
_ASK_S: Final = 0.5  # between two requests of those that are asked to see how they fail
_DEADLINE_S: Final = 60.0
_CONFIG: Final = """
[database]
{database}
grace_s = 600.0
[server]
port = {port}
workers = {workers}
loop_lag_step_s = 0.01
[local]
models = []
[providers.well]
base_url = "http://127.0.0.1:{provider}/v1"
models = ["m"]
"""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: who asked, in which phase, its status (0 for none), and how long it took."""

    phase: str
    who: str
    status: int
    seconds: float


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket, by its upper bound in milliseconds, of the longest that a worker's loop was late in a phase.

    `own_ms` is without waits for a processor.
    """

    phase: str
    worker: int
    all_ms: float
    own_ms: float


class Outages(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen."""

    database: str
    phase_s: float
    seen: list[Seen]
    stalls: list[Stall]


class _Trouble(NamedTuple):
    phase: str
    begin: Callable[[], object]
    end: Callable[[], object]


def outages(phase_s: float, url: str | None, told: Callable[[str], None]) -> Outages:
    """Goes through all troubles, each for so long; `url` is an empty PostgreSQL database, which stays as it is then."""
    with tempfile.TemporaryDirectory(prefix="weebill-outage-") as name, ExitStack() as stack:
        folder = Path(name)
        if url is None:
            database, troubles = "", _of_sqlite(folder / "weebill.db")
        else:
            between = stack.enter_context(Between(urlsplit(url).port or 5432))
            database, troubles = f'url = "{_through(url, between.port)}"', _of_postgresql(between)
        provider_port, port = free_port(), free_port()
        provider = Faulty(provider_port, folder / "provider.log")
        stack.callback(provider.stop)
        config = _CONFIG.format(database=database, port=port, workers=WORKERS, provider=provider_port)
        (folder / "weebill.toml").write_text(config)
        keys = {
            KNOWN: weebill_says(folder, "keys", "create", KNOWN, "--quiet"),
            UNMET: weebill_says(folder, "keys", "create", UNMET, "--quiet"),
            MANAGING: weebill_says(folder, "keys", "create", MANAGING, "--admin", "--quiet"),
        }
        weebill_says(folder, "limits", "set", KNOWN, "requests", "100000000", "--per", "day")
        service = Service([weebill_program(), "serve"], log=folder / "log", env={"WEEBILL_HOME": str(folder)})
        stack.callback(service.stop)
        run = _Run(port, keys, service, Home(folder).counters, phase_s, told)
        asyncio.run(run.all(troubles))
        return Outages(
            database="SQLite" if url is None else "PostgreSQL", phase_s=phase_s, seen=run.seen, stalls=run.stalls
        )


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"))


def _of_postgresql(between: Between) -> list[_Trouble]:
    def slow(seconds: float) -> None:
        between.delay_s = seconds

    def silent(is_silent: bool) -> None:
        between.silent = is_silent

    def restart() -> None:
        between.close()
        between.open()

    return [
        _Trouble("stopped", between.close, between.open),
        _Trouble(f"slow: {_SLOW_S:g} s a query", lambda: slow(_SLOW_S), lambda: slow(0.0)),
        _Trouble("silent", lambda: silent(True), lambda: silent(False)),
        _Trouble("started again", restart, lambda: None),
    ]


def _of_sqlite(path: Path) -> list[_Trouble]:
    locker: list[sqlite3.Connection] = []

    def lock() -> None:
        locker.append(sqlite3.connect(path, isolation_level=None))
        locker[0].execute("BEGIN IMMEDIATE")

    def unlock() -> None:
        locker.pop().close()

    away = path.with_name("away.db")
    return [
        _Trouble("locked by another program", lock, unlock),
        _Trouble("moved away", lambda: path.rename(away), lambda: away.rename(path)),
    ]


class _Run:
    def __init__(
        self,
        port: int,
        keys: dict[str, str],
        service: Service,
        counters: Path,
        phase_s: float,
        told: Callable[[str], None],
    ) -> None:
        self._port = port
        self._keys = keys
        self._service = service
        self._counters = counters
        self._phase_s = phase_s
        self._told = told
        self._phase = ""
        self.seen: list[Seen] = []
        self.stalls: list[Stall] = []

    async def all(self, troubles: list[_Trouble]) -> None:
        await self._ready()
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(self._goes_on(KNOWN, _PAUSE_S)) for _ in range(_CLIENTS)]
            clients += [group.create_task(self._goes_on(who, _ASK_S)) for who in (UNMET, MANAGING)]
            await asyncio.sleep(1.0)
            with self._in_phase(WELL):
                await asyncio.sleep(self._phase_s)
            for trouble in troubles:
                with self._in_phase(trouble.phase):
                    await asyncio.to_thread(trouble.begin)
                    await asyncio.sleep(self._phase_s)
                await asyncio.to_thread(trouble.end)
                await self._back(trouble.phase)
            for each in clients:
                each.cancel()

    @contextmanager
    def _in_phase(self, name: str) -> Iterator[None]:
        self._told(name)
        self._phase = name
        before = _lags(self._counters)
        yield
        self._phase = ""
        for worker, lags in _lags(self._counters).items():
            all_ms, own_ms = (_longest_ms(was, now) for was, now in zip(before[worker], lags, strict=True))
            self.stalls.append(Stall(phase=name, worker=worker, all_ms=all_ms, own_ms=own_ms))

    async def _back(self, phase: str) -> None:
        began = time.monotonic()
        while (await self._ask(MANAGING))[0] != 200:
            if time.monotonic() > began + _START_S:
                raise BenchError(f"the ledger is not back after {phase}: {self._service.log_end()}")
            await asyncio.sleep(0.1)
        self._told(f"back after {time.monotonic() - began:.1f} s")

    async def _ready(self) -> None:
        until = time.monotonic() + _START_S
        while (await self._ask(KNOWN))[0] != 200:
            self._service.check()
            if time.monotonic() > until:
                raise BenchError(f"weebill is not ready after {_START_S:.0f} s: {self._service.log_end()}")
            await asyncio.sleep(0.1)

    async def _goes_on(self, who: str, pause_s: float) -> None:
        while True:
            phase = self._phase
            status, seconds = await self._ask(who)
            if phase and phase == self._phase:
                self.seen.append(Seen(phase=phase, who=who, status=status, seconds=seconds))
            await asyncio.sleep(pause_s)

    async def _ask(self, who: str) -> tuple[int, float]:
        """Returns the status, 0 if there is none, and how long it took."""
        # What no worker has met is another key each time. That there is none such, the ledger has to say.
        key = f"{self._keys[who][:-8]}{os.urandom(4).hex()}" if who == UNMET else self._keys[who]
        answer, sent_at = Answer(), time.monotonic()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(_request(who, key))
                    while not answer.complete and (data := await reader.read(65_536)):
                        answer.feed(data)
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return 0, time.monotonic() - sent_at
        return answer.status, time.monotonic() - sent_at


def _request(who: str, key: str) -> bytes:
    body = b"" if who == MANAGING else msgspec.json.encode(
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16}
    )  # fmt: skip
    lines = (
        "GET /api/v1/keys HTTP/1.1" if who == MANAGING else "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {key}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _lags(folder: Path) -> dict[int, tuple[tuple[int, ...], ...]]:
    """The buckets of each worker's lags so far: of all, and of its own."""
    found = {}
    for worker, path in layout.find_files(folder):
        cells = memoryview(path.read_bytes())[layout.CELLS_AT :].cast("Q")
        first = layout.FIRST_CELL[LOOP_LAG.name]
        parts = (first + at * LOOP_LAG.width for at in range(len(PART.values)))
        found[worker] = tuple(tuple(cells[start : start + LOOP_LAG.width - 1]) for start in parts)
    return found


def _longest_ms(before: tuple[int, ...], after: tuple[int, ...]) -> float:
    bounds = (*LOOP_LAG.bounds, float("inf"))
    return max((bound / 1e3 for bound, was, now in zip(bounds, before, after, strict=True) if now > was), default=0.0)
