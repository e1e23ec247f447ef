"""Machines that hold parts of allowances, in the ledger: which workers have leases, and when they were heard of."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import NamedTuple, TypeVar

from sqlalchemy import BigInteger, Connection, cast, delete, exists, func, insert, select, update

from weebill.accounts.audit import Act, Author, command_line
from weebill.limits.machines import Machine, MachineTable
from weebill.storage.allowances import held_of
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.tables.limits import ALLOWANCES, BORROWERS, LEASES, LIMITS
from weebill.storage.versions import ALLOWANCES_VERSION, raise_version

T = TypeVar("T")

_HAS_LEASE = exists().where(LEASES.c.borrower == BORROWERS.c.borrower)


class _Workers(NamedTuple):
    silent: bool
    number: int
    heard_at: int


class StoredMachines:
    """The `MachineBook` of `weebill.limits.machines`; releases are by `author`, by default whoever runs the process."""

    def __init__(self, ledger: Database, author: Author | None = None) -> None:
        self._ledger = ledger
        self._author = author or command_line()

    def read(self, query: Callable[[MachineTable], T]) -> T:
        """Returns the result of `query` on the machines as they are at one moment."""
        return self._ledger.read(lambda connection: query(MachineRows(connection, self._author)))

    def change(self, change: Callable[[MachineTable], T]) -> T:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(MachineRows(connection, self._author)))


class MachineRows:
    """The `MachineTable` of `weebill.limits.machines`, within a transaction."""

    def __init__(self, connection: Connection, author: Author) -> None:
        self._connection = connection
        self._author = author

    def now(self) -> int:
        """Returns the database's time, in Unix seconds."""
        return now(self._connection)

    def machines(self, silent_since: int, name: str | None = None) -> list[Machine]:
        """Returns the machines whose workers have leases, or that of a name; those not heard of since are silent."""
        of_name = [] if name is None else [BORROWERS.c.machine == name]
        silent = BORROWERS.c.heard_at < silent_since
        counted = (
            select(BORROWERS.c.machine, silent.label("silent"), func.count(), func.max(BORROWERS.c.heard_at))
            .where(_HAS_LEASE, BORROWERS.c.released_at.is_(None), *of_name)
            .group_by(BORROWERS.c.machine, silent)
            .order_by(BORROWERS.c.machine)
        )
        held = (
            select(BORROWERS.c.machine, silent.label("silent"), LIMITS.c.measure, func.sum(held_of(LEASES)))
            .join(LEASES, LEASES.c.borrower == BORROWERS.c.borrower)
            .join(LIMITS, LIMITS.c.id == LEASES.c.limit_id)
            .where(*of_name)
            .group_by(BORROWERS.c.machine, silent, LIMITS.c.measure)
            .having(func.sum(held_of(LEASES)) > 0)
        )
        sums: dict[tuple[str, bool], dict[str, int]] = defaultdict(dict)
        for machine, is_silent, measure, amount in self._connection.execute(held):
            sums[machine, bool(is_silent)][measure] = int(amount)
        found: dict[str, list[_Workers]] = defaultdict(list)
        for machine, is_silent, number, heard_at in self._connection.execute(counted):
            found[machine].append(_Workers(bool(is_silent), number, heard_at))
        return [
            Machine(
                name=machine,
                heard_at=max(each.heard_at for each in workers),
                workers=sum(each.number for each in workers),
                silent=sum(each.number for each in workers if each.silent),
                held=_added(sums[machine, False], sums[machine, True]),
                held_silently=sums[machine, True],
            )
            for machine, workers in found.items()
        ]

    def release(self, machine: Machine, silent_since: int) -> None:
        """Takes back what silent workers of a machine hold.

        Their leases stay, and hold nothing: so whoever comes back is told so, and has its records settled. They are
        called back, too, for workers that run on where the ledger cannot be reached.
        """
        silent = (
            BORROWERS.c.machine == machine.name,
            BORROWERS.c.heard_at < silent_since,
            BORROWERS.c.released_at.is_(None),
        )
        of_silent = LEASES.c.borrower.in_(select(BORROWERS.c.borrower).where(*silent))
        keys = select(LEASES.c.limit_id, LEASES.c.start).where(of_silent).distinct()
        version = raise_version(self._connection, ALLOWANCES_VERSION)
        # In the order in which everybody locks them.
        for limit_id, start in self._connection.execute(keys.order_by(LEASES.c.limit_id, LEASES.c.start)).all():
            of_one = (LEASES.c.limit_id == limit_id, LEASES.c.start == start)
            allowance = (ALLOWANCES.c.limit_id == limit_id, ALLOWANCES.c.start == start)
            self._connection.execute(update(ALLOWANCES).where(*allowance).values(wanted_in=version))
            taken = update(LEASES).where(*of_one, of_silent, LEASES.c.granted > LEASES.c.settled)
            self._connection.execute(taken.values(granted=LEASES.c.settled))
        self._connection.execute(update(BORROWERS).where(*silent).values(released_at=self.now()))
        act = Act(
            action="limit.released",
            target=machine.name,
            before={"workers": machine.silent, "heard_at": machine.heard_at, "held": machine.held_silently},
        )
        record(self._connection, self._author, act)


def note_borrower(connection: Connection, machine: str, borrower: str) -> str:
    """Notes that a worker of a machine begins to borrow, unless that is known; returns its account."""
    if hear_of(connection, machine, [borrower]):
        return account_of(connection, borrower) or ""
    account = secrets.token_hex(4)
    values = {"borrower": borrower, "machine": machine, "heard_at": now(connection), "account": account}
    connection.execute(insert(BORROWERS).values(**values))
    return account


def account_of(connection: Connection, borrower: str) -> str | None:
    """Returns the account of a borrower; None for one that is not known, or whose leases were ended."""
    return connection.scalar(select(BORROWERS.c.account).where(BORROWERS.c.borrower == borrower))


def hear_of(connection: Connection, machine: str, borrowers: Collection[str]) -> list[int | None]:
    """Notes that borrowers have their journals on a machine; returns, for each that is known, when what it held was
    released, None if it was not.
    """
    mine = BORROWERS.c.borrower.in_(sorted(borrowers))
    found = connection.scalars(select(BORROWERS.c.released_at).where(mine).with_for_update()).all()
    if found:
        values = {"heard_at": now(connection), "machine": machine, "released_at": None}
        connection.execute(update(BORROWERS).where(mine).values(**values))
    return list(found)


def are_known(connection: Connection, borrowers: Collection[str]) -> bool:
    """True if any of these has borrowed."""
    mine = BORROWERS.c.borrower.in_(sorted(borrowers))
    return connection.scalar(select(BORROWERS.c.borrower).where(mine).limit(1)) is not None


def forget_gone(connection: Connection, before: int) -> None:
    """Forgets borrowers that nobody has heard of since a time, and that hold nothing."""
    gone = select(BORROWERS.c.borrower).where(BORROWERS.c.heard_at < before)
    holding = select(LEASES.c.borrower).where(LEASES.c.granted > LEASES.c.settled)
    names = connection.scalars(gone.where(BORROWERS.c.borrower.not_in(holding))).all()
    connection.execute(delete(LEASES).where(LEASES.c.borrower.in_(names)))
    connection.execute(delete(BORROWERS).where(BORROWERS.c.borrower.in_(names)))


def now(connection: Connection) -> int:
    """Returns the database's time, in Unix seconds."""
    if connection.dialect.name == "sqlite":
        return int(time.time())
    return connection.execute(select(cast(func.extract("epoch", func.now()), BigInteger))).scalar_one()


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {measure: one.get(measure, 0) + other.get(measure, 0) for measure in sorted({*one, *other})}
