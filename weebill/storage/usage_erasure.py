"""Erases what is kept of the requests of an organisation, a project or an end user. Sums of others stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select

from weebill.accounts.audit import Author
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.end_users import is_within
from weebill.storage.label_rows import begin_erasing
from weebill.storage.outcomes_of_requests import forget_outcomes
from weebill.storage.ratings import forget_waiting
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
from weebill.storage.tenant_stores import Stores, Tenant, keys_of, projects_of
from weebill.storage.usage_deletion import MOST_DELETED, Projects, Used, delete_used, tables_of, windows

_NOT_REACHED: Final = (
    "backups of the ledger that were made before",
    "files that were exported before",
    "requests that wait in a journal, some seconds of them as a rule",
    "what the learner of another machine keeps of requests to `auto`",
    "the sums of keys and models, which name nobody",
)
_RATINGS_STAY: Final = "ratings whose requests were not found, of the last day: erase those of a project"
_ANSWERS_STAY: Final = "stored answers, which do not say whom they were made for: erase those of a project"

_SERIES_AT_ONCE: Final = 10  # each has a sum for every hour with usage


@dataclass(slots=True)
class Erased:
    """The numbers of what was erased: requests, ratings, whether or not their requests were found, stored answers, and
    ratings and audits that the learner had.
    """

    requests: int = 0
    ratings: int = 0
    answers: int = 0
    outcomes: int = 0


def not_reached(tenant: Tenant) -> list[str]:
    """Returns what erasing a tenant's data leaves, in words."""
    return [*_NOT_REACHED, *([_ANSWERS_STAY, _RATINGS_STAY] if tenant.kind == "end_user" else [])]


def erase(stores: Stores, tenant: Tenant, author: Author, pause: Callable[[], None], erased: Erased) -> None:
    """Deletes all requests of a tenant, what the learner has of them, the sums of its end users and tags, and stored
    answers of its keys; counts them in `erased`. An act of `author`.

    `pause` is called after each transaction; if it raises, the rest may be erased later. Of an end user, requests that
    are recorded meanwhile may stay, so that this ends however many come. Raises LedgerError, StoreError.
    """
    stores.ledger.change(partial(record, author=author, act=tenant.act("usage.erase")))
    if tenant.kind == "end_user":
        _erase_end_user(stores, tenant, erased, pause)
    else:
        _erase_projects(stores, stores.ledger.read(partial(projects_of, tenant=tenant)), erased, pause)


def _erase_projects(stores: Stores, projects: Collection[str], erased: Erased, pause: Callable[[], None]) -> None:
    ledger = stores.ledger
    known_projects = Projects()
    for of in ledger.read(tables_of):
        for found in windows(ledger, of, 0):
            known = ledger.read(partial(known_projects.of, keys={each.key_id for each in found}))
            mine = [each for each in found if known.get(each.key_id) in projects]
            _erase_used(stores, of, mine, erased, pause)
            pause()
    for project in sorted(projects):
        erased.ratings += ledger.change(partial(forget_waiting, project=project))
        of_project = select(API_KEYS.c.id).where(API_KEYS.c.project_id == project)
        series = select(USAGE_SERIES.c.id).where(USAGE_SERIES.c.key_id.in_(of_project))
        _erase_sums(ledger, USAGE_LABEL_SERIES.c.series.in_(series), pause)
        store = ResponseStore(stores.responses)
        for key in ledger.read(partial(keys_of, project=project)):
            erased.answers += store.forget(key)
            pause()


def _erase_end_user(stores: Stores, tenant: Tenant, erased: Erased, pause: Callable[[], None]) -> None:
    ledger = stores.ledger
    last = _last(ledger, USAGE_ENTRIES)
    while found := ledger.read(partial(_requests_of, tenant=tenant, last=last)):
        _erase_used(stores, USAGE_ENTRIES.name, found, erased, pause)
    series = select(USAGE_SERIES.c.id).where(_is_of(tenant, USAGE_SERIES.c.key_id))
    named = (USAGE_LABEL_SERIES.c.name == END_USER) & (USAGE_LABEL_SERIES.c.value == tenant.id)
    _erase_sums(ledger, named & USAGE_LABEL_SERIES.c.series.in_(series), pause)


def _erase_used(stores: Stores, of: str, used: Sequence[Used], erased: Erased, pause: Callable[[], None]) -> None:
    """Erases requests, and before them what is found by them."""
    if stores.outcomes is not None:
        erased.outcomes += forget_outcomes(stores.outcomes, [each.request_id for each in used])
    erased.ratings += delete_used(stores.ledger, of, used, pause)
    erased.requests += len(used)


def _requests_of(connection: Connection, tenant: Tenant, last: int) -> list[Used]:
    entries = USAGE_ENTRIES.c
    found = (
        select(entries.id, USAGE_KINDS.c.key_id, entries.started_at, entries.labels, entries.request_id)
        .join_from(USAGE_LABELS, USAGE_ENTRIES, entries.labels == USAGE_LABELS.c.id)
        .join(USAGE_KINDS, USAGE_KINDS.c.id == entries.kind)
        .where(USAGE_LABELS.c.end_user == tenant.id, _is_of(tenant, USAGE_KINDS.c.key_id), entries.id <= last)
        .limit(MOST_DELETED)
    )
    return [Used(*row) for row in connection.execute(found)]


def _is_of(tenant: Tenant, key_id: ColumnElement[str]) -> ColumnElement[bool]:
    return is_within(key_id, tenant.organisation, tenant.project, or_nobodys=tenant.or_nobodys)


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
