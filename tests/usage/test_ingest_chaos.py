"""SIGKILL at random moments, to writers and ingester alike: every record is counted, and none twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from tests.fixtures.databases import rows
from tests.usage.ingest_process import at_work, ingest_until_killed
from tests.usage.journal_process import write_until_killed
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.usage import StoredUsage
from weebill.usage.drafts import DRAFT_SUFFIX
from weebill.usage.ingest import Ingester

KILLS = 15
# Each is forked from a process that has imported what they run, which takes longer than they live.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload([ingest_until_killed.__module__, write_until_killed.__module__])


class Victims:
    """The processes to be killed, and the file in which each says what it has done."""

    def __init__(self, home: Home, settings: DatabaseSettings, output: Path) -> None:
        self._home = home
        self._settings = settings
        self._output = output
        self._started = 0
        self.running: list[tuple[str, ForkServerProcess]] = []

    def start(self, kind: str) -> None:
        name = f"{kind}{self._started}"
        self._started += 1
        (self._output / name).touch()
        work: tuple[object, ...]
        if kind == "writer":
            work = (write_until_killed, self._home.journal, name, 16384)
        else:
            work = (ingest_until_killed, self._home, self._settings)
        process = FORKED.Process(target=at_work, args=(self._output / name, *work))
        process.start()
        self.running.append((kind, process))
        deadline = time.monotonic() + 60
        while not (self._output / name).stat().st_size:  # until it is at work, so that it is killed at work
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def kill(self, index: int) -> str:
        kind, process = self.running.pop(index)
        assert process.is_alive(), "it died by itself"
        process.kill()
        process.join()
        return kind


@pytest.fixture
def victims(home: Home, database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Victims]:
    output = tmp_path / "output"
    output.mkdir()
    victims = Victims(home, database_settings, output)
    yield victims
    for _, process in victims.running:
        process.kill()
        process.join()


def test_every_record_is_ingested_exactly_once(home: Home, ledger: Database, tmp_path: Path, victims: Victims) -> None:
    chance = random.Random(2)
    for kind in ("writer", "writer", "writer", "ingester"):
        victims.start(kind)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 0.1))
        victims.start(victims.kill(chance.randrange(len(victims.running))))
    while victims.running:
        victims.kill(0)

    [(ingested_under_fire,)] = rows(ledger, "SELECT count(*) FROM usage")
    for draft in home.journal.glob(f"*{DRAFT_SUFFIX}"):  # killed before it was published; deleted once it is old
        os.utime(draft, (0, 0))
    Ingester(StoredUsage(ledger), home.journal).run()
    found = rows(ledger, "SELECT request_id FROM usage")
    [(died,)] = rows(ledger, "SELECT count(*) FROM usage WHERE outcome = 'worker_died'")
    totals = rows(ledger, "SELECT sum(requests), sum(prompt_tokens) FROM usage_daily")
    [(quarantined,)] = rows(ledger, "SELECT count(*) FROM quarantine")

    numbers: dict[str, list[int]] = defaultdict(list)
    for (request_id,) in found:
        writer, number = request_id.split("-")
        numbers[writer].append(int(number))
    for output in (tmp_path / "output").glob("writer*"):
        announced = output.read_bytes().count(b"\n")
        written = sorted(numbers[output.name])
        assert written == list(range(len(written)))
        # The last may have been begun, or written, without there being time to say so.
        assert len(written) in (announced, announced + 1)
    assert totals == [(len(found), 10 * len(found))]
    assert quarantined == 0
    assert 0 < died <= KILLS
    assert list(home.journal.iterdir()) == []
    assert 0 < ingested_under_fire <= len(found)
