from __future__ import annotations

import fcntl
import json
import logging
from pathlib import Path

import pytest
from journal_process import STARTED_AT, make_intent, make_record

from tests.fixtures import databases
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, MeteringSettings
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.transport.tally import Tally
from weebill.usage.ingest import Ingester
from weebill.usage.intents import Intents, left_open
from weebill.usage.journal import JournalWriter
from weebill.usage.records import Intent


def die(journal: JournalWriter) -> None:
    """What the kernel does for a process that is killed."""
    for descriptor in (journal.intents.descriptor, journal._descriptor):
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def killed_before_deletion(home: Home, ledger: Database) -> int:
    """Ingest, and leave what is finished; returns the number of records."""
    ingester = Ingester(StoredUsage(ledger), home.journal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingester, "_delete_finished", lambda: None)
        return ingester.run()


def found(path: Path) -> dict[str, int]:
    return {json.loads(line)[0]: count for line, count in left_open(path.read_bytes())}


def rows(ledger: Database) -> dict[str, str]:
    found = databases.rows(ledger, "SELECT request_id, outcome FROM usage")
    assert len(dict(found)) == len(found)
    return dict(found)


def test_slots_are_taken_and_given_up(tmp_path: Path) -> None:
    path = tmp_path / "w.open"
    intents = Intents(path)
    assert not path.exists()  # a worker that serves nobody needs none
    slots = {name: intents.open(make_intent(name)) for name in ("a", "b", "c")}
    intents.cells[intents.count_at(slots["c"])] = 70_000
    intents.close(slots["b"])
    assert found(path) == {"a": 0, "c": 70_000}
    intents.open(make_intent("d"))  # in the place of another, whose line was longer
    again = intents.reopen(slots["c"], make_intent("c", model="elsewhere"))
    assert found(path) == {"a": 0, "d": 0, "c": 70_000}
    assert intents.taken == 3
    for slot in (slots["a"], again):
        intents.close(slot)
    intents.leave()
    assert found(path) == {"d": 0}


def test_a_table_that_nobody_is_in_is_deleted(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "w.open")
    intents.close(intents.open(make_intent("a")))
    intents.leave()
    assert list(tmp_path.iterdir()) == []


def test_a_table_grows_under_those_who_count_in_it(tmp_path: Path) -> None:
    path = tmp_path / "w.open"
    intents = Intents(path)
    slot = intents.open(make_intent("r-0"))
    first = Tally(intents.cells, intents.count_at(slot))
    first.add(b"data: 1\n\n")
    for number in range(1, 1000):
        intents.open(make_intent(f"r-{number}"))
    first.add(b"data: 2\n\ndata: 3\n\n")
    first.add(b"bytes")
    assert found(path) == {f"r-{number}": 5 if number == 0 else 0 for number in range(1000)}


@pytest.mark.parametrize("name", ["n" * 100_000, '"' * 500, "\n" * 500, "é漢" * 500, "\\" * 500, "\0\x7f" * 500])
def test_names_of_any_length_stay_in_their_slot(tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.open"
    intents = Intents(path)
    for request_id in "abc":
        intents.open(
            Intent(request_id, f"experiment:{'e' * 63}", "chat/completions", name, name, name, True, 2**60, 2**40)
        )
    assert found(path) == dict.fromkeys("abc", 0)


def test_what_a_dead_worker_had_under_way_is_recorded_once(
    home: Home, ledger: Database, caplog: pytest.LogCaptureFixture
) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    slots = {name: journal.intend(make_intent(name, prompt_bytes=41)) for name in ("settled", "relayed", "asked")}
    journal.append(make_record("settled"), slots["settled"])
    tally = Tally(journal.intents.cells, journal.intents.count_at(slots["relayed"]))
    for _ in range(6):  # and its beginning
        tally.add(b"data: x\n\n")
    ingester = Ingester(
        StoredUsage(ledger), home.journal, cost=lambda upstream, model, prompt, completion: prompt + completion
    )
    ingester.run()
    assert rows(ledger) == {"settled": "ok"}  # it lives

    die(journal)
    assert ingester.run() == 2
    assert rows(ledger) == {"settled": "ok", "relayed": "worker_died", "asked": "worker_died"}
    query = (
        "SELECT model_asked, model_served, upstream, stream, prompt_tokens, completion_tokens, measured, status, "
        "started_at, cost_nano FROM usage WHERE outcome = 'worker_died' ORDER BY request_id"
    )
    assert databases.rows(ledger, query) == [
        ("mini", "tiny", "local", 1, 11, 0, 0, 500, STARTED_AT, 11),
        ("mini", "tiny", "local", 1, 11, 7, 0, 500, STARTED_AT, 18),
    ]
    assert databases.rows(ledger, "SELECT sum(requests), sum(failures) FROM usage_daily") == [(3, 2)]
    assert list(home.journal.iterdir()) == []
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["a worker died with 2 requests under way; they are recorded as worker_died, by estimates"]
    assert ingester.run() == 0
    assert databases.rows(ledger, "SELECT count(*) FROM journal_marks") == [(0,)]


@pytest.mark.parametrize("ingested_before", [False, True])
def test_a_record_written_before_its_slot_was_given_up_counts(
    home: Home, ledger: Database, ingested_before: bool
) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.intend(make_intent("a"))
    journal.append(make_record("a"))  # and killed there
    ingester = Ingester(StoredUsage(ledger), home.journal)
    if ingested_before:
        ingester.run()
    die(journal)
    assert ingester.run() == (0 if ingested_before else 1)
    assert rows(ledger) == {"a": "ok"}
    assert list(home.journal.iterdir()) == []


def test_a_segment_stays_until_it_has_told_what_is_recorded(home: Home, ledger: Database) -> None:
    """The worker dies between the reading of its segment and its deletion."""
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.intend(make_intent("a"))
    journal.append(make_record("a"))
    ingester = Ingester(StoredUsage(ledger), home.journal)
    for segment in ingester._segments():
        ingester._ingest_batch(segment)
    die(journal)
    ingester._delete_finished()
    assert ingester.run() == 0
    assert rows(ledger) == {"a": "ok"}
    assert list(home.journal.iterdir()) == []


def test_killed_between_the_record_and_the_deletion_of_the_table(home: Home, ledger: Database) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.intend(make_intent("a"))
    die(journal)
    assert killed_before_deletion(home, ledger) == 1
    assert Ingester(StoredUsage(ledger), home.journal).run() == 0
    assert rows(ledger) == {"a": "worker_died"}
    assert list(home.journal.iterdir()) == []


def test_two_ingesters_record_it_once(home: Home, ledger: Database, database_settings: DatabaseSettings) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.intend(make_intent("a"))
    die(journal)
    with open_ledger(home, database_settings) as other:
        slower = Ingester(StoredUsage(other), home.journal)
        [table] = home.journal.glob("*.open")
        assert killed_before_deletion(home, ledger) == 1
        assert slower._record_open(table.name) == 0
        assert slower.run() == 0
    assert rows(ledger) == {"a": "worker_died"}
    assert list(home.journal.iterdir()) == []


def test_a_request_that_could_not_be_recorded_is_by_its_intent(
    home: Home, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    slot = journal.intend(make_intent("a"))
    record = make_record("a" * 5_000_000)  # longer than a segment
    with pytest.raises(Exception, match="does not fit"):
        journal.append(record, slot)
    journal.close()
    assert Ingester(StoredUsage(ledger), home.journal).run() == 1
    assert rows(ledger) == {"a": "worker_died"}


def test_a_slot_that_cannot_be_read_is_kept_apart(home: Home, ledger: Database) -> None:
    table = bytearray(3 * 512)
    for start, line in ((0, b"garbage\n"), (512, b'["b","k","e","m","m","u",false,1,4]\n')):
        table[start] = 1
        table[start + 8 : start + 8 + len(line)] = line
    (home.journal / "1-w0-00.open").write_bytes(table)
    assert Ingester(StoredUsage(ledger), home.journal).run() == 1
    assert rows(ledger) == {"b": "worker_died"}
    assert databases.rows(ledger, "SELECT line FROM quarantine") == [(b"garbage\n",)]
    assert list(home.journal.iterdir()) == []
