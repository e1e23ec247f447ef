"""Usage from the ledger: totals by key, model or day, and single requests, newest first."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import msgspec

from weebill.usage.records import UsageRecord
from weebill.usage.totals import Grouping, UsageEntry, UsageTotal

# Of many days only the latest are shown; keys and models are few by nature, but bounded all the same.
MAX_GROUPS = 1000

_COLUMNS = ", ".join(UsageRecord.__struct_fields__)
_GROUPED_BY: dict[Grouping, tuple[str, str]] = {
    "model": ("model", "requests DESC, name"),
    "key": ("key_id", "requests DESC, name"),
    "day": ("day", "name DESC"),
}
_COUNTED = ("requests", "failures", "unpriced")
_ADDED = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano")
# By halves: SQLite fails where a sum is beyond 64 bits, and nothing that an upstream reports may bring that about.
_SUMS = ", ".join(
    [f"ifnull(sum({column}), 0) AS {column}" for column in _COUNTED]
    + [f"ifnull(sum({column} >> 32), 0), ifnull(sum({column} & 4294967295), 0)" for column in _ADDED]
)
_MOST = 2**63 - 1
_DAY_S = 86_400


def summarise(connection: sqlite3.Connection, by: Grouping) -> list[UsageTotal]:
    """Totals: models and keys by number of requests, days from the latest; at most `MAX_GROUPS`."""
    column, order = _GROUPED_BY[by]
    rows = connection.execute(
        f"SELECT {column} AS name, {_SUMS} FROM usage_daily GROUP BY 1 ORDER BY {order} LIMIT ?",  # noqa: S608
        (MAX_GROUPS,),
    ).fetchall()
    return [_total(_date(name) if by == "day" else name, *sums) for name, *sums in rows]


def _total(name: str, requests: int, failures: int, unpriced: int, *halves: int) -> UsageTotal:
    sums = [min((high << 32) + low, _MOST) for high, low in zip(halves[::2], halves[1::2], strict=True)]
    added = dict(zip(_ADDED, sums, strict=True))
    return UsageTotal(name=name, requests=requests, failures=failures, unpriced=unpriced, **added)


def total(connection: sqlite3.Connection) -> UsageTotal:
    """The sum over everything; its name is empty."""
    [sums] = connection.execute(f"SELECT {_SUMS} FROM usage_daily").fetchall()  # noqa: S608
    return _total("", *sums)


def summary(connection: sqlite3.Connection, by: Grouping) -> tuple[list[UsageTotal], UsageTotal]:
    """Totals and the sum over everything, both of one moment, so that they add up. Begins a transaction."""
    connection.execute("BEGIN")
    return summarise(connection, by), total(connection)


def recent(connection: sqlite3.Connection, limit: int, before: int | None = None) -> list[UsageEntry]:
    """The newest `limit` records, or those that came before the one with id `before`."""
    rows = connection.execute(
        f"SELECT id, {_COLUMNS} FROM usage WHERE id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608
        (2**63 - 1 if before is None else before, limit),
    ).fetchall()
    return [UsageEntry(id_, msgspec.convert(values, UsageRecord, strict=False)) for id_, *values in rows]


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY_S, UTC).date().isoformat()
