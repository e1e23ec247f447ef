"""Finds the requests that were rated, and keeps the ratings with them.

A request is mostly rated soon, so the newest are looked at first. A rating of a request that another project has made
is dropped, and so is one whose request is not found within a day: both look the same to whoever has sent it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from weebill.storage.database import Database
from weebill.storage.owners import Owner, Owners
from weebill.storage.rating_sums import Change, add_ratings
from weebill.storage.tables.ledger import USAGE_ENTRIES, USAGE_KINDS, USAGE_LABELS
from weebill.storage.tables.ratings import RATINGS_WAITING, USAGE_RATINGS

MOST_SOUGHT: Final = 10_000_000
"""Of the newest requests; older ones cannot be rated any more."""
WINDOW: Final = 20_000  # requests that are looked at in one transaction: some milliseconds
LONGEST_S: Final = 86_400
"""For which a rating waits for its request."""
AGAIN_S: Final = 60.0
"""After which ratings are looked for again whose requests were not there."""
_AT_ONCE: Final = 5000  # ratings
_PLACED_AT_ONCE: Final = 200  # in one transaction: some milliseconds
_LATE: Final = 200_000  # requests with a smaller id that others may have added after a look
_HOUR_US: Final = 3_600_000_000
_NEWEST: Final = select(func.max(USAGE_ENTRIES.c.id))


class Waiting(NamedTuple):
    """A rating that waits, by what its row is known by."""

    project: str
    request_id: str
    rated_at: int


class RatingSearch:
    """Looks for requests of ratings. Belongs to one thread.

    It remembers up to which request it has looked for each. After a restart it begins anew. `pause` is called after
    each transaction.
    """

    def __init__(self, ledger: Database, pause: Callable[[], None]) -> None:
        self._ledger = ledger
        self._pause = pause
        self._stamp = ""
        self._source = ""
        self._seen: dict[Waiting, int] = {}
        self._again_at = 0.0

    def look(self, now: float | None = None) -> int:
        """Keeps the ratings whose requests are there with them; returns their number. Raises LedgerError."""
        now = time.time() if now is None else now
        stamp = self._ledger.stamp()
        if stamp == self._stamp and not self._seen:
            return 0
        self._stamp = stamp
        source, waiting = self._ledger.read(lambda connection: (self._ledger.source(connection), _waiting(connection)))
        if source != self._source:
            self._seen.clear()
            self._source = source
        self._seen = {each: self._seen[each] for each in waiting if each in self._seen}
        placed = self._look_for([each for each in waiting if each not in self._seen], 0)
        if self._seen and now >= self._again_at:
            self._again_at = now + AGAIN_S
            placed += self._look_for(list(self._seen), min(self._seen.values()) - _LATE)
            self._ledger.change(partial(_forget, before=int(now) - LONGEST_S))
        return placed

    def _look_for(self, wanted: Sequence[Waiting], after: int) -> int:
        """Looks among the requests after an id."""
        placed = 0
        for start in range(0, len(wanted), _AT_ONCE):
            placed += self._look_for_some(wanted[start : start + _AT_ONCE], after)
        return placed

    def _look_for_some(self, wanted: Sequence[Waiting], after: int) -> int:
        newest = self._ledger.read(lambda connection: connection.scalar(_NEWEST)) or 0
        end, after = newest, max(after, newest - MOST_SOUGHT)
        left = {each.request_id for each in wanted}
        placed = 0
        while end > after and left:
            start = max(after, end - WINDOW)
            found = self._ledger.read(partial(_found, start=start, end=end, request_ids=left))
            rated = [(found[each.request_id], each) for each in wanted if each.request_id in found]
            for at in range(0, len(rated), _PLACED_AT_ONCE):
                placed += self._ledger.change(partial(_place, rated=rated[at : at + _PLACED_AT_ONCE]))
                self._pause()
            left -= found.keys()
            end = start
            self._pause()
        self._seen |= {each: newest for each in wanted if each.request_id in left}
        for each in wanted:
            if each.request_id not in left:
                self._seen.pop(each, None)
        return placed


def _waiting(connection: Connection) -> list[Waiting]:
    """Returns the newest ratings that wait: whoever sends very many others delays nobody's for long."""
    columns = RATINGS_WAITING.c
    found = select(columns.project_id, columns.request_id, columns.rated_at).order_by(columns.rated_at.desc())
    return [Waiting(*row) for row in connection.execute(found.limit(2 * _AT_ONCE))]


def _forget(connection: Connection, before: int) -> None:
    connection.execute(delete(RATINGS_WAITING).where(RATINGS_WAITING.c.since < before))


def _found(connection: Connection, start: int, end: int, request_ids: set[str]) -> dict[str, int]:
    """Returns the ids of those requests among the ones after `start` and up to `end`."""
    entries = USAGE_ENTRIES.c
    found = select(entries.request_id, entries.id).where(
        entries.id > start, entries.id <= end, entries.request_id.in_(sorted(request_ids))
    )
    return {request_id: id_ for request_id, id_ in connection.execute(found)}  # noqa: C416 - rows are typed


def _place(connection: Connection, rated: Sequence[tuple[int, Waiting]]) -> int:
    """Keeps those of the ratings that their projects may give, and that still wait; returns their number."""
    entries = {each: entry for entry, each in rated}
    columns = RATINGS_WAITING.c
    taken = (
        delete(RATINGS_WAITING)
        .where(tuple_(columns.project_id, columns.request_id, columns.rated_at).in_(list(entries)))
        .returning(*columns)
    )
    given = [
        (entries[Waiting(row.project_id, row.request_id, row.rated_at)], row) for row in connection.execute(taken).all()
    ]
    ids = sorted({entry for entry, _ in given})
    requests = _requests(connection, ids)
    owners = Owners(connection).of(each.key_id for each in requests.values())
    # Several projects may have rated one request, and those that may not must not displace the others.
    allowed = {
        entry: row
        for entry, row in sorted(given, key=lambda each: each[1].rated_at)
        if (request := requests.get(entry)) is not None
        and _may_rate(row.project_id, row.key_id, request.key_id, owners[request.key_id])
    }
    before = _rated(connection, ids)
    rows: list[Mapping[str, object]] = []
    changes: list[Change] = []
    for entry, row in sorted(allowed.items()):
        request, owner = requests[entry], owners[requests[entry].key_id]
        at, score = before.get(entry, (None, 0))
        if at is not None and at > row.rated_at:
            continue
        rows.append(
            {"entry": entry, "key_id": row.key_id, "rated_at": row.rated_at, "score_micro": row.score_micro,
             "comment": row.comment}
        )  # fmt: skip
        changes.append(
            Change(
                request.started_at // _HOUR_US, request.key_id, request.served, owner.project if owner else "",
                request.end_user, request.tags, int(at is None), row.score_micro - score,
            )
        )  # fmt: skip
    if rows:
        replaced = [each["entry"] for each in rows]
        connection.execute(delete(USAGE_RATINGS).where(USAGE_RATINGS.c.entry.in_(replaced)))
        connection.execute(insert(USAGE_RATINGS), rows)
        add_ratings(connection, changes)
    return len(rows)


def _may_rate(project: str, key_id: str, of_key: str, owner: Owner | None) -> bool:
    """True if a request of a key may be rated by another one, of a project."""
    return key_id == of_key or (owner is not None and owner.project == project)


class _Request(NamedTuple):
    key_id: str
    served: tuple[str, str, str]
    started_at: int
    end_user: str
    tags: str


def _requests(connection: Connection, ids: Sequence[int]) -> dict[int, _Request]:
    kinds, entries = USAGE_KINDS.c, USAGE_ENTRIES.c
    found = (
        select(
            entries.id, kinds.key_id, kinds.model_served, kinds.upstream, kinds.endpoint, entries.started_at,
            USAGE_LABELS.c.end_user, USAGE_LABELS.c.tags,
        )
        .join_from(USAGE_ENTRIES, USAGE_KINDS, kinds.id == entries.kind)
        .outerjoin(USAGE_LABELS, USAGE_LABELS.c.id == entries.labels)
        .where(entries.id.in_(ids))
        .order_by(entries.id)
    )  # fmt: skip
    return {
        id_: _Request(key_id, (model, upstream, endpoint), started_at, end_user or "", tags or "")
        for id_, key_id, model, upstream, endpoint, started_at, end_user, tags in connection.execute(found)
    }


def _rated(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Returns when requests were rated, and how, by their ids."""
    columns = USAGE_RATINGS.c
    found = select(columns.entry, columns.rated_at, columns.score_micro).where(columns.entry.in_(ids))
    return {entry: (at, score) for entry, at, score in connection.execute(found)}
