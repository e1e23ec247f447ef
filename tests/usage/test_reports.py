"""Reports: whatever is asked, the sums are those of the records."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_process import STARTED_AT, make_record
from sqlalchemy import Connection, Table
from sqlalchemy import insert as insert_into
from test_rollups import some

from tests.fixtures.databases import execute, insert, plans
from tests.fixtures.postgresql import PostgresServer
from weebill.accounts.permissions import Target
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage import usage_reports
from weebill.storage.audit import EXEMPT
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS, USERS
from weebill.storage.usage_levels import BY_KEY, BY_PROJECT, Level, level_of
from weebill.storage.usage_parts import sizes
from weebill.storage.usage_reports import report
from weebill.usage.asked import read_query
from weebill.usage.records import Labels, UsageRecord
from weebill.usage.reports import BadReportError, ReportQuery, ReportRow
from weebill.usage.spans import HOUR_S, Bucket, Span, buckets, month_of, zone_of

HOUR = STARTED_AT // 1_000_000 // HOUR_S
RECORDS = [
    msgspec.structs.replace(each, started_at=each.started_at + days * 86_400_000_000)
    for each, days in zip(some(400), [0, 0, 0, 17, 45, 100] * 70, strict=False)
]
HOLDERS = {"key_0": ("org_a", "proj_a", "user_a"), "key_1": ("org_a", "proj_b", None), "key_2": (None, None, None)}
DIMENSIONS = ["organization", "project", "key", "user", "model", "provider", "endpoint"]


def put(connection: Connection, table: Table, **row: object) -> None:
    """Insert a row, as nobody's act."""
    connection.execute(insert_into(table).values(row).execution_options(**EXEMPT))


def tenants(connection: Connection) -> None:
    """The keys of the records; nobody knows the third one any more."""
    put(connection, ORGANISATIONS, id="org_a", name="A", created_at=1, changed_in=1)
    put(connection, USERS, id="user_a", email="a@b", name="A", created_at=1, changed_in=1)
    for at, (key, (organization, project, user)) in enumerate(HOLDERS.items()):
        if project is None:
            continue
        known = {"organisation_id": organization, "created_at": 1, "changed_in": 1}
        put(connection, PROJECTS, id=project, name=project, **known)
        scopes = dict.fromkeys(("networks", "models", "endpoints"), "[]") | {"local_only": False, "preferences": "{}"}
        made = {
            "created_at": 1,
            "made_in": 1,
            "changed_in": 1,
            "hint": "sk",
            "digest": bytes([at]) * 32,
            "role": "user",
        }
        row = {"id": key, "name": key, "project_id": project, "user_id": user, **scopes, **made}
        put(connection, API_KEYS, **row)


@pytest.fixture(scope="module")
def both(postgres_server: PostgresServer) -> Iterator[list[Database]]:
    """The same usage on each kind of database."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Home(Path(folder))
        urls = [None, postgres_server.database()]
        ledgers = [stack.enter_context(open_ledger(home, DatabaseSettings(url=url))) for url in urls]
        for ledger in ledgers:
            ledger.change(tenants)
            insert(ledger, RECORDS)
        yield ledgers


def value_of(record: UsageRecord, name: str) -> str | None:
    labels = record.labels or Labels()
    holder = HOLDERS[record.key_id]
    if name.startswith("tag:"):
        return dict(labels.tags).get(name.removeprefix("tag:"))
    found = {
        "organization": holder[0], "project": holder[1], "user": holder[2], "key": record.key_id,
        "model": record.model_served, "provider": record.upstream, "endpoint": record.endpoint,
        "end_user": labels.user or None,
    }  # fmt: skip
    return found[name]


def expected(query: ReportQuery) -> Counter[tuple[object, ...]]:
    """From the records, one by one."""
    found: Counter[tuple[object, ...]] = Counter()
    spans = list(buckets(query.span, query.bucket, zone_of(query.timezone)))
    for record in RECORDS:
        hour = record.started_at // 3_600_000_000
        if any(value_of(record, name) not in values for name, values in query.filters.items()):
            continue
        for span in spans:
            if span.start <= hour < span.end:
                group = tuple(value_of(record, name) for name in query.group_by)
                found[(span, group, "requests")] += 1
                found[(span, group, "failures")] += record.outcome not in ("ok", "client_cancelled")
                found[(span, group, "prompt")] += record.prompt_tokens
                found[(span, group, "cost")] += record.cost_nano or 0
                found[(span, group, "unpriced")] += record.cost_nano is None
    return +found


def told(rows: list[ReportRow]) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        sums = row.amounts
        assert sums.requests > 0
        for name, amount in (
            ("requests", sums.requests), ("failures", sums.failures), ("prompt", sums.prompt_tokens),
            ("cost", sums.cost_nano), ("unpriced", sums.unpriced),
        ):  # fmt: skip
            found[(row.span, row.group, name)] += amount
    return +found


def paged(ledger: Database, query: ReportQuery, limit: int) -> list[ReportRow]:
    rows: list[ReportRow] = []
    cursor: str | None = None
    while True:
        page = ledger.read(partial(report, query=query, limit=limit, cursor=cursor))
        assert len(page.rows) <= limit
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows


@st.composite
def queries(draw: st.DrawFn) -> ReportQuery:
    start = HOUR + draw(st.one_of(st.integers(-50, 70), st.integers(-50, 2500)))
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
    label = draw(st.sampled_from([None, "end_user", "tag:team"]))
    names = [*DIMENSIONS, label] if label else DIMENSIONS
    filters = {}
    for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True)):
        values = sorted({value for record in RECORDS if (value := value_of(record, name)) is not None})
        filters[name] = tuple(draw(st.lists(st.sampled_from([*values, "?"]), min_size=1, max_size=2, unique=True)))
    return ReportQuery(
        span=Span(start, start + draw(st.one_of(st.integers(1, 200), st.integers(1, 3000)))),
        bucket=draw(st.sampled_from(["hour", "day", "week", "month", "all"])),
        timezone=zone,
        group_by=tuple(draw(st.lists(st.sampled_from(names), max_size=3, unique=True))),
        filters=filters,
    )


@settings(max_examples=40)
@given(queries(), st.sampled_from([1, 7, 1000]))
def test_a_report_has_the_sums_of_the_records(both: list[Database], query: ReportQuery, limit: int) -> None:
    ours, theirs = (paged(ledger, query, limit) for ledger in both)
    assert ours == theirs
    assert len({(row.span, row.group) for row in ours}) == len(ours)
    assert told(ours) == expected(query)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"])
@pytest.mark.parametrize("bucket", ["hour", "day", "week", "month", "all"])
def test_buckets_are_those_of_the_calendar(zone: str, bucket: Bucket) -> None:
    """Over days of 23 and of 25 hours, and months of all lengths."""
    first = int(datetime(2026, 1, 17, tzinfo=ZoneInfo(zone)).timestamp())
    span = Span(first // HOUR_S, first // HOUR_S + 370 * 24)
    if zone == "Australia/Lord_Howe" and bucket not in ("hour", "all"):
        with pytest.raises(ValueError, match="within an hour"):
            list(buckets(span, bucket, zone_of(zone)))
        return
    found = list(buckets(span, bucket, zone_of(zone)))
    assert [each.start for each in found[1:]] == [each.end for each in found[:-1]]
    assert (found[0].start, found[-1].end) == span
    for each in found[1:]:
        begin = datetime.fromtimestamp(each.start * HOUR_S, ZoneInfo(zone))
        if bucket in ("day", "week", "month"):
            assert begin.hour == 0
        if bucket == "week":
            assert begin.weekday() == 0
        if bucket == "month":
            assert begin.day == 1
    counts = {"hour": 8880, "day": 370, "week": 54, "month": 13, "all": 1}
    assert abs(len(found) - counts[bucket]) <= 1


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"start": ["soon"]}, "start"),
        ({"start": ["1763000001"]}, "start"),
        ({"start": ["2026-11-02"], "end": ["2026-11-01"]}, "end"),
        ({"start": ["1000000000000000000000"]}, "start"),
        ({"start": ["0"], "bucket": ["hour"], "end": ["2026-11-01"]}, "start"),
        ({"bucket": ["year"]}, "bucket"),
        ({"timezone": ["Mars/Base"]}, "timezone"),
        ({"timezone": ["../etc/passwd"]}, "timezone"),
        ({"group_by": ["colour"]}, "group_by"),
        ({"group_by": ["model,model"]}, "group_by"),
        ({"group_by": ["tag:"]}, "group_by"),
        ({"group_by": ["end_user", "tag:a"]}, "group_by"),
        ({"group_by": ["end_user"], "tag:a": ["b"]}, "group_by"),
        ({"colour": ["red"]}, "colour"),
        ({"model": []}, "model"),
        ({"bucket": ["day", "hour"]}, "bucket"),
    ],
)
def test_what_cannot_be_reported_is_refused_by_its_name(given: dict[str, list[str]], param: str) -> None:
    with pytest.raises(BadReportError) as caught:
        read_query(given, 1_763_000_000.0)
    assert caught.value.param == param


def test_days_ago_are_whole_days() -> None:
    query = read_query({"start": ["2d"], "timezone": ["Europe/Berlin"]}, 1_763_000_000.0)
    begin = datetime.fromtimestamp(query.span.start * HOUR_S, ZoneInfo("Europe/Berlin"))
    assert (begin.isoformat(), query.span.end) == ("2025-11-11T00:00:00+01:00", HOUR + 1)


def test_a_cursor_of_something_else_is_refused(ledger: Database) -> None:
    query = ReportQuery(span=Span(HOUR, HOUR + 5), group_by=("model",))
    for cursor in ("", "x", "WzFd", "W10", "é", "W251bGwsbnVsbF0", "WzQ4OTcyMixbInh4Iiwib28iXV0"):
        with pytest.raises(BadReportError) as caught:
            ledger.read(partial(report, query=query, limit=1, cursor=cursor))
        assert caught.value.param == "cursor"


def test_a_report_reads_the_sums_of_its_own_time_alone(ledger: Database) -> None:
    for days in range(0, 400, 20):
        moved = [
            msgspec.structs.replace(
                make_record(f"{key}", key_id=f"key_{key}", model=f"model_{key}"),
                started_at=STARTED_AT + days * 86_400_000_000,
            )
            for key in range(200)
        ]
        insert(ledger, moved)
    execute(ledger, "ANALYZE")
    query = ReportQuery(span=Span(HOUR - 30, HOUR + 30), group_by=("model", "project"))
    found = plans(ledger, lambda connection: report(connection, query, 10))
    assert found
    for plan in found:
        assert not [step for step in plan if step.startswith("SCAN usage_") and "sums" in step], plan
        assert not [step for step in plan if "Seq Scan on usage_" in step and "sums" in step], plan


def test_what_is_asked_without_a_time_is_of_the_last_days(ledger: Database) -> None:
    now = time.time()
    insert(ledger, [msgspec.structs.replace(make_record("a"), started_at=int(now * 1e6))])
    page = ledger.read(partial(report, query=read_query({"group_by": ["model"]}, now), limit=10))
    assert [(row.group, row.amounts.requests) for row in page.rows] == [(("tiny",), 1)]


def test_a_page_adds_up_a_bounded_number_of_sums(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends early, but never without a row; all pages together have everything."""
    spread = [
        msgspec.structs.replace(
            make_record(f"{at}"), key_id=f"key_{at % 3}", started_at=STARTED_AT + at * 3_600_000_000
        )
        for at in range(60)
    ]
    insert(ledger, spread)
    monkeypatch.setattr(usage_reports, "MOST_SUMS", 10)
    query = ReportQuery(span=Span(HOUR, HOUR + 60), bucket="hour", group_by=("model",))
    first = ledger.read(partial(report, query=query, limit=1000))
    assert len(first.rows) == 10
    assert len(paged(ledger, query, 1000)) == 60
    monkeypatch.setattr(usage_reports, "MOST_SUMS", 1)
    assert [len(paged(ledger, msgspec.structs.replace(query, bucket=bucket), 1000)) for bucket in ("day", "all")] == [
        len({each.started_at // 86_400_000_000 for each in spread}), 1,
    ]  # fmt: skip


def test_few_more_sums_are_counted_than_a_page_has_room_for(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    spread = [
        msgspec.structs.replace(make_record(f"{at}"), started_at=STARTED_AT + at * 3_600_000_000) for at in range(60)
    ]
    insert(ledger, spread)
    looked_at: list[Span] = []

    def noted(connection: Connection, spans: list[Span], level: Level, *, labelled: bool) -> dict[int, int]:
        looked_at.extend(spans)
        return sizes(connection, spans, level, labelled=labelled)

    monkeypatch.setattr(usage_reports, "sizes", noted)
    query = ReportQuery(span=Span(HOUR, HOUR + 60), bucket="hour", group_by=("model",))
    assert len(ledger.read(partial(report, query=query, limit=1000)).rows) == len(looked_at) == 60
    looked_at.clear()
    monkeypatch.setattr(usage_reports, "MOST_SUMS", 3)
    assert len(ledger.read(partial(report, query=query, limit=1000)).rows) == 3
    assert len(looked_at) == 4


@pytest.mark.parametrize(
    ("dimensions", "reach", "level"),
    [
        ((), None, BY_PROJECT),
        (("organization", "project", "model", "provider", "endpoint"), None, BY_PROJECT),
        (("model",), (Target("org_a", "proj_a"),), BY_PROJECT),
        (("model",), (Target("org_a"), Target("org_b", user_id="user_a")), BY_KEY),
        (("key",), None, BY_KEY),
        (("model", "user"), None, BY_KEY),
        (("end_user",), None, BY_KEY),
        (("tag:team",), None, BY_KEY),
    ],
)
def test_sums_of_projects_are_read_where_no_keys_are_told_apart(
    dimensions: tuple[str, ...], reach: tuple[Target, ...] | None, level: Level
) -> None:
    assert level_of(dimensions, reach) is level


def test_a_sum_of_many_noughts_is_read(ledger: Database) -> None:
    """PostgreSQL's driver writes such a one with an exponent."""
    insert(ledger, [msgspec.structs.replace(make_record("a"), cost_nano=10**15)])
    query = ReportQuery(span=Span(HOUR, HOUR + 1), bucket="hour")
    [row] = ledger.read(partial(report, query=query, limit=10)).rows
    assert row.amounts.cost_nano == 10**15


@pytest.mark.parametrize(
    ("start", "end", "parts"),
    [
        (0, 31 * 24, [(744, 0, 744, 1)]),
        # A month in Tokyo: that of UTC, and nine hours before it rather than at its end.
        (744 - 9, 744 + 28 * 24 - 9, [(1, 735, 744, 1), (744, 744, 1416, 1), (1, 1407, 1416, -1)]),
        (24, 744, [(744, 0, 744, 1), (24, 0, 24, -1)]),
        (48, 48 + 5 * 24, [(24, 48, 168, 1)]),
        (5, 7, [(1, 5, 7, 1)]),
        (1, 24, [(24, 0, 24, 1), (1, 0, 1, -1)]),
    ],
)
def test_a_span_is_made_of_the_fewest_sums(start: int, end: int, parts: list[tuple[int, int, int, int]]) -> None:
    assert sorted(Span(start, end).parts()) == sorted(parts)


@given(st.integers(0, 500_000), st.integers(1, 20_000))
def test_the_parts_of_a_span_are_the_span(start: int, length: int) -> None:
    counts: Counter[int] = Counter()
    for part in Span(start, start + length).parts():
        assert month_of(part.start) == part.start or part.hours < 744
        assert month_of(part.end) == part.end or part.hours < 744
        counts[part.start] += part.sign
        counts[part.end] -= part.sign
    assert +counts == {start: 1}
    assert -counts == {start + length: 1}


def test_sums_of_more_than_64_bits_end_at_the_most(ledger: Database) -> None:
    huge = msgspec.structs.replace(make_record("odd"), prompt_tokens=2**53 - 1, cost_nano=2**53 - 1, cached_tokens=0)
    for day in range(3):
        insert(ledger, [msgspec.structs.replace(huge, started_at=STARTED_AT + day * 86_400_000_000)] * 1200)
    insert(ledger, [make_record("small")])
    query = ReportQuery(span=Span(HOUR - 1, HOUR + 100), bucket="all", group_by=("model",))
    [row] = ledger.read(partial(report, query=query, limit=10)).rows
    sums = row.amounts
    assert (sums.requests, sums.prompt_tokens, sums.cost_nano) == (3601, 2**63 - 1, 2**63 - 1)
    assert (sums.cached_tokens, sums.completion_tokens) == (4, 3601 * 3)
