"""Reports from the roll-ups. A page reads the sums of its own buckets alone, and a bounded number of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    Subquery,
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

from weebill.accounts.permissions import Reach
from weebill.storage.reach import keys_within
from weebill.storage.tables.ledger import USAGE_LABEL_SERIES, USAGE_LABEL_SUMS, USAGE_SUMS
from weebill.storage.tables.types import MOST, String, Whole
from weebill.storage.usage_levels import Level, level_of
from weebill.storage.usage_parts import BUCKET, sizes, within, written
from weebill.usage.reports import Amounts, Page, Position, ReportQuery, ReportRow, decoded, encoded, is_label
from weebill.usage.spans import Span, bucket_at, buckets, zone_of

MOST_BUCKETS: Final = 1000
"""That are looked into at once."""
_FIRST_COUNTED: Final = 4  # buckets: if these have few sums, four times as many are counted, and so on
MOST_LOOKS: Final = 10
"""For one page; if all that they find is little, it ends early, with a cursor."""
MOST_SUMS: Final = 30_000
"""That one page adds up, unless a single bucket has more; if the next one would be too many, it ends early, too."""

_COUNTED: Final = ("requests", "failures", "unpriced", "rated")
_ADDED: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano", "score_micro")
_AMOUNTS: Final = (*_COUNTED, *_ADDED)
_HALF: Final = 32
_SHIFT: Final = literal(_HALF, Integer())
_MASK: Final = 2**_HALF - 1
# Sums of 64 bits may be more than 64 bits: SQLite then fails, and they are added up by halves.
_OVERFLOW: Final = "integer overflow"

_FIRST_HOUR: Final = select(func.min(USAGE_SUMS.c.start)).where(
    USAGE_SUMS.c.hours == 1,
    USAGE_SUMS.c.start >= bindparam("start", type_=Whole),
    USAGE_SUMS.c.start < bindparam("end", type_=Whole),
)


class _Groups(NamedTuple):
    """The groups of buckets in order, and if more follow."""

    rows: list[ReportRow]
    more: bool


def report(
    connection: Connection, query: ReportQuery, limit: int, cursor: str | None = None, reach: Reach | None = None
) -> Page:
    """Returns a page of a report, of what is within reach alone if that is given.

    Raises BadReportError for a cursor, and BadSpanError for a time zone.
    """
    position = Position(query.span.start) if cursor is None else decoded(cursor, query)
    rows: list[ReportRow] = []
    added = 0
    for _ in range(MOST_LOOKS):
        ahead = _ahead(connection, query, position.start)
        if not ahead:
            return Page(rows)
        used, added, end = _within_bounds(connection, query, ahead, added, reach)
        if end <= position.start:
            break
        if ahead[0].start > position.start:
            position = Position(ahead[0].start)
        groups = _groups(connection, query, used, limit - len(rows), position.after, reach)
        rows += groups.rows
        if groups.more:
            return Page(rows, encoded(Position(rows[-1].span.start, _order(rows[-1].group))))
        position = Position(end)
        if end >= query.span.end:
            return Page(rows)
        if len(rows) >= limit or end < ahead[-1].end:
            break
    return Page(rows, encoded(position))


def bucket_rows(
    connection: Connection, query: ReportQuery, span: Span, limit: int, reach: Reach | None = None
) -> list[ReportRow]:
    """Returns the rows of one bucket, at most `limit`, of what is within reach alone if that is given."""
    return _groups(connection, query, [span], limit, None, reach).rows


def _ahead(connection: Connection, query: ReportQuery, start: int) -> list[Span]:
    """Returns the next buckets, of which the first one has the first usage from `start` on; it begins with `start` if
    that is in it.
    """
    hour = connection.execute(_FIRST_HOUR, {"start": start, "end": query.span.end}).scalar()
    if hour is None:
        return []
    zone = zone_of(query.timezone)
    first = max(start, bucket_at(hour, query.span, query.bucket, zone).start)
    return list(islice(buckets(Span(first, query.span.end), query.bucket, zone), MOST_BUCKETS))


def _within_bounds(
    connection: Connection, query: ReportQuery, ahead: list[Span], added: int, reach: Reach | None
) -> tuple[list[Span], int, int]:
    """Returns the buckets with usage that a page has room for, the sums it is made of, and where it ends."""
    counts = _counted(connection, query, ahead, MOST_SUMS - added, reach)
    used, end = [], ahead[0].start
    for span in ahead:
        count = counts.get(span.start, 0)
        if added and added + count > MOST_SUMS:
            break
        added += count
        end = span.end
        if count:
            used.append(span)
    return used, added, end


def _counted(
    connection: Connection, query: ReportQuery, ahead: list[Span], room: int, reach: Reach | None
) -> dict[int, int]:
    """Returns the number of sums of buckets by their start; of the first of them alone, if they have more than `room`.

    To count those of all would take longer than to add up the ones that there is room for.
    """
    level = level_of((*query.group_by, *query.filters), reach)
    counts: dict[int, int] = {}
    start, few = 0, _FIRST_COUNTED
    while start < len(ahead) and sum(counts.values()) <= room:
        counts |= sizes(connection, ahead[start : start + few], level, labelled=bool(query.label))
        start, few = start + few, few * 4
    return counts


def _groups(
    connection: Connection,
    query: ReportQuery,
    spans: list[Span],
    limit: int,
    after: tuple[str, ...] | None,
    reach: Reach | None,
) -> _Groups:
    """Returns the groups of buckets; in the first one, those after a group."""
    try:
        found = _found(connection, query, spans, limit, after, reach, by_halves=False)
    except OperationalError as error:
        if _OVERFLOW not in str(error.orig):
            raise
        found = _found(connection, query, spans, limit, after, reach, by_halves=True)
    return _Groups(found[:limit], len(found) > limit)


def _found(
    connection: Connection,
    query: ReportQuery,
    spans: list[Span],
    limit: int,
    after: tuple[str, ...] | None,
    reach: Reach | None,
    by_halves: bool,
) -> list[ReportRow]:
    """Returns one row more than the limit, if there is one."""
    filters = query.filters
    sqlite = connection.dialect.name == "sqlite"
    statement = _statement(query.group_by, tuple(filters), query.label, after is not None, by_halves, sqlite, reach)
    given: dict[str, object] = {"limit": limit + 1, "parts": written(spans)}
    given |= {f"filter_{at}": list(values) for at, values in enumerate(filters.values())}
    if after is not None:
        given |= {"continued": spans[0].start, **{f"after_{at}": value for at, value in enumerate(after)}}
    if query.label:
        given["of_label"] = query.label
    by_start = {span.start: span for span in spans}
    rows = connection.execute(statement, given)
    return [_row(by_start, len(query.group_by), tuple(each), by_halves) for each in rows]


# To make one takes milliseconds.
@lru_cache(maxsize=64)
def _statement(
    group_by: tuple[str, ...],
    filters: tuple[str, ...],
    label: str,
    continues: bool,
    by_halves: bool,
    sqlite: bool,
    reach: Reach | None,
) -> Select[*tuple[object, ...]]:
    dimensions = (*group_by, *filters)
    level = level_of(dimensions, reach)
    sums = _sums(filters, label, sqlite, level).subquery("sums")
    bucket = sums.c[BUCKET]
    columns = [
        func.coalesce(sums.c.label if is_label(name) else level.columns[name], "").label(f"group_{at}")
        for at, name in enumerate(group_by)
    ]
    found = select(bucket, *columns, *_added(sums, by_halves)).select_from(level.joined(sums, dimensions, reach))
    for at, name in enumerate(filters):
        if not is_label(name):
            found = found.where(func.coalesce(level.columns[name], "").in_(_values(at)))
    if reach is not None:
        found = found.where(keys_within(reach))
    found = found.having(func.sum(sums.c.requests) > 0).group_by(bucket, *columns).order_by(bucket, *columns)
    if continues:
        later = bucket > bindparam("continued", type_=Whole)
        after = [bindparam(f"after_{at}", type_=String) for at in range(len(columns))]
        found = found.having(or_(later, tuple_(*columns) > tuple_(*after)) if columns else later)
    return found.limit(bindparam("limit", type_=Integer()))


def _sums(
    filters: tuple[str, ...], label: str, sqlite: bool, level: Level
) -> Select[*tuple[object, ...]] | CompoundSelect[*tuple[object, ...]]:
    """The sums of each series, and of each value of the label, if there is one: NULL where requests have none."""
    if not label:
        return _of_series(sqlite, level)
    of_label = _of_label(1, sqlite)
    if label in filters:
        return of_label.where(USAGE_LABEL_SERIES.c.value.in_(_values(filters.index(label))))
    # What is left of all requests, once those that have the label are taken away.
    return union_all(of_label, _of_series(sqlite, level), _of_label(-1, sqlite))


def _values(at: int) -> BindParameter[list[str]]:
    return bindparam(f"filter_{at}", expanding=True)


def _of_series(sqlite: bool, level: Level) -> Select[*tuple[object, ...]]:
    found = within(level.sums, level.of, _AMOUNTS, sqlite=sqlite).subquery()
    return select(
        found.c[BUCKET], found.c[level.of].label("series"), null().label("label"), *(found.c[name] for name in _AMOUNTS)
    )


def _of_label(sign: int, sqlite: bool) -> Select[*tuple[object, ...]]:
    found = within(USAGE_LABEL_SUMS, "label_series", _AMOUNTS, sqlite=sqlite).subquery()
    series = USAGE_LABEL_SERIES.c
    value = series.value if sign > 0 else null()
    amounts = [(sign * found.c[name]).label(name) for name in _AMOUNTS]
    return (
        select(found.c[BUCKET], series.series, value.label("label"), *amounts)
        .join_from(found, USAGE_LABEL_SERIES, series.id == found.c.label_series)
        .where(series.name == bindparam("of_label", type_=String))
    )


def _added(sums: Subquery, by_halves: bool) -> Iterator[ColumnElement[int]]:
    yield from (func.sum(sums.c[name]) for name in _COUNTED)
    for name in _ADDED:
        if by_halves:
            yield func.sum(sums.c[name].bitwise_rshift(_SHIFT))
            yield func.sum(sums.c[name].bitwise_and(_MASK))
        else:
            yield func.sum(sums.c[name])


def _row(by_start: Mapping[int, Span], groups: int, values: tuple[object, ...], by_halves: bool) -> ReportRow:
    start, *rest = values
    span = by_start[int(str(start))]
    names, sums = rest[:groups], [_whole(each) for each in rest[groups:]]
    counted, added = sums[: len(_COUNTED)], sums[len(_COUNTED) :]
    if by_halves:
        added = [(high << _HALF) + low for high, low in zip(added[::2], added[1::2], strict=True)]
    amounts = dict(zip(_AMOUNTS, (*counted, *(max(0, min(each, MOST)) for each in added)), strict=True))
    return ReportRow(span, tuple(str(name) or None for name in names), Amounts(**amounts))


def _whole(value: object) -> int:
    assert isinstance(value, int | Decimal)  # noqa: S101 - PostgreSQL's sums are decimals
    return int(value)


def _order(group: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(value or "" for value in group)
