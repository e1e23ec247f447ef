"""Hard stops: an organisation whose credits are used up is refused, by a limit that has what its credits allow.

The limit is of spend in all (`weebill.limits`), for the models `*`. Its amount is what was settled of it, and what is
left of the credits. So requests reserve from credits before they are sent, and nothing more is spent than there is.

Limits count costs, and credits what is billed. Where a rate is above 100 %, what is left is divided by the highest one
that a request of the organisation's may be billed by which is under way or begins soon: too little rather than too much
is let through, and the rest with the next settlement.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select

from weebill.accounts.audit import Author, command_line
from weebill.billing.rates import ALL_PROJECTS, WHOLE, Rate, Rates
from weebill.limits.limit import MOST, OF_CREDITS, Limit
from weebill.storage.limits import LimitRows
from weebill.storage.tables.credits import (
    CREDIT_CHECKOUTS,
    CREDIT_LOTS,
    CREDIT_RATES,
    CREDIT_STANDINGS,
    CREDIT_STOPS,
    CREDIT_USAGE,
)
from weebill.storage.tables.limits import ALLOWANCES
from weebill.storage.tables.tenants import PROJECTS

_FOREVER: Final = 0
_UNDER_WAY_S: Final = 3600
"""For so long after it has begun a request may be under way, or its record wait in a journal."""
NOTICE_S: Final = 180
"""By then stops are brought up to date again, and workers have used up or returned what they were lent: several times
the longest interval of settlements."""


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
    if hard == (limit is not None):
        return
    connection.execute(delete(CREDIT_STOPS).where(CREDIT_STOPS.c.organisation == organisation))
    if limit is None:
        made = limits.add(
            Limit(id=0, subject=organisation, measure="spend", window="none", amount=0, model=OF_CREDITS,
                  created_at=now, changed_at=now)
        )  # fmt: skip
        connection.execute(insert(CREDIT_STOPS).values(organisation=organisation, limit_id=made.id))
        keep_stop(connection, organisation)
    else:
        limits.remove(limit.id, now)


def keep_stop(connection: Connection, organisation: str) -> None:
    """Brings the limit of a hard stop up to date with the credits, after a change of them."""
    limit = _limit_of(connection, organisation)
    if limit is None:
        return
    now = int(time.time())
    settled, left = _settled_and_left(connection, organisation, limit.id, now)
    amount = min(MOST, settled + left * WHOLE // dearest(connection, organisation, now))
    if amount != limit.amount:
        LimitRows(connection).set_amount(limit.id, amount, now)


def stopped(connection: Connection) -> Sequence[str]:
    """Returns the organisations with hard stops."""
    return connection.execute(select(CREDIT_STOPS.c.organisation).order_by(CREDIT_STOPS.c.organisation)).scalars().all()


def rates_moved(connection: Connection, before: int, now: int) -> bool:
    """True if other rates count for stops at `now` than at `before`, in Unix seconds."""
    begun = [
        and_(CREDIT_RATES.c.valid_from > before + shift, CREDIT_RATES.c.valid_from <= now + shift)
        for shift in (-_UNDER_WAY_S, 0, NOTICE_S)
    ]
    return connection.execute(select(CREDIT_RATES.c.id).where(or_(*begun)).limit(1)).first() is not None


def _limit_of(connection: Connection, organisation: str) -> Limit | None:
    """Returns the limit of a hard stop; None where somebody has removed it: so there is no hard stop any more."""
    limit = select(CREDIT_STOPS.c.limit_id).where(CREDIT_STOPS.c.organisation == organisation)
    found = connection.execute(limit).scalar()
    return None if found is None else LimitRows(connection).find(found)


def _settled_and_left(connection: Connection, organisation: str, limit: int, now: int) -> tuple[int, int]:
    """Returns what was settled of the limit, and what is left of the credits once all that was billed is posted,
    and what has ended or is being paid back is gone, at least 0.

    One statement: what is ingested between two would be in one of them alone, and make another amount of it, for which
    workers have to ask about each key of the organisation again.
    """
    settled = select(ALLOWANCES.c.settled).where(ALLOWANCES.c.limit_id == limit, ALLOWANCES.c.start == _FOREVER)
    billed = select(CREDIT_USAGE.c.billed_nano).where(CREDIT_USAGE.c.organisation == organisation)
    refunding = select(func.coalesce(func.sum(CREDIT_CHECKOUTS.c.refunding_nano), 0)).where(
        CREDIT_CHECKOUTS.c.organisation == organisation
    )
    standing = select(
        CREDIT_STANDINGS.c.balance_nano,
        CREDIT_STANDINGS.c.posted_nano,
        func.coalesce(settled.scalar_subquery(), 0),
        func.coalesce(billed.scalar_subquery(), 0),
        ended_nano(organisation, now).scalar_subquery(),
        refunding.scalar_subquery(),
    ).where(CREDIT_STANDINGS.c.organisation == organisation)
    balance, posted, settled_nano, billed_nano, ended, refunded = connection.execute(standing).one()
    return settled_nano, max(0, available(balance, billed_nano - posted, int(ended)) - int(refunded))


def available(balance_nano: int, waiting_nano: int, ended_nano: int) -> int:
    """Returns what is left of a balance once `waiting_nano` of usage is posted, which is of the credits that have ended
    as far as they go, and the rest of these is gone.

    >>> available(100, 30, 0), available(100, 30, 20), available(100, 30, 50)
    (70, 70, 50)
    """
    return balance_nano - max(waiting_nano, ended_nano)


def ended_nano(organisation: str, now: int) -> Select[int]:
    """Selects what is left of credits whose time has come, and that are not ended yet."""
    ended = (CREDIT_LOTS.c.organisation == organisation, CREDIT_LOTS.c.left_nano > 0, CREDIT_LOTS.c.expires_at <= now)
    return select(func.coalesce(func.sum(CREDIT_LOTS.c.left_nano), 0)).where(*ended)


def dearest(connection: Connection, organisation: str, now: int) -> int:
    """Returns the most parts per million of a cost that a request of an organisation is billed which is under way at
    `now`, or begins within `NOTICE_S`.
    """
    projects = select(PROJECTS.c.id).where(PROJECTS.c.organisation_id == organisation)
    its_own = or_(CREDIT_RATES.c.project == ALL_PROJECTS, CREDIT_RATES.c.project.in_(projects))
    marked_up = select(CREDIT_RATES.c.id).where(its_own, CREDIT_RATES.c.parts_per_million > WHOLE).limit(1)
    if connection.execute(marked_up).first() is None:
        return WHOLE
    found = select(*(CREDIT_RATES.c[name] for name in Rate._fields)).where(its_own).order_by(CREDIT_RATES.c.id)
    rates = Rates(Rate(*row) for row in connection.execute(found))
    return rates.highest(connection.execute(projects).scalars().all(), now - _UNDER_WAY_S, now + NOTICE_S)
