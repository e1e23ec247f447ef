"""Usage from the ledger: totals by key, model or day, and single requests, newest first."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Integer, Subquery, func, literal, select

from weebill.accounts.permissions import Reach
from weebill.storage.reach import ids_within, keys_within
from weebill.storage.tables.ledger import USAGE, USAGE_DAILY, USAGE_ENTRIES
from weebill.storage.tables.types import MOST
from weebill.storage.usage_levels import Level, level_of
from weebill.usage.records import Labels, UsageRecord
from weebill.usage.spans import DAY_H, HOUR_S, MONTH_H
from weebill.usage.totals import APART, Grouping, UsageEntry, UsageTotal

# Keys and models are few by nature, but bounded all the same.
MAX_GROUPS: Final = 1000
MAX_DAYS: Final = 100
MOST_LOOKED_AT: Final = 100_000
"""Records that a list of somebody's own looks into, as there is no index of whose they are."""

_COUNTED: Final = ("requests", "failures", "unpriced")
_ADDED: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano")
_AMOUNTS: Final = (*_COUNTED, *_ADDED)
_HALF: Final = 32
_LOW: Final = 2**_HALF - 1
_SHIFT: Final = literal(_HALF, Integer())


def _added(table: FromClause) -> list[ColumnElement[int]]:
    """Returns the sums over a table; by halves where more than 64 bits may come of it, which SQLite fails at."""
    counted = [func.coalesce(func.sum(table.c[name]), 0).label(name) for name in _COUNTED]
    halves = [
        half for name in _ADDED for half in (table.c[name].bitwise_rshift(_SHIFT), table.c[name].bitwise_and(_LOW))
    ]
    return [*counted, *(func.coalesce(func.sum(half), 0) for half in halves)]


_SUMS: Final = _added(USAGE_DAILY)
_FIELDS: Final = tuple(name for name in UsageRecord.__struct_fields__ if name not in APART)
_RECORDS: Final = select(USAGE.c.id, USAGE.c.end_user, USAGE.c.tags, *(USAGE.c[name] for name in _FIELDS)).order_by(
    USAGE.c.id.desc()
)


def summarise(connection: Connection, by: Grouping, reach: Reach | None = None) -> list[UsageTotal]:
    """Totals: models and keys by number of requests, at most `MAX_GROUPS`; days from the latest, `MAX_DAYS`."""
    if by == "day":
        level = level_of((), reach)
        sums = _sums_of(level, DAY_H)
        days = select(sums.c.start, *_added(sums)).select_from(level.joined(sums, [by], reach)).where(*_within(reach))
        days = days.group_by(sums.c.start).order_by(sums.c.start.desc()).limit(MAX_DAYS)
        return [_total(_date(start), *each) for start, *each in connection.execute(days)]
    level = level_of([by], reach)
    sums = _sums_of(level, MONTH_H)
    column = level.columns[by]
    found = (
        select(column, *_added(sums))
        .select_from(level.joined(sums, [by], reach))
        .where(*_within(reach))
        .group_by(column)
    )
    found = found.order_by(func.sum(sums.c.requests).desc(), column).limit(MAX_GROUPS)
    return [_total(name or "", *each) for name, *each in connection.execute(found)]


def total(connection: Connection, reach: Reach | None = None) -> UsageTotal:
    """The sum over everything, or what is within reach; its name is empty."""
    level = level_of((), reach)
    sums = _sums_of(level, MONTH_H)
    found = select(*_added(sums)).select_from(level.joined(sums, (), reach)).where(*_within(reach))
    return _total("", *connection.execute(found).one())


def totals_of_keys(connection: Connection, key_ids: Collection[str] | None = None) -> dict[str, UsageTotal]:
    """The totals of each key, or of some alone, by its id."""
    column = USAGE_DAILY.c.key_id
    sums = select(column, *_SUMS).group_by(column)
    rows = connection.execute(sums if key_ids is None else sums.where(column.in_(key_ids)))
    return {name: _total(name, *each) for name, *each in rows}


def summary(connection: Connection, by: Grouping, reach: Reach | None = None) -> tuple[list[UsageTotal], UsageTotal]:
    """Totals and the sum over everything, which add up within a transaction that reads one moment."""
    return summarise(connection, by, reach), total(connection, reach)


def recent(connection: Connection, limit: int, before: int | None = None) -> list[UsageEntry]:
    """The newest `limit` records, or those that came before the one with id `before`."""
    found = _RECORDS.limit(limit)
    rows = connection.execute(found if before is None else found.where(USAGE.c.id < before))
    return [entry_of(id_, user, tags, values) for id_, user, tags, *values in rows]


def recent_within(
    connection: Connection, limit: int, before: int | None, reach: Reach
) -> tuple[list[UsageEntry], int | None]:
    """The newest `limit` records within reach, and where to go on, None at the end.

    It looks into at most `MOST_LOOKED_AT` records, and ends early if these have fewer.
    """
    newest = connection.scalar(select(func.max(USAGE_ENTRIES.c.id))) or 0
    start = newest + 1 if before is None else min(before, newest + 1)
    last = start - MOST_LOOKED_AT
    found = _RECORDS.where(USAGE.c.id < start, USAGE.c.id >= last, USAGE.c.key_id.in_(ids_within(reach)))
    rows = connection.execute(found.limit(limit))
    entries = [entry_of(id_, user, tags, values) for id_, user, tags, *values in rows]
    if len(entries) == limit:
        return entries, entries[-1].id
    return entries, last if last > 1 else None


def entry_of(id_: int, user: str | None, tags: str | None, values: list[object]) -> UsageEntry:
    """Returns an entry from a row of `usage`: its id, labels, and the other fields in the order of the record's."""
    labels = (
        None if user is None else Labels(user, tuple(msgspec.json.decode(tags or "{}", type=dict[str, str]).items()))
    )
    return UsageEntry(id_, msgspec.convert([*values, labels], UsageRecord, strict=False))


def _sums_of(level: Level, hours: int) -> Subquery:
    columns = level.sums.c
    found = select(columns.start, columns[level.of].label("series"), *(columns[name] for name in _AMOUNTS))
    return found.where(columns.hours == hours).subquery()


def _within(reach: Reach | None) -> tuple[ColumnElement[bool], ...]:
    return () if reach is None else (keys_within(reach),)


def _total(name: str, *sums: int) -> UsageTotal:
    whole = [int(each) for each in sums]  # PostgreSQL has more than 64 bits for sums, and another type
    counted, halves = whole[: len(_COUNTED)], whole[len(_COUNTED) :]
    added = [min((high << _HALF) + low, MOST) for high, low in zip(halves[::2], halves[1::2], strict=True)]
    return UsageTotal(name=name, **dict(zip(_COUNTED, counted, strict=True)), **dict(zip(_ADDED, added, strict=True)))


def _date(hour: int) -> str:
    return datetime.fromtimestamp(hour * HOUR_S, UTC).date().isoformat()
