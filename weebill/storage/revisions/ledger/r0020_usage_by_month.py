"""Roll-ups of usage by month, from those by day.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

from datetime import date
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_MOST: Final = 2**63 - 1
_DAY_H: Final = 24
_MONTH: Final = 744
_CYCLE_DAYS: Final = 146_097  # of 400 years
_SUMS: Final = (
    "requests", "failures", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano", "unpriced",
)  # fmt: skip
_TABLES: Final = {"usage_sums": "series", "usage_label_sums": "label_series"}


def upgrade() -> None:
    """Adds up the days of each month that has any."""
    connection = op.get_bind()
    for table, series in _TABLES.items():
        following = sa.text(f"SELECT min(start) FROM {table} WHERE hours = {_DAY_H} AND start >= :start")  # noqa: S608
        add_up = _statement(table, series, sqlite=connection.dialect.name == "sqlite")
        found = connection.execute(sa.text(f"SELECT min(start) FROM {table} WHERE hours = {_DAY_H}")).scalar()  # noqa: S608
        while found is not None:
            month = _month_of(found)
            end = _month_of(month + _MONTH)
            connection.execute(add_up, {"month": month, "end": end})
            found = connection.execute(following, {"start": end}).scalar()


def _statement(table: str, series: str, *, sqlite: bool) -> sa.TextClause:
    """Returns the statement that adds up a month; on SQLite by halves, as its sums fail beyond 64 bits."""
    if sqlite:
        high, low = "sum({0} >> 32)", "sum({0} & 4294967295)"
        whole = f"CASE WHEN {high} + ({low} >> 32) > 2147483647 THEN {{1}} ELSE ({high} << 32) + {low} END"
    else:
        whole = "least(sum({0}), {1})"
    sums = ", ".join(whole.format(name, _MOST) for name in _SUMS)
    return sa.text(
        f"INSERT INTO {table} (hours, start, {series}, {', '.join(_SUMS)}) "  # noqa: S608
        f"SELECT {_MONTH}, CAST(:month AS BIGINT), {series}, {sums} FROM {table} "
        f"WHERE hours = {_DAY_H} AND start >= :month AND start < :end GROUP BY {series}"
    )


def _month_of(hour: int) -> int:
    """Returns the first hour of the month (UTC) of an hour, which may be of a clock that was far off."""
    cycles, day = divmod(hour // _DAY_H, _CYCLE_DAYS)
    first = day + 1 - date.fromordinal(date(1970, 1, 1).toordinal() + day).day
    return (cycles * _CYCLE_DAYS + first) * _DAY_H
