"""Copies of a journal: of a machine that was taken for lost, and of one that runs on. Each record is billed once."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from journal_process import make_record
from test_intents import die

from tests.fixtures.databases import rows
from tests.limits.test_borrowing import Lending
from tests.limits.test_leases_end import Worker
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, MeteringSettings
from weebill.process.questions import Unanswered
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage, forget_ends
from weebill.usage.ingest import Ingester
from weebill.usage.intents import INTENTS_SUFFIX
from weebill.usage.journal import JournalWriter
from weebill.usage.records import Intent


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Where a copy of a journal is kept."""
    return tmp_path / "copies"


def ids(ledger: Database) -> list[str]:
    return [id_ for (id_,) in rows(ledger, "SELECT request_id FROM usage ORDER BY request_id")]


def writer(home: Home, *, under_way: str = "") -> JournalWriter:
    journal = JournalWriter(home.journal, 0, MeteringSettings(segment_bytes=4096))
    journal.intents.make_room()
    if under_way:
        journal.intend(Intent(under_way, "key_1", "chat.completions", "m", "m", "acme", False, 1, 40))
    return journal


def ingest(ledger: Database, folder: Path) -> int:
    return Ingester(StoredUsage(ledger), folder, cost=lambda *_: 7).run()


def test_the_journal_of_a_lost_machine_counts_once_when_the_machine_comes_back(
    home: Home, ledger: Database, copies: Path
) -> None:
    journal = writer(home, under_way="open")
    for number in range(40):
        journal.append(make_record(f"req-{number:02}"))
    early = shutil.copytree(home.journal, copies.with_name("early"))
    assert len(list(early.glob("*.jsonl"))) > 1
    assert ingest(ledger, home.journal) == 40
    journal.append(make_record("req-40"))
    die(journal)
    shutil.copytree(home.journal, copies)
    assert ingest(ledger, copies) == 2
    assert list(copies.iterdir()) == []
    before = ids(ledger), rows(ledger, "SELECT requests, cost_nano FROM usage_daily ORDER BY model, key_id")
    for folder in (home.journal, early):
        assert ingest(ledger, folder) == 0
        assert list(folder.iterdir()) == []
    assert (ids(ledger), rows(ledger, "SELECT requests, cost_nano FROM usage_daily ORDER BY model, key_id")) == before
    assert ids(ledger) == ["open", *(f"req-{number:02}" for number in range(41))]


def test_a_longer_copy_adds_only_what_is_new(home: Home, ledger: Database, copies: Path) -> None:
    journal = writer(home)
    journal.append(make_record("a"))
    shutil.copytree(home.journal, copies)
    journal.append(make_record("b"))
    assert ingest(ledger, copies) == 1
    assert ingest(ledger, home.journal) == 1
    die(journal)
    assert ingest(ledger, home.journal) == 0
    assert ids(ledger) == ["a", "b"]


def test_what_a_running_worker_has_under_way_is_recorded_although_a_copy_was_settled(
    home: Home, ledger: Database, copies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = writer(home)
    journal.append(make_record("a"))
    ingester = Ingester(StoredUsage(ledger), home.journal, cost=lambda *_: 7)
    assert ingester.run() == 1
    shutil.copytree(home.journal, copies)
    assert ingest(ledger, copies) == 0
    assert list(copies.iterdir()) == []
    journal.intend(Intent("open", "key_1", "chat.completions", "m", "m", "acme", False, 1, 40))
    journal.append(make_record("b"))
    with caplog.at_level(logging.ERROR):
        assert ingester.run() == 1
        assert ingester.run() == 0
    assert len([each for each in caplog.records if "was settled elsewhere" in each.getMessage()]) == 1
    assert (home.journal / f"{journal.name}{INTENTS_SUFFIX}").exists()
    die(journal)
    assert ingester.run() == 1
    assert list(home.journal.iterdir()) == []
    assert ids(ledger) == ["a", "b", "open"]


async def test_a_worker_whose_leases_were_ended_with_a_copy_begins_anew(
    home: Home, ledger: Database, copies: Path
) -> None:
    lending = Lending(home, ledger)
    limit = lending.limit(10_000)
    worker = Worker(lending, limit)
    await worker.serve(100, 60)
    await worker.serve(2_000, 1_500)
    shutil.copytree(home.journal, copies)
    ingest(ledger, copies)
    assert rows(ledger, "SELECT count(*) FROM leases") == [(0,)]
    await worker.serve(100, 60)
    with pytest.raises(Unanswered, match="settled"):
        await worker.serve(9_000, 60)
    for _ in range(4):
        await worker.serve(2_000, 1_500)
    used, *_ = worker.stands()
    assert used == 60 + 1500 + 60 + 4 * 1500
    await worker.idles()
    assert worker.stands() == (used, 0, 10_000 - used)


def test_what_ended_long_ago_is_forgotten(home: Home, ledger: Database) -> None:
    journal = writer(home)
    journal.append(make_record("a"))
    die(journal)
    ingest(ledger, home.journal)
    [(count, ended_at)] = rows(ledger, "SELECT count(*), max(ended_at) FROM journal_ends")
    assert count >= 1
    ledger.change(lambda connection: forget_ends(connection, ended_at))
    assert rows(ledger, "SELECT count(*) FROM journal_ends") == [(count,)]
    ledger.change(lambda connection: forget_ends(connection, ended_at + 1))
    assert rows(ledger, "SELECT count(*) FROM journal_ends") == [(0,)]


def test_two_machines_bring_the_same_copy_at_once(
    home: Home, ledger: Database, database_settings: DatabaseSettings, copies: Path
) -> None:
    journal = writer(home)
    journal.append(make_record("a"))
    die(journal)
    shutil.copytree(home.journal, copies)
    with open_ledger(home, database_settings) as other:
        both = [Ingester(StoredUsage(each), folder) for each, folder in ((ledger, home.journal), (other, copies))]
        assert sum(each.run() for each in both) == 1
        assert sum(each.run() for each in both) == 0
    assert ids(ledger) == ["a"]
