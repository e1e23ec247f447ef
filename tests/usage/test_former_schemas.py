"""Usage in SQLite files of earlier releases: it stays where it is, and is read and added to as that of today."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

import msgspec
import pytest
from journal_process import STARTED_AT, make_record
from test_entries import FASTER, UNLIKE_ANY

from tests.fixtures.databases import insert, plans, rows
from tests.fixtures.ledger import SQLITE
from weebill.auto.comparison import compare
from weebill.config.paths import Home
from weebill.storage.comparison import ArmTables
from weebill.storage.opening import open_ledger
from weebill.storage.revisions.earlier import MIGRATIONS
from weebill.storage.usage_totals import recent
from weebill.usage.records import UsageRecord

BEFORE_KINDS = 5  # the schema in which a record was one row


@contextmanager
def former(home: Home, version: int) -> Iterator[sqlite3.Connection]:
    """The ledger as a release with that schema would have made it."""
    with closing(sqlite3.connect(home.database, isolation_level=None)) as ledger:
        for migration in MIGRATIONS[:version]:
            for statement in migration:
                ledger.execute(statement)
        ledger.execute(f"PRAGMA user_version = {version}")
        yield ledger


def test_what_was_recorded_before_there_were_kinds_is_still_there(home: Home) -> None:
    columns = UsageRecord.__struct_fields__[:-5]  # all but `dropped` and what came later
    unlike = msgspec.structs.replace(UNLIKE_ANY, dropped="", cost_reported=False, flags="", labels=None)
    old = [make_record("old-1"), unlike]
    with former(home, BEFORE_KINDS) as ledger:
        ledger.executemany(
            f"INSERT INTO usage ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [msgspec.structs.astuple(record)[:-5] for record in old],
        )
    with open_ledger(home, SQLITE) as database:
        database.change(lambda _: None)
        assert [entry.record for entry in database.read(partial(recent, limit=10))] == old[::-1]
        new = [make_record("new-1"), msgspec.structs.replace(UNLIKE_ANY, request_id="new-2")]
        insert(database, new)
        assert [entry.id for entry in database.read(partial(recent, limit=10))] == [4, 3, 2, 1]
        pages = [database.read(partial(recent, limit=3)), database.read(partial(recent, limit=3, before=2))]
        assert [entry.record for page in pages for entry in page] == (old + new)[::-1]
        arms = database.read(lambda connection: compare(ArmTables(connection), FASTER))
        assert arms.control.requests == 2
        found = plans(database, lambda connection: recent(connection, 10, before=2))
        found += plans(database, lambda connection: compare(ArmTables(connection), FASTER))
        for plan in found:
            assert [step for step in plan if step.startswith("SEARCH entry ")]
            assert not [step for step in plan if step.startswith(("SCAN entry", "SCAN usage_before_kinds"))]


@pytest.mark.parametrize("version", range(BEFORE_KINDS + 1, len(MIGRATIONS) + 1))
def test_entries_of_every_former_schema_stay_where_they_are(home: Home, version: int) -> None:
    with former(home, version) as ledger:
        columns = [row[1] for row in ledger.execute("PRAGMA table_info(usage_kinds)")]
        record = msgspec.structs.asdict(make_record("old"))
        ledger.execute(
            f"INSERT INTO usage_kinds ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [1, *(record[column] for column in columns[1:])],
        )
        ledger.execute(
            "INSERT INTO usage_entries (id, kind, request_id, prompt_tokens, cached_tokens, completion_tokens, "
            "started_at, first_byte_us, total_us, cache_write_tokens, reasoning_tokens, cost_nano, attempts, arm) "
            "VALUES (41, 1, 'old', 10, 4, 3, ?, 1500, 9000, 0, 0, 9, '', '')",
            (STARTED_AT,),
        )
    with open_ledger(home, SQLITE) as database:
        insert(database, [make_record("new")])
        found = database.read(partial(recent, limit=10))
        assert [(entry.id, entry.record.request_id) for entry in found] == [(42, "new"), (41, "old")]
        assert found[1].record == msgspec.structs.replace(make_record("old"), cost_nano=9)
        # The new record is of the same kind, which is found by its fingerprint.
        assert rows(database, "SELECT count(*) FROM usage_kinds") == [(1,)]
