"""What went wrong in a peer's spend reports, as its users reported it, does not here.

Source: https://github.com/BerriAI/litellm/issues, by the numbers below.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
import pytest
from journal_process import make_record

from tests.fixtures.databases import insert, rows
from weebill.storage import usage_deletion
from weebill.storage.database import Database
from weebill.storage.usage_reports import report
from weebill.storage.usage_retention import EVERYWHERE, Sweeper, set_rule
from weebill.usage.asked import read_query
from weebill.usage.records import Labels, UsageRecord
from weebill.usage.reports import ReportRow

NOW = datetime(2026, 3, 10, 4, 30, tzinfo=ZoneInfo("UTC")).timestamp()
US_WEST = "America/Los_Angeles"


def at(time: str, zone: str = "UTC", **changes: object) -> UsageRecord:
    moment = datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(zone))
    return msgspec.structs.replace(make_record("r"), started_at=int(moment.timestamp() * 1e6), cost_nano=5, **changes)


def told(ledger: Database, **given: str) -> list[ReportRow]:
    query = read_query({name: [value] for name, value in given.items()}, NOW)
    return ledger.read(partial(report, query=query, limit=1000)).rows


def counts(found: list[ReportRow]) -> list[int]:
    return [row.amounts.requests for row in found]


def test_a_day_has_nothing_of_the_day_before(ledger: Database) -> None:
    """22176: a range of one day had the sum of two."""
    insert(ledger, [at("2026-02-23T23:59:59")] * 3, [at("2026-02-24T00:00:00")] * 5, [at("2026-02-25T00:00:00")] * 7)
    assert counts(told(ledger, start="2026-02-24", end="2026-02-25")) == [5]
    assert counts(told(ledger, start="2026-02-23", end="2026-02-26")) == [3, 5, 7]


@pytest.mark.parametrize("zone", [US_WEST, "Asia/Tokyo", "Europe/Berlin"])
def test_a_day_of_a_zone_is_its_own(ledger: Database, zone: str) -> None:
    """27780: one day of a zone other than UTC had those beside it."""
    insert(ledger, [at("2026-02-23T23:30", zone)] * 3, [at("2026-02-24T00:00", zone)] * 2)
    insert(ledger, [at("2026-02-24T23:30", zone)] * 3, [at("2026-02-25T00:30", zone)] * 7)
    assert counts(told(ledger, start="2026-02-24", end="2026-02-25", timezone=zone)) == [5]
    assert counts(told(ledger, start="2026-02-23", end="2026-02-26", timezone=zone)) == [3, 5, 7]


def test_the_evening_in_the_west_is_of_today(ledger: Database) -> None:
    """36051: after midnight in UTC, what was used that evening was missing."""
    insert(ledger, [at("2026-03-09T21:15", US_WEST)] * 4)
    assert counts(told(ledger, start="1d", timezone=US_WEST)) == [4]


def test_a_request_with_several_tags_counts_once(ledger: Database) -> None:
    """21894: it was counted once for each of its tags, and so tags were more than everything."""
    many = Labels("ann", (("app", "x"), ("env", "prod"), ("team", "y")))
    insert(ledger, [at("2026-02-24T01:00", labels=many)] * 3, [at("2026-02-24T01:00")] * 2)
    day = {"start": "2026-02-24", "end": "2026-02-25"}
    assert counts(told(ledger, **day)) == [5]
    for name in ("tag:app", "tag:env", "tag:team", "end_user"):
        found = told(ledger, group_by=name, **day)
        assert sum(counts(found)) == 5
        assert sum(row.amounts.cost_nano for row in found) == 25
    assert counts(told(ledger, **day, **{"tag:team": "y"})) == [3]


def test_several_keys_on_one_day_are_added_up(ledger: Database) -> None:
    """8897: of several keys the last one's sum was shown."""
    insert(ledger, [at("2026-02-24T01:00", key_id=f"key_{number}") for number in range(5)])
    [row] = told(ledger, start="2026-02-24", end="2026-02-25")
    assert (row.amounts.requests, row.amounts.cost_nano) == (5, 25)


def test_many_groups_come_in_pages_without_end(ledger: Database) -> None:
    """13182: with more than ten pages there was an error; 16276: everything was read at once."""
    insert(ledger, [at("2026-02-24T01:00", key_id=f"key_{number:04}") for number in range(1500)])
    query = read_query({"start": ["2026-02-24"], "end": ["2026-02-25"], "group_by": ["key"]}, NOW)
    keys: list[str | None] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        page = ledger.read(partial(report, query=query, limit=100, cursor=cursor))
        keys += [row.group[0] for row in page.rows]
        cursor, pages = page.cursor, pages + 1
    assert keys == [f"key_{number:04}" for number in range(1500)]
    assert pages in (15, 16)


def test_a_record_that_costs_has_its_tokens(ledger: Database) -> None:
    """1806: sums had costs without tokens."""
    insert(ledger, [at("2026-02-24T01:00")] * 2)
    [row] = told(ledger, start="2026-02-24", end="2026-02-25")
    assert (row.amounts.cost_nano, row.amounts.prompt_tokens, row.amounts.completion_tokens) == (10, 20, 6)


def test_nothing_is_left_of_what_was_kept_long_enough(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """29342: rows that belonged to deleted ones were never deleted; 36594: one run deleted without a bound."""
    monkeypatch.setattr(usage_deletion, "MOST_DELETED", 10)
    old = [at("2026-01-24T01:00", labels=Labels(f"u{number}", (("n", str(number)),))) for number in range(95)]
    insert(ledger, old, [at("2026-03-09T01:00", labels=Labels("ann"))])
    ledger.change(partial(set_rule, project=EVERYWHERE, days=30))
    pauses: list[int] = []
    assert Sweeper(ledger, lambda: pauses.append(1)).sweep(NOW) == 95
    assert len(pauses) == 10
    assert rows(ledger, "SELECT end_user FROM usage_labels") == [("ann",)]
    assert sum(counts(told(ledger, start="2026-01-01"))) == 96
