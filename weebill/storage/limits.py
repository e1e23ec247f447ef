"""Limits in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

from msgspec import structs
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, and_, func, insert, select, update

from weebill.accounts.audit import Act, Author, changed, command_line
from weebill.accounts.permissions import Reach
from weebill.limits.limit import Level, Limit, Measure, SeveralSubjectsError, UnknownLimitError, Window, level_of
from weebill.limits.setting import LimitTable
from weebill.limits.windows import DAY_S, window_at
from weebill.storage.allowances import held_of, recall_all
from weebill.storage.audit import EXEMPT, record
from weebill.storage.database import Database
from weebill.storage.reach import limits_within, stops_within
from weebill.storage.tables.ledger import API_KEYS, USAGE_DAILY
from weebill.storage.tables.limits import ALLOWANCES, LEASES, LIMITS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS, USERS
from weebill.storage.tables.types import MOST
from weebill.storage.targets import targets_of
from weebill.storage.versions import KEYS_VERSION, raise_version

T = TypeVar("T")

_IN_FORCE: Final = LIMITS.c.removed_at.is_(None)
_FIELDS: Final = (
    LIMITS.c.id, LIMITS.c.subject, LIMITS.c.measure, LIMITS.c.per, LIMITS.c.amount, LIMITS.c.model,
    LIMITS.c.created_at, LIMITS.c.changed_at,
)  # fmt: skip
LABELLED: Final = tuple([column.label(f"limit_{column.name}") for column in _FIELDS])
"""A limit's columns, beside others of the same names."""


class StoredLimits:
    """The `LimitBook` of `weebill.limits.setting`; changes are by `author`, by default whoever runs this process.

    Limits that are not within `reach`, if it is given, are not listed; those of hard stops are not there unless the
    credits are within `credits_reach`.
    """

    def __init__(
        self,
        ledger: Database,
        author: Author | None = None,
        reach: Reach | None = None,
        credits_reach: Reach | None = None,
    ) -> None:
        self._ledger = ledger
        self._author = author or command_line()
        self._reaches = reach, credits_reach

    def read(self, query: Callable[[LimitTable], T]) -> T:
        """Returns the result of `query` on the limits as they are at one moment."""
        return self._ledger.read(lambda connection: query(LimitRows(connection, self._author, *self._reaches)))

    def change(self, change: Callable[[LimitTable], T]) -> T:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(LimitRows(connection, self._author, *self._reaches)))


class LimitRows:
    """The `LimitTable` of `weebill.limits.setting`, within a transaction.

    Workers hear of a changed limit as of a change of the keys that it is of (`KEYS_VERSION`). Changes are by `author`;
    without one, they follow from something else, and are nobody's act.
    """

    def __init__(
        self,
        connection: Connection,
        author: Author | None = None,
        reach: Reach | None = None,
        credits_reach: Reach | None = None,
    ) -> None:
        self._connection = connection
        self._within = () if reach is None else (limits_within(reach),)
        self._shown = () if credits_reach is None else (stops_within(credits_reach),)
        self._author = author
        self._options = EXEMPT if author is None else {}

    def subject(self, id_or_name: str) -> str:
        """Returns the id of an organisation, a project, a user or a key, or of a key by its name."""
        for table in _TABLES.values():
            found = self._connection.scalar(select(table.c.id).where(table.c.id == id_or_name))
            if found is not None:
                return str(found)
        named = select(API_KEYS.c.id).where(API_KEYS.c.name == id_or_name, API_KEYS.c.revoked_at.is_(None))
        ids = self._connection.scalars(named).all()
        if not ids:
            raise UnknownLimitError(f"There is nobody with the id or name {id_or_name!r}.")
        if len(ids) > 1:
            raise SeveralSubjectsError(f"{len(ids)} active keys are named {id_or_name!r}: name one by its id.")
        return ids[0]

    def in_force(self, subject: str | None, after: int, most: int) -> list[Limit]:
        """Returns at most so many limits that are not removed, after an id, of one subject alone if it is given."""
        of_subject = () if subject is None else (LIMITS.c.subject == subject,)
        return self._found(LIMITS.c.id > after, *of_subject, *self._within, most=most)

    def find(self, limit_id: int) -> Limit | None:
        """Returns a limit that is not removed."""
        return next(iter(self._found(LIMITS.c.id == limit_id)), None)

    def add(self, limit: Limit) -> Limit:
        """Stores a limit under the next id."""
        row = {
            "subject": limit.subject,
            "model": limit.model,
            "measure": limit.measure,
            "per": limit.window,
            "amount": limit.amount,
            "created_at": limit.created_at,
            "changed_at": limit.changed_at,
        }
        made = insert(LIMITS).values(**row).returning(LIMITS.c.id).execution_options(**self._options)
        [id_] = self._connection.execute(made).one()
        start, _ = window_at(limit.window, limit.created_at)
        used = 0 if limit.model or limit.window == "minute" else self._used(limit, start)
        first = {"limit_id": id_, "start": start, "settled": used, "wanted_in": 0}
        self._connection.execute(insert(ALLOWANCES).values(**first))
        self._tell(limit.subject)
        stored = structs.replace(limit, id=id_)
        self._record("created", stored, None, structs.asdict(stored))
        return stored

    def set_amount(self, limit_id: int, amount: int, now: int) -> None:
        """Gives a limit another amount; what is lent of it is called back."""
        self._change("changed", limit_id, amount=amount, changed_at=now)
        recall_all(self._connection, limit_id)

    def remove(self, limit_id: int, now: int) -> None:
        """Takes a limit out of force, which may be set again, as another one. Raises UnknownLimitError."""
        self._change("removed", limit_id, removed_at=now)

    def standing(self, limit_id: int, start: int) -> tuple[int, int]:
        """Returns what is settled and lent of a limit in the window from `start` on."""
        mine = (ALLOWANCES.c.limit_id == limit_id, ALLOWANCES.c.start == start)
        settled = self._connection.scalar(select(ALLOWANCES.c.settled).where(*mine))
        lent = select(func.coalesce(func.sum(held_of(LEASES)), 0))
        lent = lent.where(LEASES.c.limit_id == limit_id, LEASES.c.start == start)
        return settled or 0, int(self._connection.execute(lent).scalar_one())

    def _change(self, act: str, limit_id: int, **values: int) -> None:
        before = self.find(limit_id)
        updated = update(LIMITS).where(LIMITS.c.id == limit_id, _IN_FORCE).values(**values)
        changed_rows = self._connection.execute(updated.execution_options(**self._options)).rowcount
        if before is None or not changed_rows:  # another has removed it meanwhile
            raise UnknownLimitError.of(limit_id)
        self._tell(before.subject)
        after = self.find(limit_id)
        changes = (structs.asdict(before), None) if after is None else changed(before, after)
        self._record(act, before, *changes)

    def _record(
        self, act: str, limit: Limit, before: Mapping[str, object] | None, after: Mapping[str, object] | None
    ) -> None:
        if self._author is None:
            return
        # Limits of a user are of all its organisations, so of none of them alone.
        organisations = {target.organisation_id for target in targets_of(self._connection, {"subject": limit.subject})}
        of = organisations.pop() if len(organisations) == 1 else None
        entry = Act(
            action=f"limit.{act}", target=f"{limit.subject}/{limit.id}", organisation_id=of, before=before, after=after
        )
        record(self._connection, self._author, entry)

    def _tell(self, subject: str) -> None:
        version = raise_version(self._connection, KEYS_VERSION)
        table = _TABLES[level_of(subject)]
        told = update(table).where(table.c.id == subject).values(changed_in=version)
        self._connection.execute(told.execution_options(**self._options))

    def _used(self, limit: Limit, start: int) -> int:
        """Returns what the ledger has of the subject's usage, of whole days; requests count from now on."""
        if limit.measure not in ("tokens", "spend"):
            return 0
        summed = (
            USAGE_DAILY.c.cost_nano
            if limit.measure == "spend"
            else USAGE_DAILY.c.prompt_tokens + USAGE_DAILY.c.completion_tokens
        )
        found = self._connection.execute(
            select(func.coalesce(func.sum(summed), 0))
            .where(USAGE_DAILY.c.day >= start // DAY_S)
            .where(USAGE_DAILY.c.key_id.in_(_KEYS_OF[level_of(limit.subject)](limit.subject)))
        )
        return min(MOST, int(found.scalar_one()))

    def _found(self, *conditions: ColumnElement[bool], most: int = 1) -> list[Limit]:
        found = select(*_FIELDS).where(_IN_FORCE, *self._shown, *conditions).order_by(LIMITS.c.id).limit(most)
        return [_limit(*row) for row in self._connection.execute(found)]


def of_subjects(*subjects: ColumnElement[str] | ColumnElement[str | None]) -> ColumnElement[bool]:
    """Returns the condition by which limits in force are joined to those that they are of."""
    return and_(_IN_FORCE, LIMITS.c.subject.in_(subjects))


def limit_in(row: RowMapping) -> Limit | None:
    """Returns the limit among the columns `LABELLED` of a row, None if nothing was joined."""
    if row[LABELLED[0].name] is None:
        return None
    return _limit(*(row[column.name] for column in LABELLED))


def _limit(
    id_: int, subject: str, measure: str, per: str, amount: int, model: str, created_at: int, changed_at: int
) -> Limit:
    return Limit(
        id=id_, subject=subject, measure=cast("Measure", measure), window=cast("Window", per), amount=amount,
        model=model, created_at=created_at, changed_at=changed_at,
    )  # fmt: skip


_TABLES: Final[dict[Level, Table]] = {
    "key": API_KEYS,
    "project": PROJECTS,
    "organisation": ORGANISATIONS,
    "user": USERS,
}
_KEY: Final = API_KEYS.c
_KEYS_OF: Final[dict[Level, Callable[[str], Select[str]]]] = {
    "key": lambda subject: select(_KEY.id).where(_KEY.id == subject),
    "project": lambda subject: select(_KEY.id).where(_KEY.project_id == subject),
    "organisation": lambda subject: (
        select(_KEY.id).join(PROJECTS, PROJECTS.c.id == _KEY.project_id).where(PROJECTS.c.organisation_id == subject)
    ),
    "user": lambda subject: select(_KEY.id).where(_KEY.user_id == subject),
}
