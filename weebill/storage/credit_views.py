"""Credits as people ask for them: the balance of an organisation and its parts, and statements."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from weebill.billing.statements import MOST_LISTED, Statement
from weebill.storage.credit_stops import available, ended_nano, is_hard
from weebill.storage.credits import CreditRows, standing_of, transactions_between
from weebill.storage.tables.credits import CREDIT_TRANSACTIONS, CREDIT_USAGE

_USAGE: Final = (CREDIT_USAGE.c.billed_nano, CREDIT_USAGE.c.cost_nano, CREDIT_USAGE.c.unpriced)


class Part(NamedTuple):
    """Credits that end at one time, None for never, in nano-dollars."""

    expires_at: int | None
    left_nano: int


class Balance(NamedTuple):
    """An organisation's credits: `available_nano` is the balance less the usage that is not posted yet, and less what
    has ended.

    `billed_nano` and `cost_nano` are of all its usage; `unpriced` counts requests whose price is not known. With a
    `hard_stop`, its requests are refused once nothing is available.
    """

    organisation: str
    balance_nano: int
    available_nano: int
    billed_nano: int
    cost_nano: int
    unpriced: int
    parts: list[Part]
    hard_stop: bool = False


def balance(connection: Connection, organisation: str) -> Balance:
    """Returns an organisation's credits; of one that never had any, they are 0."""
    standing = standing_of(connection, organisation)
    usage = connection.execute(select(*_USAGE).where(CREDIT_USAGE.c.organisation == organisation)).one_or_none()
    billed, cost, unpriced = (0, 0, 0) if usage is None else usage
    if standing is None:
        return Balance(organisation, 0, 0, billed, cost, unpriced, [])
    waiting = billed - standing.posted_nano
    ends: dict[int | None, int] = {}
    for lot in CreditRows(connection).lots(organisation):
        ends[lot.expires_at] = ends.get(lot.expires_at, 0) + lot.left_nano
    parts = [Part(end, nano) for end, nano in ends.items()]
    ended = connection.execute(ended_nano(organisation, int(time.time()))).scalar_one()
    left, hard = available(standing.balance_nano, waiting, int(ended)), is_hard(connection, organisation)
    return Balance(organisation, standing.balance_nano, left, billed, cost, unpriced, parts, hard)


def statement(connection: Connection, organisation: str, since: int, until: int) -> Statement:
    """Returns an organisation's statement, of at most `MOST_LISTED` transactions."""
    found = transactions_between(connection, organisation, since, until, MOST_LISTED)
    before = (
        select(CREDIT_TRANSACTIONS.c.balance_nano)
        .where(CREDIT_TRANSACTIONS.c.organisation == organisation, CREDIT_TRANSACTIONS.c.at < since)
        .order_by(CREDIT_TRANSACTIONS.c.id.desc())
        .limit(1)
    )
    return Statement(organisation, since, until, connection.execute(before).scalar() or 0, found)
