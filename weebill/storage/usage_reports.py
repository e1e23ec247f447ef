"""Reports from the roll-ups. A page reads the sums of its own buckets alone, however long the ledger is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Subquery,
    Table,
    and_,
    bindparam,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.exc import OperationalError

from weebill.storage.tables.ledger import (
    API_KEYS,
    USAGE_LABEL_SERIES,
    USAGE_LABEL_SUMS,
    USAGE_SERIES,
    USAGE_SUMS,
)
from weebill.storage.tables.tenants import PROJECTS
from weebill.storage.tables.types import MOST, String, Whole
from weebill.usage.reports import Amounts, Page, Position, ReportQuery, ReportRow, decoded, encoded, is_label
from weebill.usage.spans import MOST_PARTS, Span, bucket_at, zone_of

MOST_BUCKETS: Final = 400
"""That one page looks into; if more are without usage, it ends early, with a cursor."""

_COUNTED: Final = ("requests", "failures", "unpriced")
_ADDED: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano")
_HALF: Final = 32
_SHIFT: Final = literal(_HALF, Integer())
_MASK: Final = 2**_HALF - 1
# Sums of 64 bits may be more than 64 bits: SQLite then fails, and they are added up by halves.
_HALVES: Final = ("_high", "_low")
_OVERFLOW: Final = "integer overflow"
_NO_PART: Final = (1, 0, 0)

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
    try:
        found = _found(connection, query, span, limit, after, by_halves=False)
    except OperationalError as error:
        if _OVERFLOW not in str(error.orig):
            raise
        found = _found(connection, query, span, limit, after, by_halves=True)
    return _Groups(found[:limit], len(found) > limit)


def _found(
    connection: Connection,
    query: ReportQuery,
    span: Span,
    limit: int,
    after: tuple[str, ...] | None,
    by_halves: bool,
) -> list[ReportRow]:
    """Returns one row more than the limit, if there is one."""
    filters = query.filters
    statement = _statement(query.group_by, tuple(filters), query.label, after is not None, by_halves)
    given: dict[str, object] = {"limit": limit + 1}
    parts = [*span.parts(), *[_NO_PART] * MOST_PARTS]
    for at, (hours, start, end) in enumerate(parts[:MOST_PARTS]):
        given |= {f"hours_{at}": hours, f"start_{at}": start, f"end_{at}": end}
    given |= {f"filter_{at}": list(values) for at, values in enumerate(filters.values())}
    given |= {f"after_{at}": value for at, value in enumerate(after or ())}
    if query.label:
        given["of_label"] = query.label
    rows = connection.execute(statement, given)
    return [_row(span, len(query.group_by), tuple(each), by_halves) for each in rows]


# To make one takes milliseconds, and a page needs one for each of its buckets.
@lru_cache(maxsize=64)
def _statement(
    group_by: tuple[str, ...], filters: tuple[str, ...], label: str, continues: bool, by_halves: bool
) -> Select[*tuple[object, ...]]:
    sums = _sums(filters, label, by_halves)
    columns = [
        func.coalesce(sums.c.label if is_label(name) else _COLUMNS[name], "").label(f"group_{at}")
        for at, name in enumerate(group_by)
    ]
    joined = (
        sums.join(USAGE_SERIES, USAGE_SERIES.c.id == sums.c.series)
        .outerjoin(API_KEYS, API_KEYS.c.id == USAGE_SERIES.c.key_id)
        .outerjoin(PROJECTS, PROJECTS.c.id == API_KEYS.c.project_id)
    )
    totals = [func.sum(sums.c[name]) for name, _ in _amounts(by_halves)]
    found = select(*columns, *totals).select_from(joined).having(func.sum(sums.c.requests) > 0)
    for at, name in enumerate(filters):
        if not is_label(name):
            found = found.where(func.coalesce(_COLUMNS[name], "").in_(_values(at)))
    if columns:
        found = found.group_by(*columns).order_by(*columns)
        if continues:
            after = [bindparam(f"after_{at}", type_=String) for at in range(len(columns))]
            found = found.having(tuple_(*columns) > tuple_(*after))
    return found.limit(bindparam("limit", type_=Integer()))


def _sums(filters: tuple[str, ...], label: str, by_halves: bool) -> Subquery:
    """The sums of each series, and of each value of the label, if there is one: NULL where requests have none."""
    if not label:
        return _of_series(by_halves).subquery("sums")
    of_label = _of_label(1, by_halves)
    if label in filters:
        wanted = _values(filters.index(label))
        return of_label.where(USAGE_LABEL_SERIES.c.value.in_(wanted)).subquery("sums")
    # What is left of all requests, once those that have the label are taken away.
    return union_all(of_label, _of_series(by_halves), _of_label(-1, by_halves)).subquery("sums")


def _values(at: int) -> BindParameter[list[str]]:
    return bindparam(f"filter_{at}", expanding=True)


def _of_series(by_halves: bool) -> Select[*tuple[object, ...]]:
    columns = USAGE_SUMS.c
    found = select(columns.series, null().label("label"), *_added(USAGE_SUMS, 1, by_halves))
    return found.where(_within(USAGE_SUMS)).group_by(columns.series)


def _of_label(sign: int, by_halves: bool) -> Select[*tuple[object, ...]]:
    columns = USAGE_LABEL_SERIES.c
    value = columns.value if sign > 0 else null()
    return (
        select(columns.series, value.label("label"), *_added(USAGE_LABEL_SUMS, sign, by_halves))
        .join_from(USAGE_LABEL_SUMS, USAGE_LABEL_SERIES, columns.id == USAGE_LABEL_SUMS.c.label_series)
        .where(_within(USAGE_LABEL_SUMS), columns.name == bindparam("of_label", type_=String))
        .group_by(columns.series, columns.value)
    )


def _amounts(by_halves: bool) -> list[tuple[str, str]]:
    """Returns the names of the sums, and of the columns that they are of."""
    if not by_halves:
        return [(name, name) for name in (*_COUNTED, *_ADDED)]
    return [(name, name) for name in _COUNTED] + [(name + half, name) for name in _ADDED for half in _HALVES]


def _added(table: Table, sign: int, by_halves: bool) -> Iterator[ColumnElement[int]]:
    for name, of in _amounts(by_halves):
        value: ColumnElement[int] = table.c[of]
        if name.endswith(_HALVES[0]):
            value = value.bitwise_rshift(_SHIFT)
        elif name.endswith(_HALVES[1]):
            value = value.bitwise_and(_MASK)
        yield (sign * func.sum(value)).label(name)


def _within(table: Table) -> ColumnElement[bool]:
    return or_(
        *(
            and_(
                table.c.hours == bindparam(f"hours_{at}", type_=Whole),
                table.c.start >= bindparam(f"start_{at}", type_=Whole),
                table.c.start < bindparam(f"end_{at}", type_=Whole),
            )
            for at in range(MOST_PARTS)
        )
    )


def _row(span: Span, groups: int, values: tuple[object, ...], by_halves: bool) -> ReportRow:
    names, sums = values[:groups], [int(str(each)) for each in values[groups:]]
    counted, added = sums[: len(_COUNTED)], sums[len(_COUNTED) :]
    if by_halves:
        added = [(high << _HALF) + low for high, low in zip(added[::2], added[1::2], strict=True)]
    amounts = dict(zip((*_COUNTED, *_ADDED), (*counted, *(min(each, MOST) for each in added)), strict=True))
    return ReportRow(span, tuple(str(name) or None for name in names), Amounts(**amounts))


def _order(group: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(value or "" for value in group)
