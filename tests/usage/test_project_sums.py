"""Sums by project: they are those of the keys, as they come and where a ledger has none yet."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest
from journal_process import STARTED_AT, make_record
from test_reports import RECORDS, tenants
from test_rollups import HOUR_US, NAMES, over_months, plain, upgrade

from tests.fixtures.databases import execute, insert, rows
from tests.storage.test_later_revisions import UNDONE
from weebill.accounts.permissions import Reach, Target
from weebill.storage.database import Database
from weebill.storage.revisions.ledger import r0024_usage_by_project
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_totals import summary
from weebill.usage.records import UsageRecord
from weebill.usage.totals import Grouping

BY_PROJECT = (
    f"SELECT hours, start, project_id, model, upstream, endpoint, {NAMES} FROM usage_project_sums "
    "JOIN usage_project_series ON usage_project_series.id = project_series ORDER BY 1, 2, 3, 4, 5, 6"
)
OF_KEYS = (
    "SELECT hours, start, coalesce(project_id, ''), model, upstream, endpoint, "
    f"{', '.join(f'sum({name})' for name in NAMES.split(', '))} FROM usage_sums "
    "JOIN usage_series ON usage_series.id = series LEFT JOIN api_keys ON api_keys.id = key_id "
    "GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"
)


def test_projects_have_the_sums_of_their_keys(ledger: Database) -> None:
    ledger.change(tenants)
    usage = StoredUsage(ledger)
    records = over_months(300)
    for start in range(0, len(records), 50):
        usage.change(lambda tables, start=start: tables.insert([records[start : start + 50]]))  # type: ignore[misc]
    found = plain(rows(ledger, BY_PROJECT))
    assert found == plain(rows(ledger, OF_KEYS))
    assert {row[2] for row in found} == {"proj_a", "proj_b", ""}
    for hours in (1, 24, 744):
        assert sum(row[6] for row in found if row[0] == hours) == 303


def test_a_ledger_without_sums_of_projects_gets_those_of_its_keys(ledger: Database) -> None:
    ledger.change(tenants)
    huge = msgspec.structs.replace(make_record("odd"), prompt_tokens=2**53 - 1, cached_tokens=0, key_id="key_0")
    many = [msgspec.structs.replace(huge, started_at=STARTED_AT + day * 24 * HOUR_US) for day in range(3)] * 1200
    insert(ledger, [*over_months(300), *many])
    before = plain(rows(ledger, BY_PROJECT))
    assert max(row[8] for row in before) == 2**63 - 1
    for statement in UNDONE["0024"]:
        execute(ledger, statement)
    ledger.change(partial(upgrade, revision=r0024_usage_by_project))
    assert plain(rows(ledger, BY_PROJECT)) == before
    insert(ledger, over_months(300))  # it goes on with the series that are there
    assert len(rows(ledger, BY_PROJECT)) == len(before)


def name_of(record: UsageRecord, by: Grouping) -> str:
    day = datetime.fromtimestamp(record.started_at // 1_000_000, UTC).date().isoformat()
    return {"model": record.model_served, "key": record.key_id, "day": day}[by]


@pytest.mark.parametrize(
    ("reach", "keys"),
    [
        (None, {"key_0", "key_1", "key_2"}),
        ((Target("org_a"),), {"key_0", "key_1"}),
        ((Target("org_a", "proj_b"),), {"key_1"}),
        ((Target("org_a", None, "user_a"),), {"key_0"}),
        ((), set()),
    ],
)
def test_totals_are_of_what_is_within_reach(ledger: Database, reach: Reach | None, keys: set[str]) -> None:
    ledger.change(tenants)
    insert(ledger, RECORDS)
    counted = [each for each in RECORDS if each.key_id in keys]
    groupings: tuple[Grouping, ...] = ("model", "key", "day")
    for by in groupings:
        found, everything = ledger.read(partial(summary, by=by, reach=reach))
        assert {each.name: each.requests for each in found} == Counter(name_of(each, by) for each in counted)
        for sums in ([*found], [everything]):
            assert sum(each.requests for each in sums) == len(counted)
            assert sum(each.cost_nano for each in sums) == sum(each.cost_nano or 0 for each in counted)
