"""SIGKILL at random moments, to writers, ingester and search for rated requests alike: every record and every rating is
counted, and none twice.
"""

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
from tests.usage.ingest_process import at_work, ingest_until_killed, look_until_killed
from tests.usage.journal_process import EACH_RATED, write_until_killed
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.rating_search import RatingSearch
from weebill.storage.usage import StoredUsage
from weebill.usage.drafts import DRAFT_SUFFIX
from weebill.usage.ingest import Ingester

KILLS = 15
WORK = {"ingester": ingest_until_killed, "search": look_until_killed}
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
            work = (WORK[kind], self._home, self._settings)
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
    for kind in ("writer", "writer", "writer", "ingester", "search"):
        victims.start(kind)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 0.1))
        victims.start(victims.kill(chance.randrange(len(victims.running))))
    while victims.running:
        victims.kill(0)

    [(ingested_under_fire,)] = rows(ledger, "SELECT count(*) FROM usage")
    [(found_under_fire,)] = rows(ledger, "SELECT count(*) FROM usage_ratings")
    for draft in home.journal.glob(f"*{DRAFT_SUFFIX}"):  # killed before it was published; deleted once it is old
        os.utime(draft, (0, 0))
    Ingester(StoredUsage(ledger), home.journal).run()
    RatingSearch(ledger, lambda: None).look()
    found = rows(ledger, "SELECT request_id FROM usage")
    rated = rows(
        ledger, "SELECT request_id, score_micro FROM usage_ratings JOIN usage_entries ON usage_entries.id = entry"
    )
    sums = rows(ledger, "SELECT sum(rated), sum(score_micro) FROM usage_sums WHERE hours = 24")
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
    ratings: dict[str, list[int]] = defaultdict(list)
    for request_id, score in rated:
        writer, number = request_id.split("-")
        ratings[writer].append(int(number))
        assert score == int(number)
    for output in (tmp_path / "output").glob("writer*"):
        announced = output.read_bytes().count(b"\n")
        # Here, too, the last one may be there without having been announced.
        expected = list(range(0, announced, EACH_RATED))
        assert sorted(ratings[output.name]) in (expected, list(range(0, announced + 1, EACH_RATED)))
    assert [tuple(map(int, row)) for row in sums] == [(len(rated), sum(score for _, score in rated))]
    assert rows(ledger, "SELECT count(*) FROM usage_ratings_waiting") == [(0,)]
    assert 0 < found_under_fire <= len(rated)
    assert totals == [(len(found), 10 * len(found))]
    assert quarantined == 0
    assert 0 < died <= KILLS
    assert list(home.journal.iterdir()) == []
    assert 0 < ingested_under_fire <= len(found)
