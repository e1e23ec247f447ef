"""How long a page of usage takes in a ledger with millions of requests, on SQLite or PostgreSQL.

The requests are made by the database itself, in bulk; their sums are theirs, added up once all are there.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table
from sqlalchemy import Connection, insert, select, text

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.audit import EXEMPT
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import API_KEYS, USAGE_KINDS, USAGE_PROJECT_SERIES, USAGE_SERIES
from weebill.storage.tables.tenants import PROJECTS
from weebill.storage.usage_reports import report
from weebill.storage.usage_rows import KIND, SUMS, fingerprint
from weebill.storage.usage_totals import recent, summary
from weebill.usage.reports import MOST_ROWS, ReportQuery
from weebill.usage.spans import DAY_H, MONTH_H, Span, month_of

TARGET_MS: Final = 200.0
KEYS: Final = 200
PROJECTS_MADE: Final = 20
MODELS: Final = ("smollm2:135m", "gpt-4o-mini", "claude-haiku")
DAYS: Final = 365
END_H: Final = 490_000  # hours since 1970
_BATCH: Final = 500_000
_RUNS: Final = 15
_SETTLE_S: Final = 300
_HOUR_US: Final = 3_600_000_000

# Spread over the year by a multiplication that visits every hour of it, and over keys, of which a few are used most.
_ENTRIES: Final = """
    INSERT INTO usage_entries (kind, request_id, prompt_tokens, cached_tokens, completion_tokens, started_at,
        first_byte_us, total_us, cache_write_tokens, reasoning_tokens, cost_nano, attempts, arm)
    SELECT 1 + (n * 7919 % {kinds}) * (n % 97) / 97, 'req_' || n, 100 + n % 900, n % 90, 10 + n % 200,
        {begin} + (n * {hours} / {total}) * {hour} + n * 104729 % {hour}, 1500, 90000 + n % 50000, 0, 0,
        1000 + n % 5000, '', ''
    FROM ({numbers}) AS numbers"""
_NUMBERS: Final = {
    "sqlite": "WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}) "
    "SELECT n FROM numbers",
    "postgresql": "SELECT n FROM generate_series(CAST({first} AS bigint), {last}) AS n",
}
_ADDED: Final = (
    "count(*), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(cost_nano), 0, "
    "sum(CASE WHEN status = 200 THEN 0 ELSE 1 END)"
)
_BY_HOUR: Final = (
    f"INSERT INTO usage_sums (hours, start, series, {', '.join(SUMS)}) "
    f"SELECT 1, started_at / {_HOUR_US}, kind, {_ADDED} FROM usage_entries JOIN usage_kinds ON usage_kinds.id = kind "
    "GROUP BY 2, 3 ORDER BY 2, 3"
)
_BY_DAY: Final = (
    f"INSERT INTO usage_sums (hours, start, series, {', '.join(SUMS)}) "
    f"SELECT 24, start / 24 * 24, series, {', '.join(f'sum({name})' for name in SUMS)} FROM usage_sums "
    "WHERE hours = 1 GROUP BY 2, 3 ORDER BY 2, 3"
)
_BY_MONTH: Final = (
    f"INSERT INTO usage_sums (hours, start, series, {', '.join(SUMS)}) "
    f"SELECT {MONTH_H}, {{month}}, series, {', '.join(f'sum({name})' for name in SUMS)} FROM usage_sums "
    "WHERE hours = 24 AND start >= {month} AND start < {end} GROUP BY series ORDER BY series"
)
# Keys belong to projects in turn.
_PROJECT_SERIES: Final = (
    f"(series - 1) / {len(MODELS)} % {PROJECTS_MADE} * {len(MODELS)} + (series - 1) % {len(MODELS)} + 1"
)
_BY_PROJECT: Final = (
    f"INSERT INTO usage_project_sums (hours, start, project_series, {', '.join(SUMS)}) "
    f"SELECT hours, start, {_PROJECT_SERIES}, {', '.join(f'sum({name})' for name in SUMS)} FROM usage_sums "
    "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
_VACUUMED: Final = (
    "SELECT count(*) FROM pg_stat_user_tables WHERE relname IN ('usage_sums', 'usage_project_sums') "
    "AND coalesce(last_autovacuum, last_vacuum) IS NULL"
)
_DAILY: Final = (
    f"INSERT INTO usage_daily (day, key_id, model, {', '.join(SUMS)}) "
    f"SELECT start / 24, key_id, model, {', '.join(f'sum({name})' for name in SUMS)} FROM usage_sums "
    "JOIN usage_series ON usage_series.id = series WHERE hours = 24 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)


class PageTime(msgspec.Struct, frozen=True):
    """A page, and how long it took in milliseconds: the median, and the longest."""

    page: str
    median_ms: float
    longest_ms: float


class UsagePages(msgspec.Struct, frozen=True):
    """The findings: the database, its requests and sums, the seconds that it took to make them, and the pages."""

    database: str
    requests: int
    sums: int
    made_s: float | None  # None if they were there
    pages: list[PageTime]


def measure_usage(requests: int | None, url: str | None, told: Callable[[str], None]) -> UsagePages:
    """Fill an empty ledger with requests and measure pages of it; on SQLite in a temporary folder, else at `url`.

    Without a number of requests, the ledger is one that was filled before.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.create()
        with open_ledger(home, DatabaseSettings(url=url), patience_s=36_000) as ledger:
            made_s = None
            if requests is not None:
                begun = time.perf_counter()
                ledger.change(_make_tenants)
                _fill(ledger, requests, told)
                _settle(ledger, told)
                made_s = time.perf_counter() - begun
            kind = ledger.read(lambda each: each.dialect.name)
            there, sums = _number(ledger, "max(id) FROM usage_entries"), _number(ledger, "count(*) FROM usage_sums")
            return UsagePages(kind, there, sums, made_s, [_timed(ledger, *each) for each in _pages()])


def _number(ledger: Database, of: str) -> int:
    return int(ledger.read(lambda each: each.execute(text(f"SELECT {of}")).scalar_one()) or 0)


def _make_tenants(connection: Connection) -> None:
    if connection.execute(select(USAGE_KINDS.c.id).limit(1)).first() is not None:
        raise SystemExit("the database has usage already: give an empty one")
    common = {"organisation_id": "org_default", "created_at": 1, "changed_in": 1}
    projects = [{"id": f"proj_{at}", "name": f"p{at}", **common} for at in range(PROJECTS_MADE)]
    connection.execute(insert(PROJECTS).execution_options(**EXEMPT), projects)
    scopes = {"networks": "[]", "models": "[]", "endpoints": "[]", "local_only": False, "preferences": "{}"}
    made = {"role": "user", "hint": "sk", "created_at": 1, "made_in": 1, "changed_in": 1, **scopes}
    keys = [
        {"id": f"key_{at}", "name": f"k{at}", "digest": at.to_bytes(32), "project_id": f"proj_{at % PROJECTS_MADE}"}
        for at in range(KEYS)
    ]
    connection.execute(insert(API_KEYS).execution_options(**EXEMPT), [{**each, **made} for each in keys])
    for at, (project, model) in enumerate(
        ((project, model) for project in range(PROJECTS_MADE) for model in MODELS), 1
    ):
        of_project = (f"proj_{project}", model, "acme", "chat.completions")
        named = dict(zip(("project_id", "model", "upstream", "endpoint"), of_project, strict=True))
        connection.execute(insert(USAGE_PROJECT_SERIES).values(id=at, fingerprint=fingerprint(of_project), **named))
    for at, (key, model) in enumerate(((key, model) for key in range(KEYS) for model in MODELS), 1):
        kind = (
            f"key_{key}", model, model, "acme", "chat.completions", False, True, 200, "ok", "", "", False, "",
        )  # fmt: skip
        connection.execute(
            insert(USAGE_KINDS).values(id=at, fingerprint=fingerprint(kind), **dict(zip(KIND, kind, strict=True)))
        )
        series = dict(zip(("key_id", "model", "upstream", "endpoint"), (kind[0], model, "acme", kind[4]), strict=True))
        connection.execute(
            insert(USAGE_SERIES).values(id=at, fingerprint=fingerprint(tuple(series.values())), **series)
        )


def _fill(ledger: Database, requests: int, told: Callable[[str], None]) -> None:
    numbers = _NUMBERS[ledger.read(lambda each: each.dialect.name)]
    begin = (END_H - DAYS * DAY_H) * _HOUR_US
    for first in range(0, requests, _BATCH):
        last = min(requests, first + _BATCH) - 1
        statement = _ENTRIES.format(
            kinds=KEYS * len(MODELS), begin=begin, hours=DAYS * DAY_H, total=requests, hour=_HOUR_US,
            numbers=numbers.format(first=first, last=last),
        )  # fmt: skip
        ledger.change(partial(_execute, statement=statement))
        told(f"{last + 1:,} requests")
    year = Span(END_H - DAYS * DAY_H, END_H)
    starts = sorted({month_of(hour) for hour in range(*year, DAY_H)} | {month_of(END_H - 1)})
    by_month = [_BY_MONTH.format(month=each, end=month_of(each + MONTH_H)) for each in starts]
    for statement in (_BY_HOUR, _BY_DAY, *by_month, _BY_PROJECT, _DAILY, "ANALYZE"):
        ledger.change(partial(_execute, statement=statement))
    told("their sums")


def _settle(ledger: Database, told: Callable[[str], None]) -> None:
    """Waits for PostgreSQL's autovacuum to have seen the sums, as it does a minute or so after they are made."""
    if ledger.read(lambda each: each.dialect.name) == "sqlite":
        return
    for _ in range(_SETTLE_S):
        if ledger.read(lambda each: int(each.exec_driver_sql(_VACUUMED).scalar_one())) == 0:
            return
        time.sleep(1)
    told("not vacuumed: is autovacuum off there?")


def _execute(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)


def _pages() -> Iterator[tuple[str, Callable[[Connection], object]]]:
    week, month = Span(END_H - 7 * DAY_H, END_H), Span(END_H - 30 * DAY_H, END_H)
    year = Span(END_H - DAYS * DAY_H, END_H)
    for title, query in (
        ("7 days, by day and model", ReportQuery(span=week, group_by=("model",))),
        ("30 days in one, by key", ReportQuery(span=month, bucket="all", group_by=("key",))),
        ("30 days, by day and project", ReportQuery(span=month, group_by=("project",))),
        (
            "30 days of one project, by day and key",
            ReportQuery(span=month, group_by=("key",), filters={"project": ("proj_3",)}),
        ),
        ("24 hours, by hour and model", ReportQuery(span=Span(END_H - 24, END_H), bucket="hour", group_by=("model",))),
        ("30 days in a zone's days, by model", ReportQuery(span=month, timezone="Asia/Tokyo", group_by=("model",))),
        ("a year, by month and model", ReportQuery(span=year, bucket="month", group_by=("model",))),
        ("a year in one, by organization", ReportQuery(span=year, bucket="all", group_by=("organization",))),
        ("a year in one, by key and model", ReportQuery(span=year, bucket="all", group_by=("key", "model"))),
        (
            "a year, by a zone's months and model",
            ReportQuery(span=year, bucket="month", timezone="Asia/Tokyo", group_by=("model",)),
        ),
        ("a year, by week and project", ReportQuery(span=year, bucket="week", group_by=("project",))),
        ("a year, by day", ReportQuery(span=year)),
        ("30 days, by hour", ReportQuery(span=month, bucket="hour")),
    ):
        yield title, partial(report, query=query, limit=MOST_ROWS)
    yield "everything, by model", partial(summary, by="model")
    yield "everything, by key", partial(summary, by="key")
    yield "everything, by day", partial(summary, by="day")
    yield "the newest 50 requests", partial(recent, limit=50)


def _timed(ledger: Database, page: str, query: Callable[[Connection], object]) -> PageTime:
    took = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        ledger.read(query)
        took.append((time.perf_counter() - begun) * 1000)
    return PageTime(page, statistics.median(took), max(took))


def usage_table(found: UsagePages) -> Table:
    """A row for each page, marked by whether it is within the target."""
    made = "" if found.made_s is None else f", made in {found.made_s:.0f} s"
    table = Table(
        title=f"A page of usage, {found.requests:,} requests on {found.database}, ms",
        caption=f"{found.sums:,} sums{made}; target: < {TARGET_MS:.0f} ms",
    )
    for column in ("page", "median", "longest"):
        table.add_column(column, justify="left" if column == "page" else "right")
    for each in found.pages:
        mark = "✓" if each.longest_ms < TARGET_MS else "✗"
        table.add_row(each.page, f"{each.median_ms:.1f}", f"{mark} {each.longest_ms:.1f}")
    return table
