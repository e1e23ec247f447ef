"""Sums of usage by the buckets that they belong to, for statements about any number of buckets at once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

import msgspec
from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    select,
    true,
    union_all,
)

from weebill.storage.tables.ledger import USAGE_LABEL_SUMS
from weebill.storage.usage_levels import Level
from weebill.usage.spans import Span

BUCKET: Final = "bucket"
"""The column that says to which bucket a sum belongs: the hours since 1970 at its beginning."""

_PARTS: Final = (BUCKET, "hours", "first", "end", "sign")


def written(spans: Iterable[Span]) -> str:
    """Returns the parameter `parts` of statements from `within`: what each bucket is made of."""
    return msgspec.json.encode([(span.start, *part) for span in spans for part in span.parts()]).decode()


def within(table: Table, series: str, sums: Iterable[str], *, sqlite: bool) -> Select[*tuple[object, ...]]:
    """Returns the query for the sums that buckets are made of, negative where they are taken away; each with its bucket
    and its series.
    """
    parts = _parts(sqlite=sqlite)
    bucket, hours, first, end, sign = (parts.c[name] for name in _PARTS)
    here = and_(table.c.hours == hours, table.c.start >= first, table.c.start < end)
    columns = [table.c[series], *((sign * table.c[name]).label(name) for name in sums)]
    if sqlite:
        return select(bucket, *columns).join_from(parts, table, here)
    # Looked up part by part: otherwise PostgreSQL may read all sums, as it cannot know how few are within.
    found = select(*columns).where(here).correlate(parts).offset(0).lateral()
    return select(bucket, *found.c).join_from(parts, found, true())


def sizes(connection: Connection, spans: Iterable[Span], level: Level, *, labelled: bool) -> dict[int, int]:
    """Returns the number of sums that each bucket is made of, by its start; of those that have any."""
    statement = _sizes(level.sums, level.of, labelled=labelled, sqlite=connection.dialect.name == "sqlite")
    return {start: count for start, count in connection.execute(statement, {"parts": written(spans)})}  # noqa: C416 - rows are typed


@cache
def _sizes(table: Table, series: str, *, labelled: bool, sqlite: bool) -> Select[int, int]:
    found = union_all(
        *(
            within(table, series, (), sqlite=sqlite),
            *([within(USAGE_LABEL_SUMS, "label_series", (), sqlite=sqlite)] if labelled else []),
        )
    ).subquery()
    bucket: ColumnElement[int] = found.c[BUCKET]
    return select(bucket, func.count()).group_by(bucket)


@cache
def _parts(*, sqlite: bool) -> CTE:
    given = bindparam("parts", type_=Text())
    values: list[ColumnElement[int]]
    if sqlite:
        each = func.json_each(given).table_valued("value").alias("part")
        values = [func.json_extract(each.c.value, f"$[{at}]", type_=Integer()) for at in range(len(_PARTS))]
    else:
        each = func.json_array_elements(cast(given, JSON())).table_valued("value", joins_implicitly=True).alias("part")
        values = [cast(each.c.value.op("->>")(at), BigInteger()) for at in range(len(_PARTS))]
    columns = [value.label(name) for value, name in zip(values, _PARTS, strict=True)]
    # Once: the JSON would be read again for each sum.
    return select(*columns).cte("parts").prefix_with("MATERIALIZED")
