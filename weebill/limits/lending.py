"""Lending: the ledger process lends an allowance, which is one limit in one window, to the workers.

For each allowance: `amount = settled + lent + available`, and `available >= 0`. `settled` is what ingested records have
used. Each borrower has a lease with two numbers: `granted`, all that it was ever given less what it has given back, and
`settled`, what the ledger has ingested of its records. What it holds is their difference, and `lent` the sum of that.

1. A borrower says what it has used since it began, with what it has reserved, and never asks for a difference. So a
   question that is put twice, as after a lost connection or a kill, changes nothing the second time.
2. One that needs nothing gives back: what is granted becomes what it has used.
3. One that needs something gets that, and a share of what is available, which shrinks with it: at the end, nobody holds
   what others need. If there is less than all of its requests need, it gets that, if it is enough for one (`least`).
4. One that gets nothing has the others called back (`weebill.storage.allowances`), and asks again.
5. A borrower may have used more than it held: an upstream charged more than could be foreseen. Its lease then holds
   nothing, `settled` has all of it, and nothing is available until there is something again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_PARTS: Final = 4  # a borrower gets a quarter of what would be its part if all borrowers had equal ones


class Standing(NamedTuple):
    """An allowance as a borrower finds it: `lent` is what the `others` hold, who are so many."""

    amount: int
    settled: int
    lent: int
    others: int


class Lease(NamedTuple):
    """A borrower's lease of an allowance."""

    granted: int = 0
    settled: int = 0

    @property
    def held(self) -> int:
        """The part of the allowance that is lent by it."""
        return max(0, self.granted - self.settled)


class Loan(NamedTuple):
    """The answer to a borrower: what is granted from now on, and what is available to all after that."""

    granted: int
    available: int


def lend(standing: Standing, lease: Lease, used: int, need: int, least: int) -> Loan:
    """Returns what a borrower gets that has used so much, and needs `need` on top of that, or `least` at least."""
    rest = standing.amount - standing.settled - standing.lent
    granted = lease.granted
    if not need:
        granted = min(granted, used)
    elif used + least > granted:
        most = lease.settled + rest
        if used + need <= most:
            granted = used + need
            granted += (rest - Lease(granted, lease.settled).held) // (_PARTS * (standing.others + 1))
        elif used + least <= most:
            granted = most
    return Loan(granted, max(0, rest - Lease(granted, lease.settled).held))
