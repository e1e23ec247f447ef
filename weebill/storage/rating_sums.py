"""Adds ratings to the sums of usage that their requests are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, Update, bindparam, select, update

from weebill.storage.rollups import END_USER, TAG, spans_of
from weebill.storage.tables.ledger import (
    USAGE_LABEL_SERIES,
    USAGE_LABEL_SUMS,
    USAGE_PROJECT_SERIES,
    USAGE_PROJECT_SUMS,
    USAGE_SERIES,
    USAGE_SUMS,
)
from weebill.storage.tables.types import Whole
from weebill.storage.usage_names import MANY
from weebill.storage.usage_rows import fingerprint

_BATCH: Final = 500  # of fingerprints in one statement


class Change(NamedTuple):
    """The difference that a rating makes: the request's hour since 1970, its key, model, upstream and endpoint, the
    key's project, and labels; 1 if it had no rating before, else 0; and that of scores, in millionths.
    """

    hour: int
    key_id: str
    served: tuple[str, str, str]
    project: str
    end_user: str
    tags: str
    rated: int
    score_micro: int

    def labels(self) -> Iterator[tuple[str, str]]:
        """Yields names and values, as series of labels have them."""
        if self.end_user:
            yield END_USER, self.end_user
        for name, value in msgspec.json.decode(self.tags or "{}", type=dict[str, str]).items():
            yield TAG + name, value


def add_ratings(connection: Connection, changes: Sequence[Change]) -> None:
    """Adds changes to the sums that are there; those that were erased stay so."""
    series = _ids(connection, USAGE_SERIES, [(each.key_id, *each.served) for each in changes])
    projects = _ids(connection, USAGE_PROJECT_SERIES, [(each.project, *each.served) for each in changes])
    found = [(each, series.get(_hash((each.key_id, *each.served)))) for each in changes]
    _add(connection, USAGE_SUMS, "series", found)
    of_projects = [(each, projects.get(_hash((each.project, *each.served)))) for each in changes]
    _add(connection, USAGE_PROJECT_SUMS, "project_series", of_projects)
    wanted = [(each, _names(label, id_)) for each, id_ in found if id_ is not None for label in each.labels()]
    labels = _ids(connection, USAGE_LABEL_SERIES, [name for _, names in wanted for name in names])
    of_labels = [
        (each, next((labels[hashed] for hashed in map(_hash, names) if hashed in labels), None))
        for each, names in wanted
    ]
    _add(connection, USAGE_LABEL_SUMS, "label_series", of_labels)


def _names(label: tuple[str, str], series: int) -> list[tuple[str | int, ...]]:
    """Returns the series of a label that may have its sums: its own, or one for those beyond the bounds."""
    name, value = label
    return [(name, value, series), (name, MANY, series), (MANY, value, series), (MANY, MANY, series)]


def _ids(connection: Connection, table: Table, wanted: Iterable[Sequence[str | int]]) -> dict[bytes, int]:
    hashes = sorted(set(map(_hash, wanted)))
    ids: dict[bytes, int] = {}
    for start in range(0, len(hashes), _BATCH):
        found = select(table.c.fingerprint, table.c.id).where(table.c.fingerprint.in_(hashes[start : start + _BATCH]))
        ids |= {hashed: id_ for hashed, id_ in connection.execute(found)}  # noqa: C416 - rows are typed
    return ids


def _hash(values: Sequence[str | int]) -> bytes:
    return fingerprint(values)


def _add(connection: Connection, table: Table, of: str, changes: Iterable[tuple[Change, int | None]]) -> None:
    sums: dict[tuple[int, int, int], list[int]] = {}
    for each, series in changes:
        if series is not None:
            for hours, start in spans_of(each.hour):
                there = sums.setdefault((hours, start, series), [0, 0])
                there[0] += each.rated
                there[1] += each.score_micro
    rows = [
        {"of_hours": hours, "of_start": start, "of_series": series, "more": rated, "more_score": score}
        for (hours, start, series), (rated, score) in sorted(sums.items())
    ]
    if rows:
        connection.execute(_update(table, of), rows)


@cache
def _update(table: Table, of: str) -> Update:
    columns = table.c
    here = (columns.hours == bindparam("of_hours", type_=Whole), columns.start == bindparam("of_start", type_=Whole))
    return (
        update(table)
        .where(*here, columns[of] == bindparam("of_series", type_=Whole))
        .values(
            rated=columns.rated + bindparam("more", type_=Whole),
            score_micro=columns.score_micro + bindparam("more_score", type_=Whole),
        )
    )
