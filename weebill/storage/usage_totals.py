"""Usage from the ledger: totals by key, model or day, and single requests, newest first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Integer, Table, func, literal, select

from weebill.accounts.permissions import Reach
from weebill.storage.reach import ids_within
from weebill.storage.tables.ledger import USAGE, USAGE_DAILY, USAGE_ENTRIES, USAGE_SERIES, USAGE_SUMS
from weebill.storage.tables.types import MOST
from weebill.usage.records import Labels, UsageRecord
from weebill.usage.spans import MONTH_H
from weebill.usage.totals import APART, Grouping, UsageEntry, UsageTotal

# Keys and models are few by nature, but bounded all the same.
MAX_GROUPS: Final = 1000
MAX_DAYS: Final = 100
MOST_LOOKED_AT: Final = 100_000
"""Records that a list of somebody's own looks into, as there is no index of whose they are."""

_GROUPED_BY: Final[Mapping[Grouping, str]] = {"model": "model", "key": "key_id"}
_COUNTED: Final = ("requests", "failures", "unpriced")
_ADDED: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano")
_HALF: Final = 32
_LOW: Final = 2**_HALF - 1
_SHIFT: Final = literal(_HALF, Integer())


def _sums(table: Table) -> list[ColumnElement[int]]:
    """Returns the sums over a table; by halves where more than 64 bits may come of it, which SQLite fails at."""
    counted = [func.coalesce(func.sum(table.c[name]), 0).label(name) for name in _COUNTED]
    halves = [
        half for name in _ADDED for half in (table.c[name].bitwise_rshift(_SHIFT), table.c[name].bitwise_and(_LOW))
    ]
    return [*counted, *(func.coalesce(func.sum(half), 0) for half in halves)]


_SUMS: Final = _sums(USAGE_DAILY)
_MONTHS: Final = _sums(USAGE_SUMS)
_IN_MONTHS: Final = USAGE_SUMS.c.hours == MONTH_H
_FIELDS: Final = tuple(name for name in UsageRecord.__struct_fields__ if name not in APART)
_RECORDS: Final = select(USAGE.c.id, USAGE.c.end_user, USAGE.c.tags, *(USAGE.c[name] for name in _FIELDS)).order_by(
    USAGE.c.id.desc()
)
_DAY_S: Final = 86_400


def summarise(connection: Connection, by: Grouping, reach: Reach | None = None) -> list[UsageTotal]:
    """Totals: models and keys by number of requests, at most `MAX_GROUPS`; days from the latest, `MAX_DAYS`."""
    if by == "day":
        within = _within(USAGE_DAILY, reach)
        days = select(USAGE_DAILY.c.day, *_SUMS).where(*within).group_by(USAGE_DAILY.c.day)
        days = days.order_by(USAGE_DAILY.c.day.desc())
        return [_total(_date(day), *sums) for day, *sums in connection.execute(days.limit(MAX_DAYS))]
    column = USAGE_SERIES.c[_GROUPED_BY[by]]
    found = (
        select(column, *_MONTHS)
        .join_from(USAGE_SUMS, USAGE_SERIES, USAGE_SERIES.c.id == USAGE_SUMS.c.series)
        .where(_IN_MONTHS, *_within(USAGE_SERIES, reach))
        .group_by(column)
        .order_by(func.sum(USAGE_SUMS.c.requests).desc(), column)
    )
    return [_total(name, *sums) for name, *sums in connection.execute(found.limit(MAX_GROUPS))]


def total(connection: Connection, reach: Reach | None = None) -> UsageTotal:
    """The sum over everything, or what is within reach; its name is empty."""
    found = select(*_MONTHS).where(_IN_MONTHS)
    if reach is not None:
        found = found.where(USAGE_SUMS.c.series.in_(select(USAGE_SERIES.c.id).where(*_within(USAGE_SERIES, reach))))
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


def _within(table: Table, reach: Reach | None) -> tuple[ColumnElement[bool], ...]:
    return () if reach is None else (table.c.key_id.in_(ids_within(reach)),)


def _total(name: str, *sums: int) -> UsageTotal:
    whole = [int(each) for each in sums]  # PostgreSQL has more than 64 bits for sums, and another type
    counted, halves = whole[: len(_COUNTED)], whole[len(_COUNTED) :]
    added = [min((high << _HALF) + low, MOST) for high, low in zip(halves[::2], halves[1::2], strict=True)]
    return UsageTotal(name=name, **dict(zip(_COUNTED, counted, strict=True)), **dict(zip(_ADDED, added, strict=True)))


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY_S, UTC).date().isoformat()
