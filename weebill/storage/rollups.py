"""Roll-ups: sums of usage by hour, day and month, from those of one transaction to rows of the tables."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

from sqlalchemy import Connection, Select, Table, func, select

from weebill.storage.owners import Owners
from weebill.storage.tables.ledger import (
    USAGE_DAILY,
    USAGE_LABEL_SERIES,
    USAGE_LABEL_SUMS,
    USAGE_PROJECT_SERIES,
    USAGE_PROJECT_SUMS,
    USAGE_SERIES,
    USAGE_SUMS,
)
from weebill.storage.tables.types import MOST
from weebill.storage.usage_names import MANY, Names
from weebill.storage.usage_rows import Rows, Value, without_nul
from weebill.usage.records import Labels
from weebill.usage.spans import DAY_H, MONTH_H, month_of

HOUR: Final = 1
END_USER: Final = "end_user"
TAG: Final = "tag:"
MOST_TAGS: Final = 200
MOST_LABELS: Final = 20_000
"""End users that have sums of their own, and values of each of so many tags; the sums of others are as one."""
MAX_SERIES: Final = 8192  # whose id is remembered

_SERIES: Final = ("key_id", "model", "upstream", "endpoint")
_PROJECT_SERIES: Final = ("project_id", "model", "upstream", "endpoint")
_LABEL_SERIES: Final = ("name", "value", "series")

_NAME: Final = USAGE_LABEL_SERIES.c.name
_VALUE: Final = USAGE_LABEL_SERIES.c.value
_NAMES: Final = (
    select(_NAME).where(_NAME.not_in([MANY, END_USER])).group_by(_NAME).order_by(func.min(USAGE_LABEL_SERIES.c.id))
)
_VALUES: Final = select(_VALUE).where(_VALUE != MANY).group_by(_VALUE).order_by(func.min(USAGE_LABEL_SERIES.c.id))

Series = tuple[str, str, str, str]
"""The key, the model served, its upstream and the endpoint."""
Sums = list[int]
"""As `usage_rows.SUMS`, none above `MOST`."""
K = TypeVar("K")
S = TypeVar("S", bound=tuple[Value, ...])


@dataclass(slots=True)
class Rolled:
    """The sums of a transaction, by the hour since 1970 and the series; and by labels, too, where requests have any."""

    hours: dict[tuple[int, Series], Sums] = field(default_factory=dict)
    labelled: dict[tuple[int, Series, Labels], Sums] = field(default_factory=dict)


@dataclass(slots=True)
class KnownSeries:
    """The series that are remembered, from one transaction to the next."""

    series: dict[Series, int] = field(default_factory=dict)
    projects: dict[Series, int] = field(default_factory=dict)
    labels: dict[tuple[str, str, int], int] = field(default_factory=dict)
    names: dict[str, Names] = field(default_factory=dict)

    def forget(self) -> None:
        """Knows nothing any more."""
        self.series.clear()
        self.projects.clear()
        self.labels.clear()
        self.names.clear()


class RollUps:
    """Adds to the roll-ups, in a transaction of the caller's."""

    def __init__(self, connection: Connection, rows: Rows, known: KnownSeries, owners: Owners) -> None:
        self._connection = connection
        self._rows = rows
        self._known = known
        self._owners = owners

    def add(self, rolled: Rolled) -> None:
        """Adds the sums to the totals of keys, and to hours, days and months, of keys and of their projects."""
        owners = self._owners.of(series[0] for _, series in rolled.hours)
        projects = {key_id: owner.project if owner else "" for key_id, owner in owners.items()}
        daily: dict[tuple[int, str, str], Sums] = {}
        of_projects: dict[tuple[int, Series], Sums] = {}
        for (hour, (key_id, model, upstream, endpoint)), sums in rolled.hours.items():
            add_to(daily, (hour // DAY_H, key_id, model), sums)
            add_to(of_projects, (hour, (projects[key_id], model, upstream, endpoint)), sums)
        self._rows.add_up(USAGE_DAILY, [(*key, *sums) for key, sums in sorted(daily.items())])
        ids = self._ids(USAGE_SERIES, _SERIES, self._known.series, {series for _, series in rolled.hours})
        self._rows.add_up(USAGE_SUMS, _spread(rolled.hours, ids))
        wanted = {series for _, series in of_projects}
        project_ids = self._ids(USAGE_PROJECT_SERIES, _PROJECT_SERIES, self._known.projects, wanted)
        self._rows.add_up(USAGE_PROJECT_SUMS, _spread(of_projects, project_ids))
        if rolled.labelled:
            self._add_labelled(rolled, ids)

    def _add_labelled(self, rolled: Rolled, ids: Mapping[Series, int]) -> None:
        found: dict[tuple[int, tuple[str, str, int]], Sums] = {}
        for (hour, series, labels), sums in rolled.labelled.items():
            for label in self._kept(labels):
                add_to(found, (hour, (*label, ids[series])), sums)
        wanted = {label for _, label in found}
        label_ids = self._ids(USAGE_LABEL_SERIES, _LABEL_SERIES, self._known.labels, wanted)
        self._rows.add_up(USAGE_LABEL_SUMS, _spread(found, label_ids))

    def _kept(self, labels: Labels) -> Iterator[tuple[str, str]]:
        """Yields names and values, with one in place of those beyond the bounds."""
        if labels.user:
            yield END_USER, self._value(END_USER, without_nul(labels.user))
        for tag, value in labels.tags:
            name = self._name(TAG + without_nul(tag))
            yield name, self._value(name, without_nul(value))

    def _name(self, name: str) -> str:
        return self._names("", _NAMES, MOST_TAGS).kept(self._connection, name)

    def _value(self, name: str, value: str) -> str:
        values = _VALUES.where(USAGE_LABEL_SERIES.c.name == name)
        return self._names(name, values, MOST_LABELS).kept(self._connection, value)

    def _names(self, of: str, query: Select[str], most: int) -> Names:
        found = self._known.names.get(of)
        if found is None:
            found = self._known.names[of] = Names(query, most)
        return found

    def _ids(self, table: Table, columns: Sequence[str], known: dict[S, int], wanted: set[S]) -> dict[S, int]:
        """Returns the ids of series, and of others that are remembered; those that are new are inserted."""
        new = sorted(wanted.difference(known))
        if len(known) + len(new) > MAX_SERIES:
            known.clear()
            new = sorted(wanted)
        known.update(zip(new, self._rows.ids(table, columns, new), strict=True))
        return known


def _spread(sums: Mapping[tuple[int, K], Sums], ids: Mapping[K, int]) -> list[tuple[int, ...]]:
    """Returns rows of sums by hour, by day and by month, in their order."""
    found: dict[tuple[int, int, int], Sums] = {}
    for (hour, series), more in sums.items():
        id_ = ids[series]
        for hours, start in spans_of(hour):
            add_to(found, (hours, start, id_), more)
    return sorted((*key, *row) for key, row in found.items())


@lru_cache(maxsize=256)
def spans_of(hour: int) -> tuple[tuple[int, int], ...]:
    """Returns the hour, the day and the month of an hour, as sums have them: by their length and their beginning."""
    return (HOUR, hour), (DAY_H, hour - hour % DAY_H), (MONTH_H, month_of(hour))


def add_to(sums: dict[K, Sums], key: K, more: Sums) -> None:
    """Adds to the sums of a key, up to `MOST`. Lists are not changed: the same ones are sums of several keys."""
    there = sums.get(key)
    added = more if there is None else list(map(operator.add, there, more))
    sums[key] = added if max(added) <= MOST else [min(MOST, each) for each in added]
