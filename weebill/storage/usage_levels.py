"""The levels at which usage is summed: by key; and by project, of which there are many times fewer sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Join, Subquery, Table

from weebill.accounts.permissions import Reach
from weebill.storage.tables.ledger import (
    API_KEYS,
    USAGE_PROJECT_SERIES,
    USAGE_PROJECT_SUMS,
    USAGE_SERIES,
    USAGE_SUMS,
)
from weebill.storage.tables.tenants import PROJECTS

_OF_OWNERS: Final = frozenset({"organization", "project", "user"})


class Level(NamedTuple):
    """A table of sums and its column that says of which series they are; these, and what they are told apart by.

    `owners` are the tables that say whose series are, and how each is found.
    """

    sums: Table
    of: str
    series: Table
    columns: Mapping[str, ColumnElement[str] | ColumnElement[str | None]]
    owners: tuple[tuple[Table, ColumnElement[bool]], ...]

    def joined(self, sums: Subquery, dimensions: Iterable[str], reach: Reach | None) -> Join:
        """Returns sums, whose series is the column `series`, with what dimensions and reach are known by."""
        found = sums.join(self.series, self.series.c.id == sums.c.series)
        if reach is not None or not _OF_OWNERS.isdisjoint(dimensions):
            for table, condition in self.owners:
                found = found.outerjoin(table, condition)
        return found


def level_of(dimensions: Iterable[str], reach: Reach | None) -> Level:
    """Returns the level with the fewest sums at which dimensions, and what is within reach, are told apart.

    End users and tags are told apart within the series of keys.
    """
    of_holders = reach is not None and any(target.user_id is not None for target in reach)
    return BY_KEY if of_holders or not BY_PROJECT.columns.keys() >= set(dimensions) else BY_PROJECT


def _served_by(series: Table) -> dict[str, ColumnElement[str]]:
    return {"model": series.c.model, "provider": series.c.upstream, "endpoint": series.c.endpoint}


BY_KEY: Final = Level(
    USAGE_SUMS,
    "series",
    USAGE_SERIES,
    {
        "organization": PROJECTS.c.organisation_id,
        "project": API_KEYS.c.project_id,
        "key": USAGE_SERIES.c.key_id,
        "user": API_KEYS.c.user_id,
        **_served_by(USAGE_SERIES),
    },
    (
        (API_KEYS, API_KEYS.c.id == USAGE_SERIES.c.key_id),
        (PROJECTS, PROJECTS.c.id == API_KEYS.c.project_id),
    ),
)
BY_PROJECT: Final = Level(
    USAGE_PROJECT_SUMS,
    "project_series",
    USAGE_PROJECT_SERIES,
    {
        "organization": PROJECTS.c.organisation_id,
        "project": USAGE_PROJECT_SERIES.c.project_id,
        **_served_by(USAGE_PROJECT_SERIES),
    },
    ((PROJECTS, PROJECTS.c.id == USAGE_PROJECT_SERIES.c.project_id),),
)
