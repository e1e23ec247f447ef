"""For how long single requests are kept, by project. Roll-ups stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from weebill.accounts.audit import Act, command_line
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.tables.ledger import USAGE_RETENTION
from weebill.storage.tables.ratings import RATINGS_WAITING
from weebill.storage.usage_deletion import Projects, Used, delete_used, tables_of, windows

EVERYWHERE: Final = ""
"""Stands for all projects that have no rule of their own, and for requests whose key is not known any more."""
COUNTS_ONLY: Final = 0
MOST_DAYS: Final = 36_500
_LONGEST_UNFOUND_S: Final = 180  # in which a rating is looked for more than once
_DAY_US: Final = 86_400_000_000
_US: Final = 1_000_000


def rules(connection: Connection) -> dict[str, int]:
    """Returns for how many days each project's requests are kept; those without a rule keep them for good."""
    found = select(USAGE_RETENTION.c.project_id, USAGE_RETENTION.c.days).order_by(USAGE_RETENTION.c.project_id)
    return {project: days for project, days in connection.execute(found)}  # noqa: C416 - rows are typed


def set_rule(connection: Connection, project: str, days: int | None) -> None:
    """Sets for how many days a project's requests are kept: `COUNTS_ONLY` for none at all, None for good.

    The act is recorded as of whoever runs this process.
    """
    before = rules(connection).get(project)
    connection.execute(delete(USAGE_RETENTION).where(USAGE_RETENTION.c.project_id == project))
    if days is not None:
        connection.execute(insert(USAGE_RETENTION).values(project_id=project, days=days))
    target = project or "all other projects"
    act = Act(action="retention.changed", target=target, before={"days": before}, after={"days": days})
    record(connection, command_line(), act)


class Sweeper:
    """Deletes the requests that are not to be kept any more. Belongs to one thread.

    It remembers for each rule up to where all is deleted, so that a sweep looks at each request once and not at those
    that are kept for long. After a restart it begins anew. `pause` is called after each transaction.
    """

    def __init__(self, ledger: Database, pause: Callable[[], None]) -> None:
        self._ledger = ledger
        self._pause = pause
        self._projects = Projects()
        self._source = ""
        self._done: dict[tuple[str, str, int], int] = {}

    def sweep(self, now: float | None = None) -> int:
        """Deletes what is due; returns the number of requests. Raises LedgerError."""
        at_us = int((time.time() if now is None else now) * _US)
        source, known = self._ledger.read(lambda connection: (self._ledger.source(connection), rules(connection)))
        if not known:
            return 0
        if source != self._source:
            self._done.clear()
            self._source = source
        count = 0
        for of in self._ledger.read(tables_of):
            for project, days in known.items():
                count += self._sweep(of, project, days, known, at_us)
        self._forget_ratings(known, at_us // _US)
        return count

    def _forget_ratings(self, known: Mapping[str, int], now: int) -> None:
        """Drops ratings that wait for requests which are not kept: these are found at once, or gone."""
        project = RATINGS_WAITING.c.project_id
        for name in (name for name, days in known.items() if days == COUNTS_ONLY):
            of = project == name if name != EVERYWHERE else project.not_in(sorted(known.keys() - {EVERYWHERE}))
            unfound = of & (RATINGS_WAITING.c.since < now - _LONGEST_UNFOUND_S)
            # Mostly there are none, and a change wakes others.
            if self._ledger.read(partial(_any_waiting, of=unfound)):
                self._ledger.change(partial(_forget_waiting, of=unfound))
                self._pause()

    def _sweep(self, of: str, project: str, days: int, known: Mapping[str, int], now_us: int) -> int:
        place = (of, project, days)
        count, last_us = 0, 0
        for found in windows(self._ledger, of, self._done.get(place, 0)):
            of_project = self._of_project(found, project, known)
            due, kept, last_us = _due(of_project, now_us, now_us - days * _DAY_US, last_us)
            delete_used(self._ledger, of, due, self._pause)
            count += len(due)
            self._done[place] = found[-1].id if kept is None else kept.id - 1
            if kept is not None:
                break
            if not due:
                self._pause()
        return count

    def _of_project(self, found: list[Used], project: str, known: Mapping[str, int]) -> list[Used]:
        keys = {each.key_id for each in found}
        projects = self._ledger.read(lambda connection: dict(self._projects.of(connection, keys)))
        if project != EVERYWHERE:
            return [each for each in found if projects.get(each.key_id) == project]
        return [each for each in found if projects.get(each.key_id, EVERYWHERE) not in known.keys() - {EVERYWHERE}]


def _any_waiting(connection: Connection, of: ColumnElement[bool]) -> bool:
    return connection.execute(select(RATINGS_WAITING.c.since).where(of).limit(1)).first() is not None


def _forget_waiting(connection: Connection, of: ColumnElement[bool]) -> None:
    connection.execute(delete(RATINGS_WAITING).where(of))


def _due(found: list[Used], now_us: int, before_us: int, last_us: int) -> tuple[list[Used], Used | None, int]:
    """Returns the requests that began before that time, the first one that did not, and when the last one began.

    One from a clock that was ahead is as old as the one before it: else it would be in the way for good.
    """
    due: list[Used] = []
    first_kept: Used | None = None
    for each in found:
        last_us = each.started_at if each.started_at <= now_us else last_us or before_us
        if last_us < before_us or before_us >= now_us:
            due.append(each)
        elif first_kept is None:
            first_kept = each
    return due, first_kept, last_us
