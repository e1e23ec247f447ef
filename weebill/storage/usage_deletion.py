"""Deletes single requests, a few at a time: each transaction is short, and so ingestion hardly waits for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, ColumnClause, Connection, column, delete, exists, inspect, select, table

from weebill.storage.database import Database
from weebill.storage.label_rows import begin_erasing
from weebill.storage.tables.ledger import API_KEYS, USAGE_ENTRIES, USAGE_KINDS, USAGE_LABELS
from weebill.storage.tables.ratings import USAGE_RATINGS

WINDOW: Final = 2000  # requests that are looked at in one transaction
MOST_DELETED: Final = 500  # in one transaction: some milliseconds
_MOST_KEYS: Final = 8192  # whose project is remembered

# Records are in these, too, where a SQLite file of an earlier release was taken over; in the latter with their key.
_BEFORE_FLAGS: Final = "usage_entries_before_flags"
_BEFORE_KINDS: Final = "usage_before_kinds"


class Used(NamedTuple):
    """A request: its number, the id of its key, when it began in Unix microseconds, the id of its labels, if any, and
    the id that its client knows.
    """

    id: int
    key_id: str
    started_at: int
    labels: int | None
    request_id: str


def tables_of(connection: Connection) -> list[str]:
    """Returns the names of the tables that have records, the oldest first."""
    there = inspect(connection)
    return [name for name in (_BEFORE_KINDS, _BEFORE_FLAGS) if there.has_table(name)] + [USAGE_ENTRIES.name]


def window(connection: Connection, of: str, after: int) -> list[Used]:
    """Returns the next requests of a table, by id."""
    if of == USAGE_ENTRIES.name:
        labels: ColumnClause[int | None] = column("labels", BigInteger())
    else:
        labels = column("NULL", BigInteger(), is_literal=True)
    rows = table(of, *(column(name) for name in ("id", "kind", "key_id", "started_at", "labels", "request_id")))
    key_id = rows.c.key_id if of == _BEFORE_KINDS else USAGE_KINDS.c.key_id
    found = select(rows.c.id, key_id, rows.c.started_at, labels, rows.c.request_id)
    if of != _BEFORE_KINDS:
        found = found.join_from(rows, USAGE_KINDS, USAGE_KINDS.c.id == rows.c.kind)
    return [Used(*row) for row in connection.execute(found.where(rows.c.id > after).order_by(rows.c.id).limit(WINDOW))]


def delete_used(ledger: Database, of: str, used: Sequence[Used], pause: Callable[[], None]) -> int:
    """Deletes requests of a table, their ratings, and labels that no other request has; returns the number of ratings.

    `pause` is called after each transaction.
    """
    ratings = 0
    for start in range(0, len(used), MOST_DELETED):
        part = used[start : start + MOST_DELETED]
        ratings += ledger.change(partial(_delete, of=of, used=part))
        pause()
    return ratings


def _delete(connection: Connection, of: str, used: Sequence[Used]) -> int:
    rows = table(of, column("id", BigInteger()))
    ids = [each.id for each in used]
    ratings = 0
    if of == USAGE_ENTRIES.name:
        ratings = connection.execute(delete(USAGE_RATINGS).where(USAGE_RATINGS.c.entry.in_(ids))).rowcount
    connection.execute(delete(rows).where(rows.c.id.in_(ids)))
    labels = sorted({each.labels for each in used if each.labels is not None})
    if labels:
        begin_erasing(connection)
        others = exists().where(USAGE_ENTRIES.c.labels == USAGE_LABELS.c.id)
        connection.execute(delete(USAGE_LABELS).where(USAGE_LABELS.c.id.in_(labels), ~others))
    return ratings


class Projects:
    """The projects of keys, which belong to one for good. Keys that are not known belong to none."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, connection: Connection, keys: set[str]) -> dict[str, str]:
        """Returns the project of each key; of those that have one."""
        new = sorted(keys.difference(self._known))
        if new:
            if len(self._known) + len(new) > _MOST_KEYS:
                self._known.clear()
                new = sorted(keys)
            found = select(API_KEYS.c.id, API_KEYS.c.project_id).where(API_KEYS.c.id.in_(new))
            self._known.update({id_: project for id_, project in connection.execute(found)})  # noqa: C416 - rows are typed
        return self._known


def windows(ledger: Database, of: str, after: int) -> Iterator[list[Used]]:
    """Yields all requests of a table from an id on, each window read in a transaction of its own."""
    while True:
        found = ledger.read(partial(window, of=of, after=after))
        if not found:
            return
        yield found
        after = found[-1].id
