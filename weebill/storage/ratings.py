"""Ratings as ingestion keeps them: they wait until their requests are found (`weebill.storage.rating_search`).

Nobody knows, when a rating comes, if there is a request with its id: ingestion has no index of those, which would make
every record dearer for the sake of the few that are rated. So ratings wait apart, a bounded number of each project.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from weebill.storage.owners import Owners
from weebill.storage.tables.ratings import RATINGS_WAITING
from weebill.storage.tables.types import String, Whole
from weebill.storage.usage_rows import without_nul
from weebill.usage.records import Rating

MOST_WAITING: Final = 5000
"""Of a project; the newest stay."""

_WAITING: Final = RATINGS_WAITING.c
_KEY: Final = ("project_id", "request_id")
_OF_PROJECT: Final = _WAITING.project_id == bindparam("of_project", type_=String)
_COUNT: Final = select(func.count()).select_from(RATINGS_WAITING).where(_OF_PROJECT)
_BEYOND: Final = (
    select(_WAITING.rated_at)
    .where(_OF_PROJECT)
    .order_by(_WAITING.rated_at.desc())
    .limit(1)
    .offset(bindparam("most", type_=Whole))
)
_FORGET: Final = delete(RATINGS_WAITING).where(_OF_PROJECT, _WAITING.rated_at <= _BEYOND.scalar_subquery())


def keep(connection: Connection, ratings: Iterable[Rating], owners: Owners) -> None:
    """Keeps the newest rating of each request, of each project."""
    since = int(time.time())
    rated = list(ratings)
    known = owners.of(each.key_id for each in rated)
    newest: dict[tuple[str, str], Mapping[str, object]] = {}
    for each in sorted(rated, key=lambda rating: rating.at):
        owner = known[each.key_id]
        key = owner.project if owner else "", without_nul(each.request_id)
        newest[key] = {
            "project_id": key[0], "request_id": key[1],
            "key_id": without_nul(each.key_id), "rated_at": each.at, "score_micro": each.score_micro,
            "comment": without_nul(each.comment), "since": since,
        }  # fmt: skip
    # In order: so of two ingesters with the same ones, one waits for the other.
    connection.execute(_add(connection.dialect.name), [newest[key] for key in sorted(newest)])
    for project in sorted({project for project, _ in newest}):
        if (connection.scalar(_COUNT, {"of_project": project}) or 0) > MOST_WAITING:
            connection.execute(_FORGET, {"of_project": project, "most": MOST_WAITING})


def forget_waiting(connection: Connection, project: str) -> int:
    """Drops the ratings of a project whose requests are not found yet; returns their number."""
    return connection.execute(delete(RATINGS_WAITING).where(_WAITING.project_id == project)).rowcount


@cache
def _add(dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Returns the statement that adds ratings, in place of older ones."""
    rows = sqlite.insert(RATINGS_WAITING) if dialect == "sqlite" else postgresql.insert(RATINGS_WAITING)
    others = {column.name: rows.excluded[column.name] for column in _WAITING if column.name not in _KEY}
    return rows.on_conflict_do_update(
        index_elements=list(_KEY), set_=others, where=rows.excluded.rated_at >= _WAITING.rated_at
    )
