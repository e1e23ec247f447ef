"""Hard stops: an organisation whose credits are used up is refused, by a limit that has what its credits allow.

The limit is of spend in all (`weebill.limits`), for the models `*`. Its amount is what was settled of it, and what is
left of the credits. So requests reserve from credits before they are sent, and nothing more is spent than there is.

Limits count costs, and credits what is billed. Where a rate is above 100 %, what is left is divided by the highest one
that there is or will be: too little rather than too much is let through, and the rest with the next settlement.
"""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from weebill.accounts.audit import Author, command_line
from weebill.billing.rates import WHOLE
from weebill.limits.limit import MOST, Limit
from weebill.storage.limits import LimitRows
from weebill.storage.tables.credits import CREDIT_RATES, CREDIT_STANDINGS, CREDIT_STOPS, CREDIT_USAGE
from weebill.storage.tables.limits import ALLOWANCES

_EVERY: Final = "*"
_FOREVER: Final = 0


def is_hard(connection: Connection, organisation: str) -> bool:
    """Returns True if an organisation is refused once its credits are used up."""
    return _limit_of(connection, organisation) is not None


def set_stop(connection: Connection, organisation: str, *, hard: bool, author: Author | None = None) -> None:
    """Has an organisation refused once its credits are used up, or not; its credits are this transaction's alone.

    The act is by `author`, by default whoever runs this process.
    """
    limits = LimitRows(connection, author or command_line())
    limit = _limit_of(connection, organisation)
    now = int(time.time())
    if hard and limit is None:
        made = limits.add(
            Limit(id=0, subject=organisation, measure="spend", window="none", amount=0, model=_EVERY,
                  created_at=now, changed_at=now)
        )  # fmt: skip
        connection.execute(insert(CREDIT_STOPS).values(organisation=organisation, limit_id=made.id))
        keep_stop(connection, organisation)
    elif not hard and limit is not None:
        if limits.find(limit) is not None:
            limits.remove(limit, now)
        connection.execute(delete(CREDIT_STOPS).where(CREDIT_STOPS.c.organisation == organisation))


def keep_stop(connection: Connection, organisation: str) -> None:
    """Brings the limit of a hard stop up to date with the credits, after a change of them."""
    limit = _limit_of(connection, organisation)
    if limit is None:
        return
    limits = LimitRows(connection)
    known = limits.find(limit)
    if known is None:  # somebody has removed it: so there is no hard stop any more
        connection.execute(delete(CREDIT_STOPS).where(CREDIT_STOPS.c.organisation == organisation))
        return
    settled, left = _settled_and_left(connection, organisation, limit)
    amount = min(MOST, settled + left * WHOLE // _dearest(connection))
    if amount != known.amount:
        limits.set_amount(limit, amount, int(time.time()))


def keep_stops(connection: Connection) -> None:
    """Brings the limits of all hard stops up to date, after a change of rates."""
    for organisation in (
        connection.execute(select(CREDIT_STOPS.c.organisation).order_by("organisation")).scalars().all()
    ):
        keep_stop(connection, organisation)


def _limit_of(connection: Connection, organisation: str) -> int | None:
    limit = select(CREDIT_STOPS.c.limit_id).where(CREDIT_STOPS.c.organisation == organisation)
    return connection.execute(limit).scalar()


def _settled_and_left(connection: Connection, organisation: str, limit: int) -> tuple[int, int]:
    """Returns what was settled of the limit, and what is left of the credits once all that was billed is posted, at
    least 0.

    One statement: what is ingested between two would be in one of them alone, and make another amount of it, for which
    workers have to ask about each key of the organisation again.
    """
    settled = select(ALLOWANCES.c.settled).where(ALLOWANCES.c.limit_id == limit, ALLOWANCES.c.start == _FOREVER)
    billed = select(CREDIT_USAGE.c.billed_nano).where(CREDIT_USAGE.c.organisation == organisation)
    standing = select(
        CREDIT_STANDINGS.c.balance_nano,
        CREDIT_STANDINGS.c.posted_nano,
        func.coalesce(settled.scalar_subquery(), 0),
        func.coalesce(billed.scalar_subquery(), 0),
    ).where(CREDIT_STANDINGS.c.organisation == organisation)
    balance, posted, settled_nano, billed_nano = connection.execute(standing).one()
    return settled_nano, max(0, balance + posted - billed_nano)


def _dearest(connection: Connection) -> int:
    most = connection.execute(select(func.max(CREDIT_RATES.c.parts_per_million))).scalar()
    return max(WHOLE, most or 0)
