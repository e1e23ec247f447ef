"""Credits in the ledger: the transactions, and sums of them that are kept to be fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from weebill.accounts.audit import Act, Author
from weebill.billing.credits import Credits, CreditTable, Standing
from weebill.billing.transactions import OWN, Entry, Lot, Transaction
from weebill.storage.audit import record
from weebill.storage.credit_alerts import note_balance
from weebill.storage.credit_stops import keep_stop
from weebill.storage.database import Database
from weebill.storage.owners import is_archived
from weebill.storage.postgresql.locks import take_turns
from weebill.storage.tables.credits import (
    CREDIT_ENTRIES,
    CREDIT_LOTS,
    CREDIT_STANDINGS,
    CREDIT_TRANSACTIONS,
    CREDIT_USAGE,
)

T = TypeVar("T")

MOST_SWEPT: Final = 1000
_ACTS: Final = {"grant": "credits.granted", "adjustment": "credits.adjusted", "refund": "credits.refunded"}
_FIELDS: Final = (
    CREDIT_TRANSACTIONS.c.name.label("id"),
    *(CREDIT_TRANSACTIONS.c[name] for name in Transaction.__struct_fields__ if name != "id"),
)
_LOTS: Final = (
    select(CREDIT_LOTS.c.id, CREDIT_TRANSACTIONS.c.name, CREDIT_LOTS.c.expires_at, CREDIT_LOTS.c.left_nano)
    .join_from(CREDIT_LOTS, CREDIT_TRANSACTIONS, CREDIT_LOTS.c.id == CREDIT_TRANSACTIONS.c.id)
    # None, which has no end, comes last on both.
    .order_by(CREDIT_LOTS.c.expires_at.is_(None), CREDIT_LOTS.c.expires_at, CREDIT_LOTS.c.id)
    .where(CREDIT_LOTS.c.left_nano > 0)
)


def credits_in(ledger: Database, author: Author | None = None) -> Credits:
    """Returns the credits of an open ledger; what is given and corrected is logged as acts of `author`, if any."""
    return Credits(StoredCredits(ledger, author))


class StoredCredits:
    """The `CreditBook` of `weebill.billing.credits`."""

    def __init__(self, ledger: Database, author: Author | None = None) -> None:
        self._ledger = ledger
        self._author = author

    def read(self, query: Callable[[CreditTable], T]) -> T:
        """Returns the result of `query` on the credits as they are at one moment."""
        return self._ledger.read(lambda connection: query(CreditRows(connection)))

    def change(self, change: Callable[[CreditTable], T]) -> T:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(CreditRows(connection, self._author)))


class CreditRows:
    """The `CreditTable` of `weebill.billing.credits`, within a transaction."""

    def __init__(self, connection: Connection, author: Author | None = None) -> None:
        self._connection = connection
        self._author = author

    def lock(self, organisation: str) -> Standing:
        """Returns how an organisation stands, which is this transaction's alone from now on."""
        take_turns(self._connection, f"credits {organisation}")
        known = standing_of(self._connection, organisation)
        if known is not None:
            return known
        begun = Standing(0, self.billed_nano(organisation))
        values = {"balance_nano": 0, "posted_nano": begun.posted_nano, "low_nano": None, "low_told": False}
        made = insert(CREDIT_STANDINGS).values(organisation=organisation, **values, webhook_url="", webhook_secrets=0)
        self._connection.execute(made)
        return begun

    def is_archived(self, organisation: str) -> bool:
        """True if an organisation is archived."""
        return is_archived(self._connection, organisation)

    def lots(self, organisation: str) -> list[Lot]:
        """Returns the lots that are not used up, in the order of their use."""
        return [Lot(*row) for row in self._connection.execute(_LOTS.where(CREDIT_LOTS.c.organisation == organisation))]

    def find(self, organisation: str, transaction: str) -> Transaction | None:
        """Returns a transaction of an organisation, by its id."""
        here = CREDIT_TRANSACTIONS.c.organisation == organisation
        found = select(*_FIELDS).where(CREDIT_TRANSACTIONS.c.name == transaction, here)
        return _transaction(self._connection.execute(found).one_or_none())

    def made_for(self, reference: str) -> Transaction | None:
        """Returns the transaction with this reference."""
        found = select(*_FIELDS).where(CREDIT_TRANSACTIONS.c.reference == reference)
        return _transaction(self._connection.execute(found).one_or_none())

    def billed_nano(self, organisation: str) -> int:
        """Returns what an organisation was billed for its usage."""
        billed = select(CREDIT_USAGE.c.billed_nano).where(CREDIT_USAGE.c.organisation == organisation)
        return self._connection.execute(billed).scalar() or 0

    def balance_nano(self, organisation: str) -> int:
        """Returns the balance of an organisation, less what is not posted yet."""
        known = standing_of(self._connection, organisation)
        return 0 if known is None else known.balance_nano - self.billed_nano(organisation) + known.posted_nano

    def add(self, transaction: Transaction, entries: Sequence[Entry], posted_nano: int) -> None:
        """Stores a transaction, and brings up to date what is kept of it."""
        values = {**msgspec.structs.asdict(transaction), "name": transaction.id}
        del values["id"]
        made = insert(CREDIT_TRANSACTIONS).values(values).returning(CREDIT_TRANSACTIONS.c.id)
        number = self._connection.execute(made).scalar_one()
        for account, amount, given_lot in entries:
            lot = number if given_lot == OWN else given_lot
            row = {"transaction_id": number, "account": account, "lot": lot, "amount_nano": amount}
            self._connection.execute(insert(CREDIT_ENTRIES).values(row))
            if given_lot == OWN:
                opened = {"organisation": transaction.organisation, "expires_at": transaction.expires_at}
                self._connection.execute(insert(CREDIT_LOTS).values(id=number, **opened, left_nano=amount))
            elif lot:
                left = CREDIT_LOTS.c.left_nano + amount
                self._connection.execute(update(CREDIT_LOTS).where(CREDIT_LOTS.c.id == lot).values(left_nano=left))
        balance = {"balance_nano": transaction.balance_nano, "posted_nano": posted_nano}
        here = CREDIT_STANDINGS.c.organisation == transaction.organisation
        self._connection.execute(update(CREDIT_STANDINGS).where(here).values(balance))
        note_balance(self._connection, transaction.organisation, transaction.balance_nano, transaction.at)
        keep_stop(self._connection, transaction.organisation)
        if self._author is not None and transaction.kind in _ACTS:
            after = {"amount_nano": transaction.amount_nano, "expires_at": transaction.expires_at}
            organisation = transaction.organisation
            act = Act(action=_ACTS[transaction.kind], target=transaction.id, organisation_id=organisation, after=after)
            record(self._connection, self._author, act)

    def number_of(self, transaction: str) -> int:
        """Returns the number of a transaction."""
        number = select(CREDIT_TRANSACTIONS.c.id).where(CREDIT_TRANSACTIONS.c.name == transaction)
        return self._connection.execute(number).scalar_one()


def standing_of(connection: Connection, organisation: str) -> Standing | None:
    """Returns how an organisation stands; None if it never had credits."""
    columns = (CREDIT_STANDINGS.c.balance_nano, CREDIT_STANDINGS.c.posted_nano)
    found = connection.execute(select(*columns).where(CREDIT_STANDINGS.c.organisation == organisation)).one_or_none()
    return None if found is None else Standing(*found)


def due_organisations(connection: Connection, now: int) -> list[str]:
    """Returns organisations with usage to be posted or credits to be ended at `now`; at most `MOST_SWEPT` of each."""
    used = (
        select(CREDIT_STANDINGS.c.organisation)
        .join_from(CREDIT_STANDINGS, CREDIT_USAGE, CREDIT_STANDINGS.c.organisation == CREDIT_USAGE.c.organisation)
        .where(CREDIT_USAGE.c.billed_nano > CREDIT_STANDINGS.c.posted_nano)
    )
    ended = select(CREDIT_LOTS.c.organisation).where(CREDIT_LOTS.c.left_nano > 0, CREDIT_LOTS.c.expires_at <= now)
    found: set[str] = set()
    for query in (used, ended):
        found.update(connection.execute(query.distinct().limit(MOST_SWEPT)).scalars())
    return sorted(found)


def next_end(connection: Connection) -> int | None:
    """Returns when the next credits end, in Unix seconds; None if none do."""
    soonest = select(func.min(CREDIT_LOTS.c.expires_at)).where(CREDIT_LOTS.c.left_nano > 0)
    return connection.execute(soonest).scalar()


def transactions(connection: Connection, organisation: str, limit: int, before: str | None = None) -> list[Transaction]:
    """Returns an organisation's latest transactions, or those before the one with the id `before`, newest first."""
    found = select(*_FIELDS).where(CREDIT_TRANSACTIONS.c.organisation == organisation)
    if before is not None:
        number = select(CREDIT_TRANSACTIONS.c.id).where(CREDIT_TRANSACTIONS.c.name == before).scalar_subquery()
        found = found.where(CREDIT_TRANSACTIONS.c.id < number)
    rows = connection.execute(found.order_by(CREDIT_TRANSACTIONS.c.id.desc()).limit(limit))
    return [each for row in rows if (each := _transaction(row)) is not None]


def transactions_between(
    connection: Connection, organisation: str, since: int, until: int, limit: int
) -> list[Transaction]:
    """Returns an organisation's transactions from `since` until before `until`, oldest first, at most `limit`."""
    within = (CREDIT_TRANSACTIONS.c.at >= since, CREDIT_TRANSACTIONS.c.at < until)
    found = select(*_FIELDS).where(CREDIT_TRANSACTIONS.c.organisation == organisation, *within)
    rows = connection.execute(found.order_by(CREDIT_TRANSACTIONS.c.id).limit(limit))
    return [each for row in rows if (each := _transaction(row)) is not None]


def of_purchase(connection: Connection, purchase: str) -> list[Transaction]:
    """Returns the refunds and disputes of a purchase, oldest first."""
    found = select(*_FIELDS).where(CREDIT_TRANSACTIONS.c.purchase == purchase).order_by(CREDIT_TRANSACTIONS.c.id)
    return [each for row in connection.execute(found) if (each := _transaction(row)) is not None]


def _transaction(row: Row[*tuple[object, ...]] | None) -> Transaction | None:
    return None if row is None else msgspec.convert(dict(row._mapping), Transaction, strict=False)
