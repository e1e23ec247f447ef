"""Erases what is kept of a project's or an end user's requests: records, labels and answers. Sums of others stay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select

from weebill.accounts.audit import Act, command_line
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.label_rows import begin_erasing
from weebill.storage.responses import ResponseStore
from weebill.storage.rollups import END_USER
from weebill.storage.tables.ledger import (
    API_KEYS,
    USAGE_ENTRIES,
    USAGE_KINDS,
    USAGE_LABEL_SERIES,
    USAGE_LABEL_SUMS,
    USAGE_LABELS,
    USAGE_SERIES,
)
from weebill.storage.usage_deletion import MOST_DELETED, Projects, Used, delete_used, tables_of, windows

_SERIES_AT_ONCE: Final = 10  # each has a sum for every hour with usage


def erase_project(ledger: Database, responses: Database, project: str, pause: Callable[[], None]) -> tuple[int, int]:
    """Deletes all requests of a project's keys, the sums of its end users and tags, and its stored answers.

    Returns the numbers of requests and of answers. The sums of keys and models stay. Raises LedgerError.
    """
    ledger.change(partial(record, author=command_line(), act=Act(action="usage.erase", target=project)))
    projects = Projects()
    requests = 0
    for of in ledger.read(tables_of):
        for found in windows(ledger, of, 0):
            known = ledger.read(partial(projects.of, keys={each.key_id for each in found}))
            mine = [each for each in found if known.get(each.key_id) == project]
            delete_used(ledger, of, mine, pause)
            requests += len(mine)
    keys_of = select(API_KEYS.c.id).where(API_KEYS.c.project_id == project)
    series = select(USAGE_SERIES.c.id).where(USAGE_SERIES.c.key_id.in_(keys_of))
    _erase_sums(ledger, USAGE_LABEL_SERIES.c.series.in_(series), pause)
    store = ResponseStore(responses)
    return requests, sum(store.forget(key) for key in ledger.read(lambda each: list(each.scalars(keys_of))))


def erase_end_user(ledger: Database, end_user: str, pause: Callable[[], None]) -> int:
    """Deletes all requests that were made for an end user, and the sums of these; returns the number of requests.

    Those that are recorded meanwhile may stay, so that this ends however many come. The sums of keys and models stay.
    Raises LedgerError.
    """
    # Whose they were is what is to be erased.
    ledger.change(partial(record, author=command_line(), act=Act(action="usage.erase", target="an end user")))
    last = _last(ledger, USAGE_ENTRIES)
    count = 0
    while found := ledger.read(partial(_requests_of, end_user=end_user, last=last)):
        delete_used(ledger, USAGE_ENTRIES.name, found, pause)
        count += len(found)
    condition = (USAGE_LABEL_SERIES.c.name == END_USER) & (USAGE_LABEL_SERIES.c.value == end_user)
    _erase_sums(ledger, condition, pause)
    return count


def _requests_of(connection: Connection, end_user: str, last: int) -> list[Used]:
    entries = USAGE_ENTRIES.c
    found = (
        select(entries.id, USAGE_KINDS.c.key_id, entries.started_at, entries.labels)
        .join_from(USAGE_LABELS, USAGE_ENTRIES, entries.labels == USAGE_LABELS.c.id)
        .join(USAGE_KINDS, USAGE_KINDS.c.id == entries.kind)
        .where(USAGE_LABELS.c.end_user == end_user, entries.id <= last)
        .limit(MOST_DELETED)
    )
    return [Used(*row) for row in connection.execute(found)]


def _last(ledger: Database, table: Table) -> int:
    """Returns the id of the newest row, 0 if there is none."""
    return ledger.read(lambda connection: connection.scalar(select(func.max(table.c.id)))) or 0


def _erase_sums(ledger: Database, condition: ColumnElement[bool], pause: Callable[[], None]) -> None:
    known = USAGE_LABEL_SERIES.c.id <= _last(ledger, USAGE_LABEL_SERIES)
    while ledger.change(partial(_erase_some, condition=condition & known)):
        pause()


def _erase_some(connection: Connection, condition: ColumnElement[bool]) -> bool:
    series = list(connection.scalars(select(USAGE_LABEL_SERIES.c.id).where(condition).limit(_SERIES_AT_ONCE)))
    if series:
        begin_erasing(connection)
        connection.execute(delete(USAGE_LABEL_SUMS).where(USAGE_LABEL_SUMS.c.label_series.in_(series)))
        connection.execute(delete(USAGE_LABEL_SERIES).where(USAGE_LABEL_SERIES.c.id.in_(series)))
    return bool(series)
