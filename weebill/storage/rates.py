"""Rates in the ledger: what is billed of what requests cost, with its history."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, insert, select

from weebill.accounts.audit import Act, Author
from weebill.billing.errors import BadCreditError, RateConflictError
from weebill.billing.rates import ALL_PROJECTS, MOST_RATES, Rate, Rates, check_rate
from weebill.storage.audit import INSTALLED, record
from weebill.storage.credit_stops import keep_stop, stopped
from weebill.storage.owners import organisation_of_project
from weebill.storage.postgresql.locks import take_turns
from weebill.storage.tables.credits import CREDIT_RATES

_ALL: Final = select(*(CREDIT_RATES.c[name] for name in Rate._fields)).order_by(CREDIT_RATES.c.id)


def all_rates(connection: Connection) -> list[Rate]:
    """Returns every rate that ever was or will be, in the order in which they were made."""
    return [Rate(*row) for row in connection.execute(_ALL)]


def read_rates(connection: Connection) -> Rates:
    """Returns the rates, with their history."""
    return Rates(all_rates(connection))


def add_rate(
    connection: Connection, rate: Rate, now: int, note: str = "", actor: str = "", author: Author | None = None
) -> None:
    """Makes a rate, an act of `author`, if any. Raises BadCreditError, RateConflictError."""
    check_rate(rate, now)
    of = None if rate.project == ALL_PROJECTS else organisation_of_project(connection, rate.project)
    if rate.project != ALL_PROJECTS and of is None:
        raise BadCreditError(f"There is no project {rate.project!r}.", "project")
    take_turns(connection, "credit rates")
    its_own = (CREDIT_RATES.c[name] == getattr(rate, name) for name in ("project", "model", "valid_from"))
    if connection.execute(select(CREDIT_RATES.c.id).where(*its_own).limit(1)).first() is not None:
        raise RateConflictError(
            f"A rate for {rate.model!r} and the same project begins at {rate.valid_from} already: let this one begin "
            "a second later, and it is in place of that one from then on."
        )
    if connection.execute(select(func.count()).select_from(CREDIT_RATES)).scalar_one() >= MOST_RATES:
        raise BadCreditError(f"There are {MOST_RATES} rates already, past ones included.", "rates")
    made = insert(CREDIT_RATES).values(**rate._asdict(), made_at=now, note=note, actor=actor)
    connection.execute(made)
    for organisation in stopped(connection) if of is None else [of]:
        keep_stop(connection, organisation)
    if author is not None:
        act = Act(action="credits.rate_set", target=rate.project or INSTALLED, after=rate._asdict())
        record(connection, author, act)
