"""Roll-ups of usage by project, from those by key.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from datetime import date
from hashlib import blake2b
from typing import Final

import msgspec
import sqlalchemy as sa
from alembic import op

from weebill.storage.tables.types import Binary, String, Whole

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_MOST: Final = 2**63 - 1
_DAY_H: Final = 24
_MONTH: Final = 744
_CYCLE_DAYS: Final = 146_097  # of 400 years
_SUMS: Final = (
    "requests", "failures", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano", "unpriced",
)  # fmt: skip
_SERIES: Final = ("project_id", "model", "upstream", "endpoint")
_WITH_PROJECTS: Final = "usage_series AS series LEFT JOIN api_keys ON api_keys.id = series.key_id"
_FIND: Final = (
    "SELECT DISTINCT coalesce(api_keys.project_id, ''), series.model, series.upstream, series.endpoint "  # noqa: S608
    f"FROM {_WITH_PROJECTS} ORDER BY 1, 2, 3, 4"
)
_INSERT: Final = (
    f"INSERT INTO usage_project_series ({', '.join(_SERIES)}, fingerprint) "  # noqa: S608
    f"VALUES ({', '.join(f':{name}' for name in _SERIES)}, :fingerprint)"
)
_BELONG: Final = (
    "CREATE TEMPORARY TABLE projects_of_series AS SELECT series.id AS series, project.id AS project_series "  # noqa: S608
    f"FROM {_WITH_PROJECTS} JOIN usage_project_series AS project ON project.model = series.model "
    "AND project.upstream = series.upstream AND project.endpoint = series.endpoint "
    "AND project.project_id = coalesce(api_keys.project_id, '')"
)


def upgrade() -> None:
    """Makes the tables, and adds up the sums of each project's keys, a month at a time."""
    connection = op.get_bind()
    _make_tables()
    found = [dict(zip(_SERIES, row, strict=True)) for row in connection.exec_driver_sql(_FIND)]
    if not found:
        return
    hashed = [{**each, "fingerprint": _fingerprint(tuple(each.values()))} for each in found]
    connection.execute(sa.text(_INSERT), hashed)
    for statement in (_BELONG, "CREATE INDEX projects_of_each_series ON projects_of_series (series)"):
        connection.exec_driver_sql(statement)
    for hours in (1, _DAY_H, _MONTH):
        _add_up(connection, hours)
    connection.exec_driver_sql("DROP TABLE projects_of_series")


def _make_tables() -> None:
    op.create_table(
        "usage_project_series",
        sa.Column("id", Whole, sa.Identity(), primary_key=True),
        *(sa.Column(name, String, nullable=False) for name in _SERIES),
        sa.Column("fingerprint", Binary, nullable=False, unique=True),
        sqlite_strict=True,
    )
    op.create_table(
        "usage_project_sums",
        *(
            sa.Column(name, Whole, primary_key=True, autoincrement=False)
            for name in ("hours", "start", "project_series")
        ),
        *(sa.Column(name, Whole, nullable=False) for name in _SUMS),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _add_up(connection: sa.Connection, hours: int) -> None:
    add_up = _statement(sqlite=connection.dialect.name == "sqlite")
    following = sa.text("SELECT min(start) FROM usage_sums WHERE hours = :hours AND start >= :start")
    found = connection.execute(following, {"hours": hours, "start": -(2**62)}).scalar()
    while found is not None:
        month = _month_of(found)
        end = _month_of(month + _MONTH)
        connection.execute(add_up, {"hours": hours, "month": month, "end": end})
        found = connection.execute(following, {"hours": hours, "start": end}).scalar()


def _statement(*, sqlite: bool) -> sa.TextClause:
    """Returns the statement that adds up a month; on SQLite by halves, as its sums fail beyond 64 bits."""
    if sqlite:
        high, low = "sum({0} >> 32)", "sum({0} & 4294967295)"
        whole = f"CASE WHEN {high} + ({low} >> 32) > 2147483647 THEN {{1}} ELSE ({high} << 32) + {low} END"
    else:
        whole = "least(sum({0}), {1})"
    sums = ", ".join(whole.format(name, _MOST) for name in _SUMS)
    return sa.text(
        f"INSERT INTO usage_project_sums (hours, start, project_series, {', '.join(_SUMS)}) "  # noqa: S608
        f"SELECT hours, start, project_series, {sums} FROM usage_sums "
        "JOIN projects_of_series ON projects_of_series.series = usage_sums.series "
        "WHERE hours = :hours AND start >= :month AND start < :end GROUP BY hours, start, project_series "
        "ORDER BY hours, start, project_series"  # one after another on the disk, as they are read
    )


def _fingerprint(series: tuple[str, ...]) -> bytes:
    return blake2b(msgspec.json.encode(series), digest_size=16).digest()


def _month_of(hour: int) -> int:
    """Returns the first hour of the month (UTC) of an hour, which may be of a clock that was far off."""
    cycles, day = divmod(hour // _DAY_H, _CYCLE_DAYS)
    first = day + 1 - date.fromordinal(date(1970, 1, 1).toordinal() + day).day
    return (cycles * _CYCLE_DAYS + first) * _DAY_H
