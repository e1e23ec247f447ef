"""Single requests go when they have been kept long enough, or are erased; sums stay, and all else does."""

from __future__ import annotations

import threading
import time
from functools import partial

import msgspec
import pytest
from journal_process import make_record
from test_reports import HOLDERS, tenants

from tests.fixtures.databases import insert, rows
from tests.fixtures.ledger import SQLITE
from tests.storage.older import EARLIER, make_ledger
from weebill.accounts.audit import command_line
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.ledger.retention import RetentionThread
from weebill.storage import usage_deletion
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger, open_responses
from weebill.storage.responses import ResponseStore
from weebill.storage.tenant_stores import Tenant, TenantKind, located, opened_stores
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_erasure import Erased, erase
from weebill.storage.usage_retention import COUNTS_ONLY, EVERYWHERE, Sweeper, rules, set_rule
from weebill.storage.usage_totals import recent
from weebill.usage.records import Labels, UsageRecord
from weebill.wire.responses_state import StoredResponse

NOW = 1_763_000_000
DAY_S = 86_400


def record(name: str, days_ago: float, **changes: object) -> UsageRecord:
    return msgspec.structs.replace(make_record(name), started_at=int((NOW - days_ago * DAY_S) * 1e6), **changes)


def left(ledger: Database) -> list[str]:
    return [entry.record.request_id for entry in reversed(ledger.read(partial(recent, limit=500)))]


def erased(
    ledger: Database, home: Home, settings: DatabaseSettings, kind: TenantKind, name: str
) -> tuple[int, int, int]:
    """The numbers of requests, answers and outcomes that are erased."""
    found = Erased()
    with opened_stores(ledger, home, settings) as stores:
        tenant = stores.ledger.read(partial(located, tenant=Tenant(kind, name)))
        assert tenant is not None
        erase(stores, tenant, command_line(), lambda: None, found)
    return found.requests, found.answers, found.outcomes


def sweep(ledger: Database, now: float = NOW) -> int:
    return Sweeper(ledger, lambda: None).sweep(now)


@pytest.fixture
def used(ledger: Database) -> Database:
    ledger.change(tenants)
    insert(
        ledger,
        [record(f"{key}-{days}", days, key_id=key) for days in (30, 8, 6, 1, 0.01) for key in HOLDERS],
    )
    return ledger


def test_without_a_rule_all_are_kept(used: Database) -> None:
    assert sweep(used) == 0
    assert len(left(used)) == 15


def test_each_project_has_a_time_of_its_own(used: Database) -> None:
    used.change(partial(set_rule, project="proj_a", days=7))
    assert sweep(used) == 2
    assert [name for name in left(used) if name.startswith("key_0")] == ["key_0-6", "key_0-1", "key_0-0.01"]
    assert len(left(used)) == 13
    used.change(partial(set_rule, project="proj_b", days=COUNTS_ONLY))
    assert sweep(used) == 5
    used.change(partial(set_rule, project=EVERYWHERE, days=2))
    assert sweep(used) == 3  # of the key that nobody knows any more
    assert left(used) == ["key_0-6", "key_0-1", "key_2-1", "key_0-0.01", "key_2-0.01"]
    used.change(partial(set_rule, project="proj_a", days=None))
    assert used.read(rules) == {"": 2, "proj_b": 0}
    assert sweep(used) == 1
    # Sums are as they were.
    assert rows(used, "SELECT sum(requests) FROM usage_sums WHERE hours = 24") == [(15,)]
    assert rows(used, "SELECT sum(requests) FROM usage_daily") == [(15,)]


def test_one_sweeper_goes_on_where_it_was(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_deletion, "WINDOW", 10)
    monkeypatch.setattr(usage_deletion, "MOST_DELETED", 3)
    ledger.change(partial(set_rule, project=EVERYWHERE, days=10))
    ahead = record("ahead", -400)
    insert(
        ledger,
        [record(str(days), days) for days in range(50, 20, -1)],
        [ahead],
        [record(str(days), days) for days in range(20, 0, -1)],
    )
    pauses: list[int] = []
    sweeper = Sweeper(ledger, lambda: pauses.append(1))
    assert sweeper.sweep(NOW) == 41
    assert left(ledger) == [str(days) for days in range(10, 0, -1)]  # what a wrong clock dates is in nobody's way
    assert len(pauses) >= 14
    assert sweeper.sweep(NOW) == 0
    assert sweeper.sweep(NOW + 5 * DAY_S) == 5
    insert(ledger, [record("late", 30), record("new", -20)])
    assert sweeper.sweep(NOW + 25 * DAY_S) == 6
    assert left(ledger) == ["new"]


@pytest.mark.parametrize("version", [EARLIER[0], EARLIER[-1]])
def test_requests_of_earlier_releases_go_too(home: Home, version: int) -> None:
    make_ledger(home.database, version)
    with open_ledger(home, SQLITE) as ledger:
        ledger.change(partial(set_rule, project=EVERYWHERE, days=1))
        assert sweep(ledger, NOW + 30 * DAY_S) == 3 * version
        assert left(ledger) == []


ANN = Labels("ann", (("team", "x"),))


def test_an_end_user_is_erased_and_may_come_back(
    ledger: Database, home: Home, database_settings: DatabaseSettings
) -> None:
    usage = StoredUsage(ledger)
    records = [
        record("a", 1, labels=ANN), record("b", 1, labels=Labels("bob")), record("c", 1),
        record("d", 2, labels=Labels("ann")),
    ]  # fmt: skip
    usage.change(lambda tables: tables.insert([records]))
    assert erased(ledger, home, database_settings, "end_user", "ann") == (2, 0, 0)
    assert sorted(left(ledger)) == ["b", "c"]
    named = "SELECT name, value FROM usage_label_series ORDER BY 1, 2"
    assert rows(ledger, named) == [("end_user", "bob"), ("tag:team", "x")]
    assert rows(ledger, "SELECT end_user FROM usage_labels") == [("bob",)]
    assert rows(ledger, "SELECT sum(requests) FROM usage_sums WHERE hours = 1") == [(4,)]
    # The same ingester has remembered rows that are gone.
    usage.change(lambda tables: tables.insert([[record("e", 0, labels=ANN)]]))
    assert ("e", ANN) in [
        (each.record.request_id, each.record.labels) for each in ledger.read(partial(recent, limit=9))
    ]
    assert rows(ledger, named) == [("end_user", "ann"), ("end_user", "bob"), ("tag:team", "x")]
    assert rows(
        ledger,
        "SELECT count(*) FROM usage_label_sums LEFT JOIN usage_label_series ON id = label_series WHERE id IS NULL",
    ) == [(0,)]


def test_a_project_is_erased_with_its_answers(used: Database, home: Home, database_settings: DatabaseSettings) -> None:
    insert(used, [record("labelled", 1, key_id="key_0", labels=ANN), record("other", 1, key_id="key_1", labels=ANN)])
    with open_responses(home, database_settings) as responses:
        store = ResponseStore(responses)
        for key in HOLDERS:
            store.put(key, StoredResponse(f"resp_{key}", b"[]", b'{"output":[]}'), time.time())
        assert erased(used, home, database_settings, "project", "proj_a") == (6, 1, 0)
        assert [store.get(key, f"resp_{key}") is None for key in HOLDERS] == [True, False, False]
    assert not [name for name in left(used) if name.startswith("key_0")]
    assert len(left(used)) == 11
    found = rows(
        used, "SELECT name, key_id FROM usage_label_series JOIN usage_series ON usage_series.id = series ORDER BY 1"
    )
    assert found == [("end_user", "key_1"), ("tag:team", "key_1")]
    assert rows(used, "SELECT count(*) FROM usage_labels") == [(1,)]


def test_erasing_beside_ingestion_leaves_no_row_behind(
    ledger: Database, home: Home, database_settings: DatabaseSettings
) -> None:
    """Whoever erases and whoever adds meanwhile see each other's work, or wait."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def ingest() -> None:
        try:
            with open_ledger(home, database_settings) as own:
                usage = StoredUsage(own)
                at = 0
                while not stop.is_set():
                    at += 1
                    batch = [record(f"{at}-{each}", 1, labels=Labels(f"u{each % 3}")) for each in range(6)]
                    usage.change(lambda tables, batch=batch: tables.insert([batch]))  # type: ignore[misc]
                    time.sleep(0.005)  # SQLite's lock is whoever's that asks first: one that never rests keeps it
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=ingest)
    thread.start()
    for turn in range(15):
        erased(ledger, home, database_settings, "end_user", f"u{turn % 3}")
    stop.set()
    thread.join()
    assert failures == []
    lost = "SELECT count(*) FROM usage_entries WHERE labels NOT IN (SELECT id FROM usage_labels)"
    assert rows(ledger, lost) == [(0,)]
    lost = "SELECT count(*) FROM usage_label_sums LEFT JOIN usage_label_series ON id = label_series WHERE id IS NULL"
    assert rows(ledger, lost) == [(0,)]


def test_the_thread_sweeps_and_ends(home: Home, ledger: Database, database_settings: DatabaseSettings) -> None:
    ledger.change(partial(set_rule, project=EVERYWHERE, days=COUNTS_ONLY))
    insert(ledger, [record(str(number), 1) for number in range(20)])
    thread = RetentionThread(home, database_settings, interval_s=0.01)
    thread.start()
    deadline = time.monotonic() + 60
    while left(ledger) and time.monotonic() < deadline:
        time.sleep(0.01)
    thread.finish(60)
    assert not thread.is_alive()
    assert left(ledger) == []
