"""Reports from the roll-ups. A page reads the sums of its own buckets alone, however long the ledger is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Subquery,
    Table,
    and_,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union_all,
)

from weebill.storage.tables.ledger import (
    API_KEYS,
    USAGE_LABEL_SERIES,
    USAGE_LABEL_SUMS,
    USAGE_SERIES,
    USAGE_SUMS,
)
from weebill.storage.tables.tenants import PROJECTS
from weebill.storage.tables.types import MOST, String
from weebill.usage.reports import Amounts, Page, Position, ReportQuery, ReportRow, decoded, encoded, is_label
from weebill.usage.spans import Span, bucket_at, zone_of

MOST_BUCKETS: Final = 400
"""That one page looks into; if more are without usage, it ends early, with a cursor."""

_COUNTED: Final = ("requests", "failures", "unpriced")
_ADDED: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano")
_HALF: Final = 32
_SHIFT: Final = literal(_HALF, Integer())
_MASK: Final = 2**_HALF - 1
# By halves, as sums of 64 bits may be more than 64 bits.
_NAMES: Final = (*_COUNTED, *(f"{name}_{half}" for name in _ADDED for half in ("high", "low")))

_COLUMNS: Final[Mapping[str, ColumnElement[str] | ColumnElement[str | None]]] = {
    "organization": PROJECTS.c.organisation_id,
    "project": API_KEYS.c.project_id,
    "key": USAGE_SERIES.c.key_id,
    "user": API_KEYS.c.user_id,
    "model": USAGE_SERIES.c.model,
    "provider": USAGE_SERIES.c.upstream,
    "endpoint": USAGE_SERIES.c.endpoint,
}


class _Groups(NamedTuple):
    """The groups of one bucket in order, and if more follow."""

    rows: list[ReportRow]
    more: bool


def report(connection: Connection, query: ReportQuery, limit: int, cursor: str | None = None) -> Page:
    """Returns a page of a report. Raises BadReportError for a cursor, and BadSpanError for a time zone."""
    position = Position(query.span.start) if cursor is None else decoded(cursor, query)
    rows: list[ReportRow] = []
    for _ in range(MOST_BUCKETS):
        span = _next_used(connection, query, position.start)
        if span is None:
            return Page(rows)
        if span.start > position.start:
            position = Position(span.start)
        groups = _groups(connection, query, span, limit - len(rows), position.after)
        rows += groups.rows
        if groups.more:
            return Page(rows, encoded(Position(position.start, _order(rows[-1].group))))
        position = Position(span.end)
        if span.end >= query.span.end:
            return Page(rows)
        if len(rows) >= limit:
            break
    return Page(rows, encoded(position))


def bucket_rows(connection: Connection, query: ReportQuery, span: Span, limit: int) -> list[ReportRow]:
    """Returns the rows of one bucket, at most `limit`."""
    return _groups(connection, query, span, limit, None).rows


def _next_used(connection: Connection, query: ReportQuery, start: int) -> Span | None:
    """Returns the bucket of the first hour with usage from `start` on; from `start` on, if it is the same one."""
    sums = USAGE_SUMS.c
    found = select(func.min(sums.start)).where(sums.hours == 1, sums.start >= start, sums.start < query.span.end)
    hour = connection.execute(found).scalar()
    if hour is None:
        return None
    bucket = bucket_at(hour, query.span, query.bucket, zone_of(query.timezone))
    return Span(start, bucket.end) if bucket.start <= start else bucket


def _groups(
    connection: Connection, query: ReportQuery, span: Span, limit: int, after: tuple[str, ...] | None
) -> _Groups:
    found = _query(query, span, after).limit(limit + 1)
    rows = [_row(span, len(query.group_by), tuple(each)) for each in connection.execute(found)]
    return _Groups(rows[:limit], len(rows) > limit)


def _query(query: ReportQuery, span: Span, after: tuple[str, ...] | None) -> Select[*tuple[object, ...]]:
    sums = _sums(query, span)
    columns = [
        func.coalesce(sums.c.label if is_label(name) else _COLUMNS[name], "").label(f"group_{at}")
        for at, name in enumerate(query.group_by)
    ]
    joined = (
        sums.join(USAGE_SERIES, USAGE_SERIES.c.id == sums.c.series)
        .outerjoin(API_KEYS, API_KEYS.c.id == USAGE_SERIES.c.key_id)
        .outerjoin(PROJECTS, PROJECTS.c.id == API_KEYS.c.project_id)
    )
    totals = [func.sum(sums.c[name]) for name in _NAMES]
    found = select(*columns, *totals).select_from(joined).having(func.sum(sums.c.requests) > 0)
    for name, values in query.filters.items():
        if not is_label(name):
            found = found.where(func.coalesce(_COLUMNS[name], "").in_(values))
    if columns:
        found = found.group_by(*columns).order_by(*columns)
        if after is not None:
            found = found.having(tuple_(*columns) > tuple_(*(literal(value, String) for value in after)))
    return found


def _sums(query: ReportQuery, span: Span) -> Subquery:
    """The sums of each series, and of each value of the label, if there is one: NULL where requests have none."""
    label = query.label
    if not label:
        return _of_series(span, 1).subquery("sums")
    values = query.filters.get(label)
    of_label = _of_label(span, label, 1)
    if values is not None:
        return of_label.where(USAGE_LABEL_SERIES.c.value.in_(values)).subquery("sums")
    # What is left of all requests, once those that have the label are taken away.
    rest = [_of_series(span, 1), _of_label(span, label, -1)]
    return union_all(of_label, *rest).subquery("sums")


def _of_series(span: Span, sign: int) -> Select[*tuple[object, ...]]:
    columns = USAGE_SUMS.c
    found = select(columns.series, null().label("label"), *_halves(USAGE_SUMS, sign))
    return found.where(_within(USAGE_SUMS, span)).group_by(columns.series)


def _of_label(span: Span, label: str, sign: int) -> Select[*tuple[object, ...]]:
    columns = USAGE_LABEL_SERIES.c
    value = columns.value if sign > 0 else null()
    return (
        select(columns.series, value.label("label"), *_halves(USAGE_LABEL_SUMS, sign))
        .join_from(USAGE_LABEL_SUMS, USAGE_LABEL_SERIES, columns.id == USAGE_LABEL_SUMS.c.label_series)
        .where(_within(USAGE_LABEL_SUMS, span), columns.name == label)
        .group_by(columns.series, columns.value)
    )


def _halves(table: Table, sign: int) -> Iterator[ColumnElement[int]]:
    for name in _COUNTED:
        yield (sign * func.sum(table.c[name])).label(name)
    for name in _ADDED:
        yield (sign * func.sum(table.c[name].bitwise_rshift(_SHIFT))).label(f"{name}_high")
        yield (sign * func.sum(table.c[name].bitwise_and(_MASK))).label(f"{name}_low")


def _within(table: Table, span: Span) -> ColumnElement[bool]:
    parts = [
        and_(table.c.hours == hours, table.c.start >= start, table.c.start < end) for hours, start, end in span.parts()
    ]
    return or_(*parts)


def _row(span: Span, groups: int, values: tuple[object, ...]) -> ReportRow:
    names, sums = values[:groups], [int(str(each)) for each in values[groups:]]
    counted, halves = sums[: len(_COUNTED)], sums[len(_COUNTED) :]
    added = [min((high << _HALF) + low, MOST) for high, low in zip(halves[::2], halves[1::2], strict=True)]
    amounts = dict(zip((*_COUNTED, *_ADDED), (*counted, *added), strict=True))
    return ReportRow(span, tuple(str(name) or None for name in names), Amounts(**amounts))


def _order(group: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(value or "" for value in group)
