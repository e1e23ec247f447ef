"""Usage on both databases: the same records, whatever they are, add up to the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from journal_process import STARTED_AT, make_record
from sqlalchemy import Connection

from tests.fixtures.databases import rows
from tests.fixtures.postgresql import PostgresServer
from weebill.auto.comparison import ArmSums, Duration
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, MeteringSettings
from weebill.storage.comparison import ArmTables
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_totals import recent, summary
from weebill.usage.ingest import Ingester
from weebill.usage.journal import JournalWriter
from weebill.usage.records import Outcome, UsageRecord
from weebill.usage.totals import Grouping

DAY_US = 86_400_000_000
ARMS = ("faster/control", "faster/candidate")
TABLES = "usage_entries, usage_kinds, usage_daily, journal_marks, quarantine"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
amounts = st.one_of(st.integers(0, 5000), st.integers(2**31 - 2, 2**34), st.integers(2**52, 2**70))
times = st.one_of(st.integers(0, 4).map(lambda day: STARTED_AT + day * DAY_US), st.integers(-(2**65), 2**65))


@st.composite
def usage(draw: st.DrawFn) -> UsageRecord:
    """A record as a worker may write it: its parts are no more than their wholes, all else is as it comes."""
    prompt, completion = draw(amounts), draw(amounts)
    cached = draw(st.integers(0, prompt))
    return UsageRecord(
        draw(texts), draw(st.sampled_from(["key_1", "key_2", "ключ"])), draw(st.sampled_from(["chat", "embeddings"])),
        draw(texts), draw(st.sampled_from(["tiny", "Tiny", "large", "m\0"])), "up", draw(st.booleans()), prompt,
        cached, completion, draw(st.booleans()), draw(st.sampled_from([200, 400, 502])),
        draw(st.sampled_from(get_args(Outcome))), draw(times), draw(st.integers(0, 2**40)),
        draw(st.integers(0, 2**40)), draw(st.integers(0, prompt - cached)), draw(st.integers(0, completion)),
        draw(st.none() | amounts), draw(texts), draw(st.sampled_from(["", "passed", "schema", "not_known:schema"])),
        draw(st.sampled_from(["", *ARMS])), draw(texts), draw(st.booleans()),
    )  # fmt: skip


@pytest.fixture(scope="module")
def both(postgres_server: PostgresServer) -> Iterator[list[Database]]:
    """A ledger on each kind of database."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Home(Path(folder))
        urls = [None, postgres_server.database()]
        yield [stack.enter_context(open_ledger(home, DatabaseSettings(url=url))) for url in urls]


def emptied(ledger: Database) -> None:
    for table in TABLES.split(", "):
        ledger.change(lambda connection, table=table: connection.exec_driver_sql(f"DELETE FROM {table}"))  # type: ignore[misc]


def told(ledger: Database, batches: list[list[UsageRecord]]) -> list[object]:
    """All that is told of usage, once these records have been ingested; but for sums of floating-point numbers."""
    emptied(ledger)
    stored = StoredUsage(ledger)
    for batch in batches:
        stored.change(lambda tables, batch=batch: tables.insert([batch]))  # type: ignore[misc]
    found: list[object] = [ledger.read(partial(summary, by=by)) for by in get_args(Grouping)]
    found.append([fitted(entry.record) for entry in ledger.read(partial(recent, limit=1000))])
    for arm in ARMS:
        counts = sums(ledger, arm)[:5]
        found.append(counts)
        for duration in get_args(Duration):
            answered = range(counts[1])
            found.append(ledger.read(lambda connection: ArmTables(connection).durations(arm, duration, answered)))  # noqa: B023
    return found


def sums(ledger: Database, arm: str) -> ArmSums:
    return ledger.read(lambda connection: ArmTables(connection).sums(arm))


def squares(ledger: Database) -> list[float]:
    """Sums which depend on the order of the rows."""
    return [each for arm in ARMS for both in sums(ledger, arm).squares.values() for each in both]


def fitted(record: UsageRecord) -> UsageRecord:
    """SQLite keeps NUL characters where PostgreSQL has none."""
    texts = {name: getattr(record, name).replace("\0", "\ufffd") for name in ("request_id", "attempts")}
    return msgspec.structs.replace(record, **texts)


@settings(
    max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.lists(st.lists(usage(), max_size=12), max_size=3))
def test_both_say_the_same(both: list[Database], batches: list[list[UsageRecord]]) -> None:
    ours, theirs = (told(ledger, batches) for ledger in both)
    assert ours == theirs
    here, there = map(squares, both)
    assert here == pytest.approx(there, rel=1e-9)


@pytest.fixture
def machines(tmp_path: Path) -> list[Home]:
    """Homes that share nothing."""
    homes = [Home(tmp_path / f"machine-{number}") for number in range(3)]
    for home in homes:
        home.create()
    return homes


def test_machines_with_one_database_are_not_in_each_others_way(machines: list[Home], postgres: str) -> None:
    """They insert the same new kinds and add to the same totals at once, each from journals of its own."""
    shared = DatabaseSettings(url=postgres)
    turns, count = 3, 200

    def work(number: int, home: Home) -> int:
        ingested = 0
        with open_ledger(home, shared) as ledger:
            ingester = Ingester(StoredUsage(ledger), home.journal, batch_bytes=16_384)
            writer = JournalWriter(home.journal, 0, MeteringSettings(segment_bytes=16_384))
            for turn in range(turns):
                # Each machine meets the kinds in another order.
                keys = range(count) if number % 2 else reversed(range(count))
                for key in keys:
                    writer.append(make_record(f"{number}-{turn}-{key}", key_id=f"key_{turn}_{key}"))
                ingested += ingester.run()
            writer.close()
            return ingested + ingester.run()

    with ThreadPoolExecutor(len(machines)) as threads:
        assert list(threads.map(work, range(len(machines)), machines)) == [turns * count] * len(machines)
    assert [list(home.journal.iterdir()) for home in machines] == [[]] * len(machines)
    with open_ledger(machines[0], shared) as ledger:
        every = turns * count
        ids = {id_ for (id_,) in rows(ledger, "SELECT request_id FROM usage")}
        assert len(ids) == every * len(machines)
        assert rows(ledger, "SELECT count(*) FROM usage_kinds") == [(every,)]
        assert rows(ledger, "SELECT count(*), min(requests), max(requests) FROM usage_daily") == [
            (every, len(machines), len(machines))
        ]
        assert rows(ledger, "SELECT count(*) FROM journal_marks") == [(0,)]


def test_a_machine_leaves_the_marks_of_others(machines: list[Home], postgres: str) -> None:
    shared = DatabaseSettings(url=postgres)
    one, other, _ = machines
    with open_ledger(one, shared) as ledger, open_ledger(other, shared) as others:
        writer = JournalWriter(one.journal, 0, MeteringSettings())
        writer.append(make_record("a"))
        assert Ingester(StoredUsage(ledger), one.journal).run() == 1
        assert Ingester(StoredUsage(others), other.journal).run() == 0
        assert Ingester(StoredUsage(ledger), one.journal).run() == 0  # started again
        writer.close()
        assert Ingester(StoredUsage(ledger), one.journal).run() == 0
        assert rows(ledger, "SELECT count(*) FROM journal_marks") == [(0,)]


@pytest.mark.parametrize("more", [True, False], ids=["and more came", "and no more came"])
def test_records_go_into_what_was_restored(
    home: Home, postgres: str, caplog: pytest.LogCaptureFixture, more: bool
) -> None:
    """It has marks, kinds and ids of another time."""

    def restore(connection: Connection) -> None:
        for table in TABLES.split(", "):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        connection.exec_driver_sql("UPDATE installation SET id = 'another'")

    with open_ledger(home, DatabaseSettings(url=postgres)) as ledger:
        writer = JournalWriter(home.journal, 0, MeteringSettings())
        ingester = Ingester(StoredUsage(ledger), home.journal)
        writer.append(make_record("before", key_id="key_1"))
        assert ingester.run() == 1
        ledger.change(restore)
        if more:
            writer.append(make_record("after", key_id="key_2"))
            writer.append(make_record("last", key_id="key_1"))
        assert sum(ingester.run() for _ in range(2)) == 1 + 2 * more
        found = [(entry.record.request_id, entry.record.key_id) for entry in ledger.read(partial(recent, limit=9))]
        assert found == [("last", "key_1"), ("after", "key_2"), ("before", "key_1")][-1 - 2 * more :]
        assert [record.getMessage() for record in caplog.records] == [
            "the ledger was replaced; usage goes into the one that is there now"
        ]
        writer.close()
        assert ingester.run() == 0
        assert list(home.journal.iterdir()) == []
