"""Checks that the ledger of credits adds up: by all of its rows, which takes as long as there are rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from weebill.billing.money import dollars
from weebill.billing.transactions import NO_LOT
from weebill.storage.tables.credits import (
    CREDIT_ENTRIES,
    CREDIT_LOTS,
    CREDIT_STANDINGS,
    CREDIT_TRANSACTIONS,
    CREDIT_USAGE,
)

_BATCH: Final = 5000
_MOST_PROBLEMS: Final = 100
_ROWS: Final = (
    select(
        CREDIT_TRANSACTIONS.c.id,
        CREDIT_TRANSACTIONS.c.name,
        CREDIT_TRANSACTIONS.c.organisation,
        CREDIT_TRANSACTIONS.c.amount_nano,
        CREDIT_TRANSACTIONS.c.balance_nano,
        CREDIT_ENTRIES.c.account,
        CREDIT_ENTRIES.c.lot,
        CREDIT_ENTRIES.c.amount_nano.label("entry_nano"),
    )
    .join_from(
        CREDIT_TRANSACTIONS, CREDIT_ENTRIES, CREDIT_TRANSACTIONS.c.id == CREDIT_ENTRIES.c.transaction_id, isouter=True
    )
    .order_by(CREDIT_TRANSACTIONS.c.id)
)


class Verified(NamedTuple):
    """The number of transactions, and what does not add up: a sentence each, at most a hundred."""

    transactions: int
    problems: list[str]


class _Sums:
    """The sums of all entries so far."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = defaultdict(int)
        self.lots: dict[int, int] = defaultdict(int)
        self.used: dict[str, int] = defaultdict(int)


def verify(connection: Connection) -> Verified:
    """Returns what does not add up: nothing, unless rows were changed past Weebill, or lost."""
    problems: list[str] = []
    sums = _Sums()
    count = 0
    for problem in _transactions(connection, sums):
        count += problem is None
        if problem is not None:
            problems.append(problem)
    problems += _caches(connection, sums)
    return Verified(count, problems[:_MOST_PROBLEMS])


def _transactions(connection: Connection, sums: _Sums) -> Iterator[str | None]:
    """Yields None for each transaction, and a sentence for each problem of one."""
    name, owner, change, balance = "", "", 0, 0
    zero = credited = 0

    def ended() -> Iterator[str]:
        if zero:
            yield f"the entries of {name} sum to {dollars(zero)}, not to zero"
        if credited != change:
            yield f"{name} says {dollars(change)}, and its entries {dollars(credited)}"
        sums.balances[owner] += credited
        if sums.balances[owner] != balance:
            yield f"the balance after {name} is {dollars(sums.balances[owner])}, not {dollars(balance)}"

    streamed = connection.execute(_ROWS, execution_options={"stream_results": True, "yield_per": _BATCH})
    for row in streamed:
        if row.name != name:
            if name:
                yield from ended()
            yield None
            name, owner, change, balance = row.name, row.organisation, row.amount_nano, row.balance_nano
            zero = credited = 0
        if row.account is None:
            yield f"{name} has no entries"
            continue
        zero += row.entry_nano
        if row.account in ("credits", "overdraft"):
            credited += row.entry_nano
        if row.account == "usage":
            sums.used[owner] += row.entry_nano
        if row.lot != NO_LOT:
            sums.lots[row.lot] += row.entry_nano
    if name:
        yield from ended()


def _caches(connection: Connection, sums: _Sums) -> Iterator[str]:
    """Yields a sentence for each sum that is kept, and is another one than that of the entries."""
    for lot, left in connection.execute(select(CREDIT_LOTS.c.id, CREDIT_LOTS.c.left_nano)):
        if sums.lots.pop(lot, 0) != left:
            yield f"lot {lot} has another rest than the sum of its entries"
    for lot, left in sums.lots.items():
        if left:
            yield f"lot {lot} is missing"
    billed = {name: nano for name, nano in connection.execute(_BILLED)}  # noqa: C416 - rows are typed
    for organisation, balance, posted in connection.execute(_STANDINGS):
        if sums.balances.pop(organisation, 0) != balance:
            yield f"the balance of {organisation} is another one than the sum of its entries"
        if posted > billed.get(organisation, 0):
            yield f"more usage of {organisation} is posted than was billed"
        if sums.used[organisation] > posted:
            yield f"the settlements of {organisation} are more than what is posted"
    for organisation, balance in sums.balances.items():
        if balance:
            yield f"the balance of {organisation} is missing"


_BILLED: Final = select(CREDIT_USAGE.c.organisation, CREDIT_USAGE.c.billed_nano)
_STANDINGS: Final = select(
    CREDIT_STANDINGS.c.organisation, CREDIT_STANDINGS.c.balance_nano, CREDIT_STANDINGS.c.posted_nano
)
