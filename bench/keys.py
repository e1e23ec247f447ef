"""`python -m bench keys`: what the check of an API key costs a worker, where the ledger has a million of them.

A real installation with its ledger process; this process asks it and remembers keys as a worker does.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec
import uvloop
from rich.table import Table
from sqlalchemy import Connection, func, insert, select

from bench.contenders import weebill_program
from bench.proc import BenchError, Service, free_port
from weebill.accounts.api_key import TOPIC
from weebill.accounts.keyring import CAPACITY, KeyRing
from weebill.accounts.pepper import PEPPER_BYTES, key_digest
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.process.questions import Questions
from weebill.storage.audit import EXEMPT
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import API_KEYS

KEYS: Final = 1_000_000
MISS_MS: Final = 2.0
HIT_US: Final = 2.0
_BATCH: Final = 50_000
_ROUNDS: Final = 20
_BLOCK: Final = 256
_WEIGHED: Final = 2048
_NUMBER: Final = select(func.count()).select_from(API_KEYS)
_WARM: Final = 100  # before anything is measured
_START_S: Final = 60.0
_CONFIG: Final = """\
[database]
{database}

[server]
port = {port}

[local]
models = []
"""
_PEPPER: Final = bytes(PEPPER_BYTES)  # always the same, so that keys made once can be checked again
_COMMON: Final[dict[str, object]] = {
    "role": "user", "hint": "sk-wb-...", "created_at": 1, "made_in": 1, "changed_in": 1, "networks": "[]",
    "models": "[]", "endpoints": "[]", "local_only": False, "preferences": "{}",
}  # fmt: skip


class KeyChecks(msgspec.Struct, frozen=True, kw_only=True):
    """The findings: of misses, each a question to the ledger process, the median, the least and the 99th percentile; a
    hit; and what the cache of a worker takes when it is full.
    """

    database: str
    keys: int
    made_s: float | None  # None if they were there
    miss_ms: float
    miss_least_ms: float
    miss_p99_ms: float
    hit_us: float
    remembered: int
    memory_bytes: int


def measure_keys(count: int, url: str | None, told: Callable[[str], None]) -> KeyChecks:
    """Fills an empty ledger with keys and checks some of them; on SQLite in a temporary folder, else at `url`.

    If it has the keys already, of an earlier call, these are checked. Raises BenchError if it has others, or if Weebill
    does not start.
    """
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder:
        home = Home(Path(folder, "home"))
        home.create()
        begun = time.perf_counter()
        with open_ledger(home, DatabaseSettings(url=url), patience_s=3600.0) as ledger:
            ledger.change(lambda _: None)  # made before there is a pepper: later it would count as lost
            home.pepper.write_bytes(_PEPPER)
            keys_in(ledger, home)
            made_s = time.perf_counter() - begun if _fill(ledger, count) else None
            database = ledger.read(lambda connection: connection.dialect.name)
        told(f"{count:,} keys on {database}")
        of_database = "" if url is None else f'url = "{url}"'
        Path(folder, "home", "weebill.toml").write_text(_CONFIG.format(database=of_database, port=free_port()))
        log = Path(folder, "log")
        service = Service([weebill_program(), "serve"], log=log, env={"WEEBILL_HOME": str(Path(folder, "home"))})
        try:
            misses, hit_us, memory = uvloop.run(_checked(home.ledger_socket, count, service))
        finally:
            service.stop()
    misses.sort()
    return KeyChecks(
        database=database, keys=count, made_s=made_s, miss_ms=statistics.median(misses) * 1e3,
        miss_least_ms=misses[0] * 1e3, miss_p99_ms=misses[len(misses) * 99 // 100] * 1e3, hit_us=hit_us,
        remembered=CAPACITY, memory_bytes=memory * CAPACITY,
    )  # fmt: skip


def _token(number: int) -> bytes:
    return f"sk-wb-{number:048x}".encode()


def _fill(ledger: Database, count: int) -> bool:
    """Returns False if the keys are there already. Raises BenchError if others are."""
    there: int = ledger.read(lambda connection: connection.execute(_NUMBER).scalar_one())
    if there == count:
        return False
    if there:
        raise BenchError(
            f"the ledger has {there:,} keys: give an empty one, or `--keys {there}` if they are of this bench"
        )
    for first in range(0, count, _BATCH):
        rows = [_row(number) for number in range(first, min(count, first + _BATCH))]
        ledger.change(partial(_insert, rows=rows))
    ledger.change(lambda connection: connection.exec_driver_sql("ANALYZE"))
    return True


def _row(number: int) -> dict[str, object]:
    digest = key_digest(_token(number), _PEPPER)
    return {"id": f"key_{number}", "name": f"k{number}", "digest": digest, **_COMMON}


def _insert(connection: Connection, rows: list[dict[str, object]]) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(insert(API_KEYS).execution_options(**EXEMPT), rows)
        return
    from weebill.storage.postgresql.copying import copy_rows  # its driver is an extra

    copy_rows(connection, API_KEYS.name, tuple(rows[0]), [tuple(row.values()) for row in rows])


async def _checked(socket: Path, count: int, service: Service) -> tuple[list[float], float, int]:
    """Returns the seconds of each miss, the microseconds of a hit, and the bytes that a key takes there."""
    followed: dict[str, KeyRing] = {}
    questions = Questions(socket, followed)
    ring = followed[TOPIC] = KeyRing(_PEPPER, questions.ask)
    questions.start()
    try:
        await ring.wait(_START_S)
        if not ring.ready:
            raise BenchError(f"no answer of the ledger process within {_START_S:.0f} s: {service.log_end()}")
        tokens = [_token(number) for number in Random(15).sample(range(count), min(count, CAPACITY))]
        for token in tokens[:_WARM]:
            await ring.find(token)
        misses = []
        for token in tokens[_WARM:]:
            begun = time.perf_counter()
            found = await ring.find(token)
            misses.append(time.perf_counter() - begun)
            if found is None:
                raise BenchError("a key that is in the ledger was not found")
        hit_us = _hit_us(ring, tokens)
        return misses, hit_us, await _memory(KeyRing(_PEPPER, questions.ask), tokens[:_WEIGHED])
    finally:
        questions.close()


async def _memory(ring: KeyRing, tokens: list[bytes]) -> int:
    """Returns the bytes that a key takes in a cache, the mean of some."""
    gc.collect()
    tracemalloc.start()
    try:
        for token in tokens:
            await ring.find(token)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] // len(tokens)
    finally:
        tracemalloc.stop()


def _hit_us(ring: KeyRing, tokens: list[bytes]) -> float:
    """Returns what a hit costs: the mean over all keys, by the least time of each few of them."""
    blocks = [tokens[start : start + _BLOCK] for start in range(0, len(tokens), _BLOCK)]
    least = [float("inf")] * len(blocks)
    for _ in range(_ROUNDS):
        for at, block in enumerate(blocks):
            begun = time.perf_counter()
            for token in block:
                ring.known(token)
            least[at] = min(least[at], time.perf_counter() - begun)
    forgotten = sum(ring.known(token) is None for token in tokens)
    if forgotten:
        raise BenchError(f"{forgotten} keys were forgotten: has the ledger changed meanwhile?")
    return sum(least) / len(tokens) * 1e6


def keys_table(found: KeyChecks) -> Table:
    """A row for each figure, marked by whether it is within the target."""
    table = Table(
        title=f"The check of a key, one of {found.keys:,} on {found.database}",
        caption="the keys were there" if found.made_s is None else f"the keys were made in {found.made_s:.0f} s",
    )
    table.add_column("check")
    table.add_column("found", justify="right")
    table.add_column("target", justify="right")
    marks = {True: "✓", False: "✗"}
    table.add_row("miss: a question to the ledger process, median", f"{found.miss_ms:.2f} ms",
                  f"{marks[found.miss_ms < MISS_MS]} < {MISS_MS:g} ms")  # fmt: skip
    table.add_row("the fastest miss", f"{found.miss_least_ms:.2f} ms", "")
    table.add_row("99 of 100 misses", f"{found.miss_p99_ms:.2f} ms", "")
    table.add_row("hit: one of those a worker remembers", f"{found.hit_us:.2f} us",
                  f"{marks[found.hit_us < HIT_US]} < {HIT_US:g} us")  # fmt: skip
    table.add_row(f"memory of a worker for the {found.remembered:,} keys it remembers at most",
                  f"{found.memory_bytes / 2**20:.1f} MiB", "")  # fmt: skip
    return table
