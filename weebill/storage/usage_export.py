"""Single requests, oldest first, as rows for files: read in pages, each in a transaction of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection, select

from weebill.storage.database import Database
from weebill.storage.tables.ledger import API_KEYS, USAGE
from weebill.storage.tables.ratings import USAGE_RATINGS
from weebill.storage.tables.tenants import PROJECTS
from weebill.usage.records import MICRO
from weebill.usage.reports import END_USER, TAG
from weebill.usage.spans import HOUR_S, Span

PAGE: Final = 5000

Row = tuple[object, ...]

RECORD_COLUMNS: Final = (
    "id", "started_at", "request_id", "organization_id", "project_id", "key_id", "end_user", "tags", "endpoint",
    "model_asked", "model_served", "upstream", "stream", "status", "outcome", "prompt_tokens", "cached_tokens",
    "cache_write_tokens", "completion_tokens", "reasoning_tokens", "measured", "cost_nano", "cost_reported",
    "first_byte_us", "total_us", "attempts", "checked", "arm", "dropped", "flags", "score", "rated_at", "rated_by",
    "comment",
)  # fmt: skip
"""Times are Unix microseconds, `tags` a JSON object, costs nano-dollars or None. The last four are those of a rating,
from 0 to 1 and by a key; None if there is none.
"""
FLAGS: Final = frozenset({"stream", "measured", "cost_reported"})
TENANT: Final = ("organization_id", "project_id")

_OF_RATING: Final = RECORD_COLUMNS[-4:]
_NOT_RATED: Final[Row] = (None,) * len(_OF_RATING)
_OWN: Final = tuple(name for name in RECORD_COLUMNS if name not in (*TENANT, *_OF_RATING))
_OF_USAGE: Final[Mapping[str, str]] = {
    "key": "key_id", "model": "model_served", "provider": "upstream", "endpoint": "endpoint", END_USER: "end_user",
}  # fmt: skip
_KEY: Final = _OWN.index("key_id")
_TAGS: Final = _OWN.index("tags")
_HOUR_US: Final = HOUR_S * 1_000_000

_Holder = tuple[str | None, str | None, str | None]


def records(ledger: Database, span: Span, filters: Mapping[str, Sequence[str | None]]) -> Iterator[list[Row]]:
    """Yields the requests that began in a span, as `RECORD_COLUMNS`; `filters` are as a report's.

    None among the values of an organisation, a project or a user is for requests of which none is known.
    """
    after = 0
    while True:
        found = ledger.read(partial(_page, span=span, filters=filters, after=after))
        if found is None:
            return
        after, rows = found
        yield rows


def _page(
    connection: Connection, span: Span, filters: Mapping[str, Sequence[str | None]], after: int
) -> tuple[int, list[Row]] | None:
    """Returns the id of the last request that was looked at, and the rows of those that count; None at the end."""
    started = USAGE.c.started_at
    wanted = select(*(USAGE.c[name] for name in _OWN)).where(
        USAGE.c.id > after, started >= span.start * _HOUR_US, started < span.end * _HOUR_US
    )
    for name, values in filters.items():
        if name in _OF_USAGE:
            wanted = wanted.where(USAGE.c[_OF_USAGE[name]].in_(values))
    found = [tuple(row) for row in connection.execute(wanted.order_by(USAGE.c.id).limit(PAGE))]
    if not found:
        return None
    holders = _holders(connection, {str(row[_KEY]) for row in found})
    ratings = _ratings(connection, int(str(found[0][0])), int(str(found[-1][0])))
    rows = []
    for row in found:
        organisation, project, user = holders.get(str(row[_KEY]), (None, None, None))
        belongs = {"organization": organisation, "project": project, "user": user}
        if _counts(row, belongs, filters):
            rows.append(_shown(row, organisation, project, ratings.get(int(str(row[0])), _NOT_RATED)))
    return int(str(found[-1][0])), rows


def _holders(connection: Connection, keys: set[str]) -> dict[str, _Holder]:
    """Returns the organisation, the project and the holder of each key that is known."""
    found = (
        select(API_KEYS.c.id, PROJECTS.c.organisation_id, API_KEYS.c.project_id, API_KEYS.c.user_id)
        .join_from(API_KEYS, PROJECTS, PROJECTS.c.id == API_KEYS.c.project_id)
        .where(API_KEYS.c.id.in_(sorted(keys)))
    )
    return {id_: (organisation, project, user) for id_, organisation, project, user in connection.execute(found)}


def _counts(row: Row, belongs: Mapping[str, str | None], filters: Mapping[str, Sequence[str | None]]) -> bool:
    for name, values in filters.items():
        if name in belongs and belongs[name] not in values:
            return False
        if name.startswith(TAG) and json.loads(str(row[_TAGS] or "{}")).get(name.removeprefix(TAG)) not in values:
            return False
    return True


def _ratings(connection: Connection, first: int, last: int) -> dict[int, Row]:
    """Returns the ratings of requests with these ids and between, as `_OF_RATING`."""
    columns = USAGE_RATINGS.c
    found = select(columns.entry, columns.score_micro, columns.rated_at, columns.key_id, columns.comment).where(
        columns.entry >= first, columns.entry <= last
    )
    return {entry: (score / MICRO, *rest) for entry, score, *rest in connection.execute(found)}


def _shown(row: Row, organisation: str | None, project: str | None, rating: Row) -> Row:
    values = dict(zip((*_OWN, *_OF_RATING), (*row, *rating), strict=True))
    values |= {name: bool(values[name]) for name in FLAGS}
    values |= {"organization_id": organisation, "project_id": project}
    return tuple(values[name] for name in RECORD_COLUMNS)
