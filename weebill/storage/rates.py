"""Rates in the ledger: what is billed of what requests cost, with its history."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from weebill.accounts.audit import Act, Author
from weebill.billing.errors import BadCreditError, RateConflictError
from weebill.billing.rates import ALL_PROJECTS, MOST_RATES, Rate, Rates, check_rate
from weebill.storage.audit import INSTALLED, record
from weebill.storage.credit_stops import NOTICE_S, dearest, is_hard, keep_stop, stopped
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
    connection: Connection,
    rate: Rate,
    now: int,
    note: str = "",
    actor: str = "",
    author: Author | None = None,
    *,
    soonest: bool = False,
) -> Rate:
    """Makes a rate, an act of `author`, if any, and returns it. Raises BadCreditError, RateConflictError.

    Where it lets less through a hard stop, it is to begin `NOTICE_S` from now or later, so that nothing is billed by it
    that was let through before; with `soonest` it begins then, whatever it says.
    """
    check_rate(rate, now)
    of = None if rate.project == ALL_PROJECTS else organisation_of_project(connection, rate.project)
    if rate.project != ALL_PROJECTS and of is None:
        raise BadCreditError(f"There is no project {rate.project!r}.", "project")
    take_turns(connection, "credit rates")
    _require_free(connection, rate)
    if connection.execute(select(func.count()).select_from(CREDIT_RATES)).scalar_one() >= MOST_RATES:
        raise BadCreditError(f"There are {MOST_RATES} rates already, past ones included.", "rates")
    concerned = stopped(connection) if of is None else [of]
    before = {each: dearest(connection, each, now) for each in concerned if is_hard(connection, each)}
    made = insert(CREDIT_RATES).values(**rate._asdict(), made_at=now, note=note, actor=actor)
    [id_] = connection.execute(made).inserted_primary_key or (None,)
    if rate.valid_from < now + NOTICE_S and any(dearest(connection, each, now) > most for each, most in before.items()):
        if not soonest:
            raise BadCreditError(
                f"Where a hard stop is set, what bills more begins in {NOTICE_S} seconds at the soonest: until then, "
                "requests are under way that were let through for less.",
                "valid_from",
            )
        rate = rate._replace(valid_from=now + NOTICE_S)
        _require_free(connection, rate)
        begins = update(CREDIT_RATES).where(CREDIT_RATES.c.id == id_)
        connection.execute(begins.values(valid_from=rate.valid_from))
    for organisation in concerned:
        keep_stop(connection, organisation)
    if author is not None:
        act = Act(action="credits.rate_set", target=rate.project or INSTALLED, after=rate._asdict())
        record(connection, author, act)
    return rate


def _require_free(connection: Connection, rate: Rate) -> None:
    """Raises RateConflictError if another rate of the same begins at the same second."""
    its_own = (CREDIT_RATES.c[name] == getattr(rate, name) for name in ("project", "model", "valid_from"))
    if connection.execute(select(CREDIT_RATES.c.id).where(*its_own).limit(1)).first() is not None:
        raise RateConflictError(
            f"A rate for {rate.model!r} and the same project begins at {rate.valid_from} already: let this one begin "
            "a second later, and it is in place of that one from then on."
        )
