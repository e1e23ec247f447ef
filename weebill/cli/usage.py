"""`weebill usage`: reads the ledger, even if Weebill is not running."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import typer

from weebill.cli.errors import USAGE, CommandError, warn
from weebill.cli.named import id_in
from weebill.cli.output import NOTHING, cost, count, is_utf8, print_json_rows, print_table
from weebill.cli.targets import target
from weebill.cli.usage_files import Column, Sort, write_csv, write_parquet
from weebill.config.load import Sources, load_database
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.usage_export import FLAGS, RECORD_COLUMNS, records
from weebill.storage.usage_reports import report
from weebill.usage.asked import read_query
from weebill.usage.reports import MOST_ROWS, Amounts, BadReportError, Counts, ReportQuery, ReportRow, is_label
from weebill.usage.spans import HOUR_S, BadSpanError, Bucket, zone_of

MOST_SHOWN: Final = 200
"""Rows of a table on a terminal; files have all."""
_BAR: Final = 16
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_PLAIN: Final = "#"
"""A bar's stroke where others cannot be shown."""
_SUMS: Final = Amounts.__struct_fields__
_COUNTS: Final = Counts.__struct_fields__
_HEADINGS: Final = ("requests", "failed", "tokens in", "cached", "tokens out", "cost")
_RATINGS: Final = ("rated", "score")
_TIMES: Final[Mapping[Bucket, str]] = {
    "hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m", "all": "",
}  # fmt: skip
# The option for each name of a report.
_OPTIONS: Final[Mapping[str, str]] = {
    "start": "--since", "end": "--until", "bucket": "--bucket", "timezone": "--timezone", "group_by": "--by",
}  # fmt: skip
_MOMENTS: Final = frozenset({"started_at", "rated_at"})
_TEXTS: Final = frozenset(
    {"request_id", "organization_id", "project_id", "key_id", "end_user", "tags", "endpoint", "model_asked",
     "model_served", "upstream", "outcome", "attempts", "checked", "arm", "dropped", "flags", "rated_by", "comment"}
)  # fmt: skip


class Given(NamedTuple):
    """The options of a report; "" and () for those that are not given."""

    since: str
    until: str
    bucket: str
    timezone: str
    by: Sequence[str]
    only: Sequence[str]

    def filters(self, ledger: Database) -> dict[str, list[str]]:
        """Returns the values of each dimension that count, ids in place of names.

        Raises CommandError, and UnknownTenantError for a name that nobody has.
        """
        given: dict[str, list[str]] = {}
        for text in self.only:
            name, sign, value = text.partition("=")
            if not sign or name in _OPTIONS:
                raise CommandError(f"--only: {text!r} is no NAME=VALUE", "such as --only model=mini", USAGE)
            given.setdefault(name, []).append(id_in(ledger, name, value))
        return given

    def query(self, filters: Mapping[str, list[str]]) -> ReportQuery:
        """Returns the report that is asked for, of what these filters leave. Raises CommandError."""
        given = dict(filters)
        options = {"start": self.since, "end": self.until, "bucket": self.bucket, "timezone": self.timezone}
        given |= {name: [value] for name, value in options.items() if value}
        if self.by:
            given["group_by"] = list(self.by)
        with _named_by_options():
            return read_query(given, time.time())


class Files(NamedTuple):
    """The file to write a table to."""

    csv: Path | None
    parquet: Path | None

    def write(self, sources: Sources, columns: Sequence[Column], batches: Iterator[list[Sequence[object]]]) -> None:
        """Writes to the file that is given, and says so unless it is standard output. Raises CommandError."""
        if self.csv is not None and self.parquet is not None:
            raise CommandError("--csv and --parquet cannot be given at once", "write one after the other", USAGE)
        given = self.parquet or self.csv
        if given is None:
            raise CommandError("there is no file to write to", "give --csv FILE or --parquet FILE", USAGE)
        if self.csv is not None and str(given) == "-":
            write_csv(None, columns, batches)
            return
        file = target(sources.home, given, sources.file)
        written = (write_csv if self.parquet is None else write_parquet)(file, columns, batches)
        typer.echo(f"Wrote {written} rows to {given}")


def show(sources: Sources, given: Given, files: Files, as_json: bool) -> None:
    """Prints a report, or writes it to a file."""
    with open_ledger(sources.home, load_database(sources)) as ledger, _named_by_options():
        query = given.query(given.filters(ledger))
        if files.csv is not None or files.parquet is not None:
            files.write(sources, _report_columns(query), _report_rows(ledger, query))
        elif as_json:
            print_json_rows(_json_row(query, row) for page in _pages(ledger, query) for row in page)
        else:
            _print(query, _first(ledger, query))


def export(sources: Sources, given: Given, files: Files) -> None:
    """Writes single requests to a file."""
    with open_ledger(sources.home, load_database(sources)) as ledger:
        filters = given.filters(ledger)
        # Unlike in reports, several labels may count at once.
        span = given.query({name: values for name, values in filters.items() if not is_label(name)}).span
        batches: Iterator[list[Sequence[object]]] = (list(batch) for batch in records(ledger, span, filters))
        files.write(sources, [Column(name, _sort(name)) for name in RECORD_COLUMNS], batches)


def _sort(name: str) -> Sort:
    if name in _MOMENTS:
        return "time"
    if name == "score":
        return "fraction"
    return "text" if name in _TEXTS else "flag" if name in FLAGS else "whole"


@contextmanager
def _named_by_options() -> Iterator[None]:
    """Raises CommandError for what is wrong with a report, by the name of the option."""
    try:
        yield
    except (BadReportError, BadSpanError) as error:
        raise CommandError(f"{_OPTIONS.get(error.param, '--only')}: {error}", exit_code=USAGE) from error


def _pages(ledger: Database, query: ReportQuery) -> Iterator[list[ReportRow]]:
    cursor: str | None = None
    while True:
        page = ledger.read(partial(report, query=query, limit=MOST_ROWS, cursor=cursor))
        yield page.rows
        cursor = page.cursor
        if cursor is None:
            return


def _first(ledger: Database, query: ReportQuery) -> list[ReportRow]:
    """Returns the rows to show: of one bucket the dearest ones, else the last in time."""
    rows: list[ReportRow] = []
    left_out = 0
    for page in _pages(ledger, query):
        rows += page
        if query.bucket == "all":
            rows.sort(key=_weight, reverse=True)
            left_out += len(rows[MOST_SHOWN:])
            del rows[MOST_SHOWN:]
        else:
            left_out += len(rows[:-MOST_SHOWN])
            del rows[:-MOST_SHOWN]
    if left_out:
        warn(f"{left_out} more rows are not shown; --csv FILE writes all")
    return rows


def _weight(row: ReportRow) -> tuple[int, int]:
    return row.amounts.cost_nano, row.amounts.prompt_tokens + row.amounts.completion_tokens


def _report_columns(query: ReportQuery) -> list[Column]:
    ends = [Column("start", "time"), Column("end", "time")]
    counts = (Column(name, "whole") for name in _COUNTS)
    return [*ends, *(Column(name, "text") for name in query.group_by), *counts, Column("mean_score", "fraction")]


def _report_rows(ledger: Database, query: ReportQuery) -> Iterator[list[Sequence[object]]]:
    for page in _pages(ledger, query):
        yield [
            (
                row.span.start * HOUR_S * 1_000_000,
                row.span.end * HOUR_S * 1_000_000,
                *row.group,
                *row.amounts.counts.values(),
                row.amounts.mean_score,
            )
            for row in page
        ]


def _json_row(query: ReportQuery, row: ReportRow) -> Mapping[str, object]:
    group = dict(zip(query.group_by, row.group, strict=True))
    times = {"start": row.span.start * HOUR_S, "end": row.span.end * HOUR_S}
    return {**times, "group": group, **row.amounts.counts, "mean_score": row.amounts.mean_score}


def _print(query: ReportQuery, rows: Sequence[ReportRow]) -> None:
    zone = zone_of(query.timezone)
    if not rows:
        typer.echo(f"No usage from {_time(query.span.start, zone)} to {_time(query.span.end, zone)} ({query.timezone})")
        return
    by_cost = any(row.amounts.cost_nano for row in rows)
    most = max(_length(row, by_cost) for row in rows)
    form = _TIMES[query.bucket]
    times = [query.bucket] if form else []
    rated = any(row.amounts.rated for row in rows)
    table = [
        (
            *([datetime.fromtimestamp(row.span.start * HOUR_S, zone).strftime(form)] if form else ()),
            *(value or NOTHING for value in row.group),
            *_amounts(row.amounts),
            *(_ratings(row.amounts) if rated else ()),
            _bar(_length(row, by_cost), most),
        )
        for row in rows
    ]
    total = Amounts(**{name: sum(getattr(row.amounts, name) for row in rows) for name in _SUMS})
    empty = [""] * (len(times) + len(query.group_by))
    ratings = _ratings(total) if rated else ()
    last = ("total", *empty[1:], *_amounts(total), *ratings, "") if empty else None
    headings = (*times, *query.group_by, *_HEADINGS, *(_RATINGS if rated else ()), "")
    print_table(headings, [*table, last] if last and len(rows) > 1 else table)
    if total.unpriced:
        typer.echo(f"The price of {total.unpriced} requests is not known: their cost is in no sum.")


def _amounts(sums: Amounts) -> Sequence[str]:
    return (
        f"{sums.requests:,}",
        f"{sums.failures:,}" if sums.failures else NOTHING,
        count(sums.prompt_tokens),
        count(sums.cached_tokens),
        count(sums.completion_tokens),
        NOTHING if sums.unpriced == sums.requests else cost(sums.cost_nano),
    )


def _ratings(sums: Amounts) -> Sequence[str]:
    mean = sums.mean_score
    return (NOTHING, NOTHING) if mean is None else (f"{sums.rated:,}", f"{mean:.2f}")


def _length(row: ReportRow, by_cost: bool) -> int:
    """Returns the amount that a row's bar shows: its cost, or its tokens where nothing costs anything."""
    sums = row.amounts
    return sums.cost_nano if by_cost else sums.prompt_tokens + sums.completion_tokens


def _bar(amount: int, most: int) -> str:
    if not is_utf8(sys.stdout):
        return _PLAIN * (round(_BAR * amount / most) if most else 0)
    eighths = round(8 * _BAR * amount / most) if most else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _time(hour: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(hour * HOUR_S, zone).strftime("%Y-%m-%d %H:%M")
