from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from journal_process import STARTED_AT, make_record
from sqlalchemy import insert

from tests.fixtures.databases import execute, on_sqlite, rows
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, MeteringSettings
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import JOURNAL_MARKS
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_totals import recent, summarise
from weebill.usage.ingest import Ingester
from weebill.usage.journal import JournalWriter


def request_ids(ledger: Database) -> list[str]:
    return [id_ for (id_,) in rows(ledger, "SELECT request_id FROM usage ORDER BY id")]


def marks(ledger: Database) -> dict[str, int]:
    return dict(rows(ledger, "SELECT * FROM journal_marks"))


def line(request_id: str) -> bytes:
    return msgspec.json.encode(make_record(request_id)) + b"\n"


def test_records_arrive_once_and_whole(home: Home, ledger: Database) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    ingester = Ingester(StoredUsage(ledger), home.journal)
    record = make_record("a", outcome="client_cancelled")
    journal.append(record)
    assert ingester.run() == 1
    assert ingester.run() == 0
    journal.append(make_record("b"))
    assert ingester.run() == 1
    assert Ingester(StoredUsage(ledger), home.journal).run() == 0  # after a restart, too
    newest, oldest = ledger.read(lambda connection: recent(connection, 10))
    assert oldest.record == record
    assert newest.record.request_id == "b"
    journal.close()


def test_a_segment_goes_when_its_writer_has_gone(home: Home, ledger: Database) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings(segment_bytes=4096))
    for number in range(100):
        journal.append(make_record(f"req-{number}"))
    ingester = Ingester(StoredUsage(ledger), home.journal)
    assert ingester.run() == 100
    assert len(list(home.journal.iterdir())) == 1
    assert len(marks(ledger)) == 1
    journal.close()
    assert ingester.run() == 0
    assert list(home.journal.iterdir()) == []
    assert marks(ledger) == {}
    assert request_ids(ledger) == [f"req-{number}" for number in range(100)]


@on_sqlite
@pytest.mark.parametrize("missing", [slice(-1, None), slice(20, 30), slice(0, 1)], ids=["end", "middle", "start"])
def test_an_unfinished_line_waits_for_its_writer(home: Home, ledger: Database, missing: slice) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.append(make_record("a"))
    [segment] = home.journal.iterdir()
    whole = line("b")
    seen = bytearray(whole)
    seen[missing] = bytes(len(seen[missing]))
    at = len(segment.read_bytes().rstrip(b"\0"))
    ingester = Ingester(StoredUsage(ledger), home.journal)
    for content, found in ((bytes(seen), 1), (whole, 1)):
        with segment.open("r+b") as file:
            file.seek(at)
            file.write(content)
        assert ingester.run() == found
    assert request_ids(ledger) == ["a", "b"]
    journal.close()


@on_sqlite
@pytest.mark.parametrize(
    "batch_bytes", [1000, 65_536, *(pytest.param(each, marks=pytest.mark.slow) for each in (70_000, 1 << 22))]
)
def test_a_segment_is_read_up_to_its_unused_space(
    home: Home, ledger: Database, caplog: pytest.LogCaptureFixture, batch_bytes: int
) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    ingester = Ingester(StoredUsage(ledger), home.journal, batch_bytes)
    written = [f"req-{number}" for number in range(2500)]
    for position in range(0, len(written), 1000):
        for request_id in written[position : position + 1000]:
            journal.append(make_record(request_id))
        assert ingester.run() == len(written[position : position + 1000])
    journal.close()
    assert ingester.run() == 0
    assert request_ids(ledger) == written
    assert list(home.journal.iterdir()) == []
    assert caplog.records == []


@on_sqlite
def test_the_unused_space_of_a_dead_writer_is_no_record(
    home: Home, ledger: Database, caplog: pytest.LogCaptureFixture
) -> None:
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(line("a") + line("b") + bytes(8000))
    assert Ingester(StoredUsage(ledger), home.journal).run() == 2
    assert list(home.journal.iterdir()) == []
    assert caplog.records == []


@on_sqlite
def test_a_dead_writers_unfinished_line_is_dropped_and_logged(
    home: Home, ledger: Database, caplog: pytest.LogCaptureFixture
) -> None:
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(line("a") + line("b")[:50])
    assert Ingester(StoredUsage(ledger), home.journal).run() == 1
    assert request_ids(ledger) == ["a"]
    assert list(home.journal.iterdir()) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "50 bytes" in caplog.text


@on_sqlite
@pytest.mark.parametrize(
    "bad",
    [
        b"garbage\n",
        b"\x01\xff\xfe\n",
        b"[1,2]\n",
        b"carriage\rreturn\n",
        line("x").replace(b'"ok"', b'"excellent"'),
        line("x").replace(b",10,4,3,", b",10,4,-3,"),
        line("x").replace(b",10,4,3,", b",10,11,3,"),
        line("x").replace(b",10,4,3,", b",10,4,1e9999,"),
        line("x").replace(b",10,4,3,", b"," + 5000 * b"9" + b",4,3,"),
        b"y" * 10_000 + b"\n",
    ],
)
def test_corrupt_lines_are_kept_apart(home: Home, ledger: Database, bad: bytes) -> None:
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(line("a") + bad + line("b"))
    ingester = Ingester(StoredUsage(ledger), home.journal, batch_bytes=1024)
    assert ingester.run() == 2
    assert ingester.run() == 0
    assert request_ids(ledger) == ["a", "b"]
    kept = rows(ledger, 'SELECT segment, "offset", line, error FROM quarantine ORDER BY "offset"')
    assert b"".join(content for _, _, content, _ in kept) == bad
    assert kept[0][:2] == ("1-w0-00-000000.jsonl", len(line("a")))
    assert all(error for *_, error in kept)
    assert list(home.journal.iterdir()) == []


PAGE = 4096


@on_sqlite
@pytest.mark.parametrize("batch_bytes", [8192, 1 << 22])
@pytest.mark.parametrize(
    "holes",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in ([(0, 1)], [(3, 4)], [(3, 7)], [(5, None)])),
        [(0, 3)],
        [(0, 1), (2, 4), (6, 7), (9, None)],
        [(0, None)],
    ],
    ids=str,
)
def test_holes_that_a_power_cut_leaves_are_passed_and_said(
    home: Home,
    ledger: Database,
    caplog: pytest.LogCaptureFixture,
    holes: list[tuple[int, int | None]],
    batch_bytes: int,
) -> None:
    """Whole pages that were not written back before are zeros."""
    lines = [line(f"req-{number}") for number in range(400)]
    content = bytearray(b"".join(lines) + bytes(3 * PAGE))
    for start, end in holes:
        stop = len(content) if end is None else end * PAGE
        content[start * PAGE : stop] = bytes(stop - start * PAGE)
    whole = {each for each in bytes(content).replace(b"\0", b"\n").split(b"\n") if each + b"\n" in lines}
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(content)
    (home.journal / "2-w0-00-000000.jsonl").write_bytes(line("next"))

    ingester = Ingester(StoredUsage(ledger), home.journal, batch_bytes)
    ingester.run()
    assert set(request_ids(ledger)) == {each.split(b'"')[1].decode() for each in whole} | {"next"}
    assert list(home.journal.iterdir()) == []
    kept = rows(ledger, 'SELECT segment, "offset", line, error FROM quarantine ORDER BY "offset"')
    inner = [(start, end) for start, end in holes if end is not None]
    assert [error for *_, error in kept] == [
        f"a hole of {(end - start) * PAGE} bytes, as a power cut leaves them: records are missing"
        for start, end in inner
    ]
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == len(inner)
    # What is left of the lines at the edges of a hole is kept, or said to be dropped where nothing follows.
    begun = {each for each in bytes(content).replace(b"\0", b"\n").split(b"\n") if each} - whole
    dropped = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum(len(each) for each in begun) == sum(len(each.rstrip(b"\n")) for _, _, each, _ in kept) + sum(
        int(message.split("record of ")[1].split()[0]) for message in dropped
    )


@on_sqlite
def test_a_hole_that_ends_where_a_line_does_costs_no_further_line(home: Home, ledger: Database) -> None:
    lines = [line(f"{number:07}") for number in range(60)]
    width = len(lines[0])
    content = b"".join(lines[:10]) + bytes(20 * width) + b"".join(lines[30:])
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(content)
    assert Ingester(StoredUsage(ledger), home.journal).run() == 40
    assert rows(ledger, 'SELECT "offset", line FROM quarantine') == [(10 * width, b"")]


@on_sqlite
def test_a_hole_longer_than_a_batch_is_passed_at_once(home: Home, ledger: Database) -> None:
    path = home.journal / "1-w0-00-000000.jsonl"
    with path.open("wb") as file:
        file.write(line("a"))
        file.seek(20_000_000)
        file.write(line("b") + line("c"))
    ingester = Ingester(StoredUsage(ledger), home.journal, batch_bytes=1024)
    assert ingester.run() == 3
    assert request_ids(ledger) == ["a", "b", "c"]
    assert rows(ledger, "SELECT length(line) FROM quarantine") == [(0,)]


@on_sqlite
def test_zeros_of_a_living_writer_are_no_hole(home: Home, ledger: Database) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.append(make_record("a"))
    [path] = home.journal.iterdir()
    with path.open("r+b") as file:  # seen before what comes before it, since its writer is another processor
        file.seek(8192)
        file.write(line("c"))
    assert Ingester(StoredUsage(ledger), home.journal).run() == 1
    assert rows(ledger, "SELECT count(*) FROM quarantine") == [(0,)]
    journal.close()


def test_a_mark_outlives_its_segment_until_the_deletion_is_on_disk(home: Home, ledger: Database) -> None:
    """Killed between the deletion of a segment and that of its mark."""
    path = home.journal / "1-w0-00-000000.jsonl"
    path.write_bytes(line("a"))
    assert Ingester(StoredUsage(ledger), home.journal).run() == 1
    ledger.change(
        lambda connection: connection.execute(insert(JOURNAL_MARKS).values(segment=path.name, offset=len(line("a"))))
    )
    # A power cut has brought the segment back: the mark says that there is nothing new.
    path.write_bytes(line("a"))
    assert Ingester(StoredUsage(ledger), home.journal).run() == 0
    assert request_ids(ledger) == ["a"]
    assert marks(ledger) == {}


def test_the_mark_of_a_segment_that_is_gone_goes_where_nobody_else_has_journals(home: Home, ledger: Database) -> None:
    """Several machines may share a PostgreSQL: there it may be that of another one's, which would count it again."""
    ledger.change(lambda connection: connection.execute(insert(JOURNAL_MARKS).values(segment="other", offset=1)))
    shared = ledger.read(lambda connection: connection.dialect.name) == "postgresql"
    assert Ingester(StoredUsage(ledger), home.journal).run() == 0
    assert marks(ledger) == ({"other": 1} if shared else {})


def test_two_ingesters_share_the_work(home: Home, ledger: Database, database_settings: DatabaseSettings) -> None:
    path = home.journal / "1-w0-00-000000.jsonl"
    with open_ledger(home, database_settings) as other:
        journal = JournalWriter(home.journal, 0, MeteringSettings())
        ingesters = [Ingester(StoredUsage(each), home.journal) for each in (ledger, other)]
        for number in range(50):
            journal.append(make_record(f"req-{number}"))
            ingesters[number % 3 % 2].run()
        journal.close()
        for ingester in ingesters:
            ingester.run()
    assert request_ids(ledger) == [f"req-{number}" for number in range(50)]
    assert not path.exists()


def test_two_ingesters_at_once_count_nothing_twice(
    home: Home, ledger: Database, database_settings: DatabaseSettings
) -> None:
    """As while a ledger process is replaced by another one, which does not wait for its end."""
    count = 3000
    journal = JournalWriter(home.journal, 0, MeteringSettings(segment_bytes=65_536))
    with open_ledger(home, database_settings) as other, ThreadPoolExecutor(2) as threads:
        ingesters = [Ingester(StoredUsage(each), home.journal, batch_bytes=8192) for each in (ledger, other)]
        for start in range(0, count, 1000):
            for number in range(start, start + 1000):
                journal.append(make_record(f"req-{number}", key_id=f"key_{number % 7}"))
            found = list(threads.map(Ingester.run, ingesters))
            assert sum(found) == 1000
        journal.close()
        for ingester in ingesters:
            assert ingester.run() == 0
    assert sorted(request_ids(ledger)) == sorted(f"req-{number}" for number in range(count))
    assert rows(ledger, "SELECT sum(requests) FROM usage_daily") == [(count,)]
    assert (marks(ledger), list(home.journal.iterdir())) == ({}, [])


def test_a_failed_batch_leaves_nothing_and_is_tried_again(home: Home, ledger: Database) -> None:
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(line("a"))
    execute(ledger, "ALTER TABLE usage_daily RENAME TO elsewhere")
    ingester = Ingester(StoredUsage(ledger), home.journal)
    with pytest.raises(LedgerError):
        ingester.run()
    assert (request_ids(ledger), marks(ledger)) == ([], {})
    execute(ledger, "ALTER TABLE elsewhere RENAME TO usage_daily")
    assert ingester.run() == 1
    assert request_ids(ledger) == ["a"]


@on_sqlite
def test_drafts_of_dead_writers_are_cleared(home: Home, ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = home.journal / "1-w0-00-000000.draft"
    draft.touch()
    Ingester(StoredUsage(ledger), home.journal).run()
    assert draft.exists()  # it may be about to be published
    monkeypatch.setattr("weebill.usage.ingest.DRAFT_AGE_S", -1.0)
    Ingester(StoredUsage(ledger), home.journal).run()
    assert not draft.exists()


def counted(usage: StoredUsage, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of changes of the ledger from now on."""
    changes, change = [0], usage.change

    def count(function: Any) -> Any:
        changes[0] += 1
        return change(function)

    monkeypatch.setattr(usage, "change", count)
    return changes


def test_nothing_is_written_while_nothing_happens(
    home: Home, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = StoredUsage(ledger)
    ingester, changes = Ingester(usage, home.journal), counted(usage, monkeypatch)

    def changed() -> int:
        before = changes[0]
        ingester.run()
        return changes[0] - before

    def rests() -> bool:
        # On PostgreSQL, not all the time: what other tests change in the same cluster may be a change of this ledger.
        return any(changed() == changed() == 0 for _ in range(100))

    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.append(make_record("a"))
    assert ingester.run() == 1
    assert rests()
    journal.append(make_record("b"))
    assert ingester.run() == 1
    assert rests()
    # As where a backup is put back: what it lacks is ingested again.
    execute(ledger, "DELETE FROM usage_entries")
    execute(ledger, "DELETE FROM journal_marks")
    ingester.run()
    ingester.run()
    assert [id_ for (id_,) in rows(ledger, "SELECT request_id FROM usage ORDER BY id")] == ["a", "b"]
    assert rests()
    journal.close()
    ingester.run()
    assert list(home.journal.iterdir()) == []


@on_sqlite
def test_records_alone_are_one_change(home: Home, ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = StoredUsage(ledger)
    ingester, changes = Ingester(usage, home.journal), counted(usage, monkeypatch)
    with closing(JournalWriter(home.journal, 0, MeteringSettings())) as journal:
        for number in range(3):
            journal.append(make_record(str(number)))
            assert ingester.run() == 1
    assert changes == [5]  # it looks at the marks before and after the first ones


def test_totals_by_model_key_and_day(home: Home, ledger: Database) -> None:
    day_us = 86_400_000_000
    records = [
        make_record("a", key_id="key_1", model="tiny"),
        make_record("b", key_id="key_2", model="tiny", outcome="upstream_error"),
        msgspec.structs.replace(
            make_record("c", key_id="key_2", model="large", outcome="client_cancelled"), cost_nano=2_500
        ),
        msgspec.structs.replace(
            make_record("d", key_id="key_2", model="large"), started_at=STARTED_AT + day_us, cost_nano=10**12
        ),
    ]
    ingester = Ingester(StoredUsage(ledger), home.journal)
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    for record in records:  # each in a batch of its own, so that totals are added to
        journal.append(record)
        ingester.run()
    journal.close()

    def counts(by: str) -> list[tuple[str, int, int, int, int, int, int, int]]:
        totals = ledger.read(lambda connection: summarise(connection, by))  # type: ignore[arg-type]
        return [tuple(msgspec.structs.astuple(total)) for total in totals]  # type: ignore[misc]

    assert counts("model") == [("large", 2, 0, 20, 8, 6, 10**12 + 2_500, 0), ("tiny", 2, 1, 20, 8, 6, 0, 0)]
    assert counts("key") == [("key_2", 3, 1, 30, 12, 9, 10**12 + 2_500, 0), ("key_1", 1, 0, 10, 4, 3, 0, 0)]
    assert counts("day") == [("2025-11-14", 1, 0, 10, 4, 3, 10**12, 0), ("2025-11-13", 3, 1, 30, 12, 9, 2_500, 0)]


def test_recent_records_page_backwards(home: Home, ledger: Database) -> None:
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(b"".join(line(str(number)) for number in range(25)))
    Ingester(StoredUsage(ledger), home.journal).run()
    seen: list[str] = []
    before = None
    while page := ledger.read(partial(recent, limit=10, before=before)):
        seen += [entry.record.request_id for entry in page]
        before = page[-1].id
    assert seen == [str(number) for number in reversed(range(25))]


@on_sqlite
def test_a_batch_is_bounded(home: Home, ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(line("000"))
    path: Path = home.journal / "1-w0-00-000000.jsonl"
    path.write_bytes(b"".join(line(f"{number:03d}") for number in range(100)))
    ingester = Ingester(StoredUsage(ledger), home.journal, batch_bytes=10 * size + 1)
    batches: list[int] = []
    move = ingester._move_batch

    def spy(*arguments: Any) -> Any:
        batch = move(*arguments)
        batches.append(batch.records)
        return batch

    monkeypatch.setattr(ingester, "_move_batch", spy)
    assert ingester.run() == 100
    assert batches == [10] * 10
