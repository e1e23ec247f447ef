"""Allowances in the ledger: borrowing, settling, calling back, and the end of leases.

Allowances are locked one after another in the order of limit and window, by ingestion and by borrowers alike, so that
of two who need the same ones, one waits for the other, and never each for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import convert
from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, case, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from weebill.limits.counting import AMOUNT_OF, REFUSED, Counted, read
from weebill.limits.lending import Lease, Standing, lend
from weebill.limits.limit import Measure, Window
from weebill.limits.questions import Granted, Wanted
from weebill.limits.windows import MINUTE_S, kept_since, window_at
from weebill.storage.tables.limits import ALLOWANCES, BORROWERS, LEASES, LIMITS
from weebill.storage.tables.types import MOST
from weebill.storage.versions import ALLOWANCES_VERSION, raise_version
from weebill.usage.records import UsageRecord

HeldSums = dict[tuple[str, int], Counted]
"""By the ids of limits, as records have them, and the minute since 1970 in which the requests began."""

_MINUTE_US: Final = MINUTE_S * 1_000_000
_NOTHING: Final = Counted(0, 0, 0)
_NEVER: Final = -1  # the number of the last question of a borrower that has put none about a lease
_ALLOWANCE: Final = and_(ALLOWANCES.c.limit_id == bindparam("limit"), ALLOWANCES.c.start == bindparam("window"))
_LEASE: Final = and_(
    LEASES.c.limit_id == bindparam("limit"),
    LEASES.c.start == bindparam("window"),
    LEASES.c.borrower == bindparam("whose"),
)
_SETTLED: Final = select(ALLOWANCES.c.settled).where(_ALLOWANCE).with_for_update()
_LEASES_OF: Final = select(LEASES.c.borrower, LEASES.c.granted, LEASES.c.settled, LEASES.c.asked).where(
    LEASES.c.limit_id == bindparam("limit"), LEASES.c.start == bindparam("window")
)
_GRANT: Final = update(LEASES).where(_LEASE).values(granted=bindparam("grants"), asked=bindparam("number"))
_END: Final = delete(LEASES).where(_LEASE)


def _plus(column: ColumnElement[int], more: ColumnElement[int]) -> ColumnElement[int]:
    """Returns a sum up to `MOST`: nothing that an upstream reports may stop ingestion."""
    return case((column > MOST - more, MOST), else_=column + more)


_MORE: Final = bindparam("more", type_=ALLOWANCES.c.settled.type)
_SETTLE: Final = update(ALLOWANCES).where(_ALLOWANCE).values(settled=_plus(ALLOWANCES.c.settled, _MORE))
_SETTLE_LEASE: Final = update(LEASES).where(_LEASE).values(settled=_plus(LEASES.c.settled, _MORE))


class _Limit(NamedTuple):
    per: Window
    measure: Measure
    amount: int
    removed: bool


def borrow(connection: Connection, borrower: str, number: int, wanted: Sequence[Wanted]) -> list[Granted]:
    """Answers what a living borrower wants, whose questions have growing numbers."""
    limits = _limits(connection, {each.limit for each in wanted})
    granted, short = [], []
    for each in sorted(wanted, key=lambda each: (each.limit, each.start)):
        limit = limits.get(each.limit)
        if limit is None or limit.removed:
            granted.append(Granted(each.limit, each.start, 0, 0, 0, 0, gone=True))
            continue
        answer, is_short = _borrow(connection, borrower, number, each, limit)
        granted.append(answer)
        if is_short:
            short.append((each.limit, each.start))
    if short:
        version = raise_version(connection, ALLOWANCES_VERSION)
        rows = [{"limit": limit, "window": start, "version": version} for limit, start in short]
        connection.execute(update(ALLOWANCES).where(_ALLOWANCE).values(wanted_in=bindparam("version")), rows)
    return granted


def held_sums(records: Iterable[UsageRecord]) -> HeldSums:
    """Returns what records have used of the limits that they are held to."""
    sums: HeldSums = {}
    for record in records:
        group = record.held, record.started_at // _MINUTE_US
        requests, tokens, nano = sums.get(group, _NOTHING)
        sums[group] = Counted(
            requests + (record.outcome != REFUSED),
            tokens + record.prompt_tokens + record.completion_tokens,
            nano + (record.cost_nano or 0),
        )
    return sums


def settle(connection: Connection, borrower: str, sums: HeldSums) -> None:
    """Moves what ingested records have used from the leases of their writer to what is settled."""
    ids = {limit for held, _ in sums for limit in read(held)}
    limits = _limits(connection, ids)
    amounts: dict[tuple[int, int], int] = {}
    for (held, minute), used in sums.items():
        for limit_id in read(held):
            limit = limits.get(limit_id)
            if limit is None:
                continue
            amount = AMOUNT_OF[limit.measure](used)
            if amount:
                start, _ = window_at(limit.per, minute * MINUTE_S)
                amounts[limit_id, start] = min(MOST, amounts.get((limit_id, start), 0) + amount)
    for (limit_id, start), more in sorted(amounts.items()):
        row = {"limit": limit_id, "window": start, "more": more}
        if not connection.execute(_SETTLE, row).rowcount:
            _make(connection, limit_id, start, more)
        if not connection.execute(_SETTLE_LEASE, {**row, "whose": borrower}).rowcount:
            # Nothing was lent, as for an answer from the cache: the borrower has it in its sum all the same.
            _begin(connection, limit_id, start, borrower, Lease(0, more), _NEVER)


def release(connection: Connection, borrower: str) -> int:
    """Gives back all that a dead borrower held, once its records are settled; returns the number of leases."""
    lock_borrower(connection, borrower)
    connection.execute(delete(BORROWERS).where(BORROWERS.c.borrower == borrower))
    return connection.execute(delete(LEASES).where(LEASES.c.borrower == borrower)).rowcount


def lock_borrower(connection: Connection, borrower: str) -> None:
    """Has nobody else borrow by this name, or end its leases, until the end of the transaction."""
    if connection.dialect.name != "sqlite":  # which has one writer at a time
        from weebill.storage.postgresql.locks import lock

        lock(connection, f"leases of {borrower}")


def recall_all(connection: Connection, limit_id: int) -> None:
    """Calls back what is lent of a limit."""
    version = raise_version(connection, ALLOWANCES_VERSION)
    connection.execute(update(ALLOWANCES).where(ALLOWANCES.c.limit_id == limit_id).values(wanted_in=version))


def recalled_since(connection: Connection, version: int, most: int) -> list[int]:
    """Returns at most so many ids of limits of which somebody was short since a version."""
    found = select(ALLOWANCES.c.limit_id).where(ALLOWANCES.c.wanted_in > version).distinct().limit(most)
    return list(connection.scalars(found))


def held_of(leases: Table) -> ColumnElement[int]:
    """Returns what leases hold, as `weebill.limits.lending.Lease` has it."""
    return case((leases.c.granted > leases.c.settled, leases.c.granted - leases.c.settled), else_=0)


def _borrow(connection: Connection, borrower: str, number: int, wanted: Wanted, limit: _Limit) -> tuple[Granted, bool]:
    at = {"limit": wanted.limit, "window": wanted.start}
    settled = connection.scalar(_SETTLED, at)
    if settled is None:
        _forget_old(connection, wanted.limit, kept_since(limit.per, wanted.start))
        _make(connection, wanted.limit, wanted.start, 0)
        settled = connection.execute(_SETTLED, at).scalar_one()
    lent, others, own, asked = 0, 0, None, _NEVER
    for whose, granted, used, last in connection.execute(_LEASES_OF, at):
        if whose == borrower:
            own, asked = Lease(granted, used), last
        else:
            lent += Lease(granted, used).held
            others += 1
    lease = own or Lease()
    if wanted.ended_at and asked < 0:  # the answer was lost
        left = max(0, limit.amount - settled - lent)
        return Granted(wanted.limit, wanted.start, 0, left, lent, limit.amount, gone=True), False
    if asked >= number:  # overtaken
        left = max(0, limit.amount - settled - lent - lease.held)
        return Granted(wanted.limit, wanted.start, lease.granted, left, lent, limit.amount), False
    if wanted.ended and lease.settled >= wanted.used:
        connection.execute(_END, {**at, "whose": borrower})
        left = max(0, limit.amount - settled - lent)
        return Granted(wanted.limit, wanted.start, 0, left, lent, limit.amount, gone=True), False
    standing = Standing(limit.amount, settled, lent, others)
    loan = lend(standing, lease, wanted.used, wanted.need, wanted.least)
    if own is None:
        _begin(connection, wanted.limit, wanted.start, borrower, Lease(loan.granted), number)
    else:
        connection.execute(_GRANT, {**at, "whose": borrower, "grants": loan.granted, "number": number})
    answer = Granted(wanted.limit, wanted.start, loan.granted, loan.available, lent, limit.amount)
    return answer, bool(lent) and loan.granted < wanted.used + wanted.need


def _begin(connection: Connection, limit_id: int, start: int, borrower: str, lease: Lease, number: int) -> None:
    row = {"limit_id": limit_id, "start": start, "borrower": borrower}
    connection.execute(insert(LEASES).values(**row, granted=lease.granted, settled=lease.settled, asked=number))


def _make(connection: Connection, limit_id: int, start: int, settled: int) -> None:
    """Makes an allowance, or adds to one that another machine has made meanwhile."""
    row = {"limit_id": limit_id, "start": start, "settled": settled, "wanted_in": 0}
    try:
        with connection.begin_nested():
            connection.execute(insert(ALLOWANCES).values(**row))
    except IntegrityError:
        connection.execute(_SETTLE, {"limit": limit_id, "window": start, "more": settled})


def _forget_old(connection: Connection, limit_id: int, before: int) -> None:
    """Deletes the windows of a limit whose records are all in the ledger by now."""
    connection.execute(delete(LEASES).where(LEASES.c.limit_id == limit_id, LEASES.c.start < before))
    connection.execute(delete(ALLOWANCES).where(ALLOWANCES.c.limit_id == limit_id, ALLOWANCES.c.start < before))


def _limits(connection: Connection, ids: set[int]) -> Mapping[int, _Limit]:
    columns = (LIMITS.c.id, LIMITS.c.per, LIMITS.c.measure, LIMITS.c.amount, LIMITS.c.removed_at)
    found = connection.execute(select(*columns).where(LIMITS.c.id.in_(sorted(ids))))
    return {id_: convert((per, measure, amount, at is not None), _Limit) for id_, per, measure, amount, at in found}
