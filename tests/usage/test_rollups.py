"""Roll-ups: their sums are those of the records, by hour, day and month, and by what clients say of requests."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from journal_process import STARTED_AT, make_record
from sqlalchemy import Connection

from tests.fixtures.databases import execute, insert, rows
from tests.fixtures.ledger import SQLITE
from tests.storage.older import EARLIER, make_ledger
from tests.storage.test_later_revisions import UNDONE
from weebill.config.paths import Home
from weebill.storage import rollups
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.revisions.ledger import r0011_usage_roll_ups as revision
from weebill.storage.revisions.ledger import r0020_usage_by_month
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_names import MANY
from weebill.usage.ingest import Ingester
from weebill.usage.records import Labels, UsageRecord

HOUR_US = 3_600_000_000
NAMES = "requests, failures, prompt_tokens, cached_tokens, completion_tokens, cost_nano, unpriced"
BY_HOUR = (
    f"SELECT start, key_id, model, upstream, endpoint, {NAMES} FROM usage_sums JOIN usage_series "
    "ON usage_series.id = usage_sums.series WHERE hours = 1 ORDER BY 1, 2, 3, 4, 5"
)
BY_DAY = BY_HOUR.replace("hours = 1", "hours = 24")
BY_MONTH = BY_HOUR.replace("hours = 1", "hours = 744")
COUNTED = (
    "count(*), count(CASE WHEN outcome NOT IN ('ok', 'client_cancelled') THEN 1 END), sum(prompt_tokens), "
    "sum(cached_tokens), sum(completion_tokens), coalesce(sum(cost_nano), 0), "
    "count(CASE WHEN cost_nano IS NULL THEN 1 END)"
)
FROM_RECORDS = (
    f"SELECT started_at / 3600000000, key_id, model_served, upstream, endpoint, {COUNTED} FROM usage "
    "GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
)
DAY_OF_RECORDS = FROM_RECORDS.replace("started_at / 3600000000", "started_at / 86400000000 * 24")


def some(count: int, seed: int = 15) -> list[UsageRecord]:
    """Records of all sorts over three days."""
    chance = random.Random(seed)
    return [
        msgspec.structs.replace(
            make_record(str(number), key_id=f"key_{chance.randrange(3)}", model=chance.choice(["tiny", "large"])),
            outcome=chance.choice(["ok", "timeout", "client_cancelled"]),
            upstream=chance.choice(["local", "acme"]),
            endpoint=chance.choice(["chat.completions", "embeddings"]),
            started_at=STARTED_AT + chance.randrange(72 * HOUR_US),
            cost_nano=chance.choice([None, 0, 7, 2**40]),
            labels=chance.choice(
                [None, None, Labels("ann"), Labels("bob", (("team", "x"),)), Labels("", (("a", "b"),))]
            ),
        )
        for number in range(count)
    ]


def over_months(count: int) -> list[UsageRecord]:
    """Records of all sorts over a hundred days, and of clocks that were far off."""
    found = some(count)
    later = [
        msgspec.structs.replace(each, started_at=each.started_at + (at % 4) * 25 * 24 * HOUR_US)
        for at, each in enumerate(found)
    ]
    odd = [msgspec.structs.replace(found[0], started_at=at) for at in (0, -1, 2**62)]
    return [*later, *odd]


def by_month(days: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Sums of days added up by the calendar; those of a time that it does not have are left out."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 7)
    for row in days:
        start, series, sums = row[0], row[1:5], row[5:]
        if start < 24 * 365 * 1000:
            first = datetime.fromtimestamp(start * 3600, UTC).replace(day=1)
            there = found[(int(first.timestamp()) // 3600, *series)]
            there[:] = [each + more for each, more in zip(there, sums, strict=True)]
    return sorted((*key, *sums) for key, sums in found.items())


def known_months(ledger: Database) -> list[tuple[Any, ...]]:
    return [row for row in plain(rows(ledger, BY_MONTH)) if row[0] < 24 * 365 * 1000]


def plain(found: list[Any]) -> list[tuple[Any, ...]]:
    """PostgreSQL has another type for sums."""
    return [tuple(int(each) if not isinstance(each, str) else each for each in row) for row in found]


def test_hours_and_days_have_the_sums_of_the_records(ledger: Database) -> None:
    records = some(600)
    usage = StoredUsage(ledger)
    for start in range(0, len(records), 50):
        usage.change(lambda tables, start=start: tables.insert([records[start : start + 50]]))  # type: ignore[misc]
    assert plain(rows(ledger, BY_HOUR)) == plain(rows(ledger, FROM_RECORDS))
    assert plain(rows(ledger, BY_DAY)) == plain(rows(ledger, DAY_OF_RECORDS))
    assert rows(ledger, "SELECT sum(requests) FROM usage_daily") == [(600,)]
    for name, value, condition in (
        ("end_user", "ann", "end_user = 'ann'"),
        ("end_user", "bob", "end_user = 'bob'"),
        ("tag:team", "x", """tags = '{"team":"x"}'"""),
        ("tag:a", "b", """tags = '{"a":"b"}'"""),
    ):
        for hours in (1, 24):
            found = rows(
                ledger,
                "SELECT sum(requests), sum(failures), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), "
                "sum(cost_nano), sum(unpriced) FROM usage_label_sums JOIN usage_label_series ON "
                f"usage_label_series.id = label_series WHERE hours = {hours} AND name = '{name}' AND value = '{value}'",
            )
            assert plain(found) == plain(rows(ledger, f"SELECT {COUNTED} FROM usage WHERE {condition}"))


def test_months_have_the_sums_of_their_days(ledger: Database) -> None:
    insert(ledger, *([each] for each in over_months(300)))
    months = known_months(ledger)
    assert len({row[0] for row in months}) > 4
    assert months == by_month(plain(rows(ledger, BY_DAY)))
    for query in (BY_HOUR, BY_DAY, BY_MONTH):
        assert sum(row[5] for row in plain(rows(ledger, query))) == 303
    for hours in (1, 24, 744):
        found = rows(
            ledger,
            "SELECT sum(requests) FROM usage_label_sums JOIN usage_label_series ON usage_label_series.id = label_series"
            f" WHERE hours = {hours} AND name = 'end_user' AND value = 'ann'",
        )
        assert plain(found) == plain(rows(ledger, "SELECT count(*) FROM usage WHERE end_user = 'ann'"))


def test_a_ledger_without_months_gets_those_of_its_days(ledger: Database) -> None:
    huge = msgspec.structs.replace(make_record("odd"), prompt_tokens=2**53 - 1, cached_tokens=0)
    many = [msgspec.structs.replace(huge, started_at=STARTED_AT + day * 24 * HOUR_US) for day in range(3)] * 1200
    insert(ledger, [*over_months(300), *many])
    labelled = "SELECT * FROM usage_label_sums ORDER BY hours, start, label_series"
    before = [plain(rows(ledger, query)) for query in (BY_MONTH, labelled)]
    assert max(row[7] for row in before[0]) == 2**63 - 1
    for table in ("usage_sums", "usage_label_sums"):
        execute(ledger, f"DELETE FROM {table} WHERE hours = 744")
    ledger.change(partial(upgrade, revision=r0020_usage_by_month))
    assert [plain(rows(ledger, query)) for query in (BY_MONTH, labelled)] == before


def test_a_batch_that_is_repeated_after_a_failure_is_rolled_up_once(home: Home, ledger: Database) -> None:
    records = some(40)
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in records))
    ingester = Ingester(StoredUsage(ledger), home.journal)
    execute(ledger, "ALTER TABLE usage_label_sums RENAME TO elsewhere")
    with pytest.raises(Exception, match="usage_label_sums"):
        ingester.run()
    assert rows(ledger, "SELECT count(*) FROM usage_sums") == [(0,)]
    execute(ledger, "ALTER TABLE elsewhere RENAME TO usage_label_sums")
    assert ingester.run() == 40
    assert plain(rows(ledger, BY_HOUR)) == plain(rows(ledger, FROM_RECORDS))


def test_end_users_and_tags_without_end_are_summed_as_one(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MOST_LABELS", 5)
    monkeypatch.setattr(rollups, "MOST_TAGS", 2)
    tagged = [
        msgspec.structs.replace(make_record(str(at)), labels=Labels(f"u{at}", ((f"t{at}", "v"),))) for at in range(20)
    ]
    insert(ledger, tagged)
    insert(ledger, tagged)
    found = rows(
        ledger,
        "SELECT name, value, sum(requests) FROM usage_label_sums JOIN usage_label_series ON "
        "usage_label_series.id = label_series WHERE hours = 24 GROUP BY 1, 2 ORDER BY 1, 2",
    )
    assert {(name, value): int(count) for name, value, count in found} == {
        ("end_user", MANY): 30, **{("end_user", f"u{at}"): 2 for at in range(5)},
        ("tag:t0", "v"): 2, ("tag:t1", "v"): 2, (MANY, "v"): 36,
    }  # fmt: skip


def _as_before(connection: Connection) -> None:
    """The tables as revision 0010 has them."""
    for statement in UNDONE["0011"]:
        connection.exec_driver_sql(statement)


def upgrade(connection: Connection, revision: ModuleType = revision) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        revision.upgrade()


def test_a_ledger_without_roll_ups_gets_those_of_its_records(ledger: Database) -> None:
    records = [msgspec.structs.replace(each, labels=None) for each in some(300)]
    odd = msgspec.structs.replace(records[0], started_at=-1, prompt_tokens=2**53 - 1)
    insert(ledger, [*records, *[odd] * 1100])
    before = [plain(rows(ledger, query)) for query in (BY_HOUR, BY_DAY)]
    ledger.change(_as_before)
    execute(ledger, "UPDATE usage_daily SET requests = requests + 5 WHERE day = 20406 AND key_id = 'key_1'")
    ledger.change(upgrade)
    # What only the totals of days know of: in the first hour, of an unknown upstream.
    unknown = [row for row in plain(rows(ledger, BY_HOUR)) if row[3] == ""]
    assert sum(row[5] for row in unknown) == 5 * len(unknown) > 0
    assert {row[:2] + row[3:5] for row in unknown} == {(20406 * 24, "key_1", "", "")}
    assert [[row for row in plain(rows(ledger, query)) if row[3] != ""] for query in (BY_HOUR, BY_DAY)] == before
    # It goes on where it was.
    insert(ledger, records)
    assert sum(row[5] for row in plain(rows(ledger, BY_DAY))) == 1700 + 5 * len(unknown)


@pytest.mark.parametrize("version", [EARLIER[0], EARLIER[-1]])
def test_ledgers_of_earlier_releases_get_roll_ups(tmp_path: Path, version: int) -> None:
    home = Home(tmp_path)
    home.create()
    make_ledger(home.database, version)
    with open_ledger(home, SQLITE) as ledger:
        ledger.change(lambda _: None)
        by_model = partial(rows, ledger)
        assert by_model("SELECT sum(requests) FROM usage_sums WHERE hours = 24") == [(5 * version,)]
        assert by_model("SELECT sum(requests) FROM usage_sums WHERE hours = 1") == [(5 * version,)]
