"""The rules of credits: each change is a transaction of entries that sum to zero, posted once for its reference.

What ends is used first, soonest end first, then what was given first. What is used beyond all credits is overdraft,
which the next credits repay. No row is ever changed: a mistake is mended by another transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from weebill.billing.errors import BadCreditError, CreditConflictError, UnknownTransactionError
from weebill.billing.money import MOST_AMOUNT, MOST_BALANCE, MOST_GIVEN, dollars
from weebill.billing.transactions import (
    MOST_NOTE,
    Account,
    Entry,
    Kind,
    Lot,
    Transaction,
    change_of,
    drawn,
    given,
    new_id,
)

_COUNTERS: Final[dict[Kind, Account]] = {"grant": "granted", "purchase": "payments", "adjustment": "adjusted"}
_GIVEN: Final[frozenset[Kind]] = frozenset({"grant", "adjustment"})

T = TypeVar("T")


class Standing(NamedTuple):
    """An organisation's balance, and how much of what it was billed is posted, in nano-dollars."""

    balance_nano: int
    posted_nano: int


class Origin(NamedTuple):
    """Says of a transaction who made it (`actor`), why (`note`), and the reference for which it is made once."""

    reference: str
    actor: str = ""
    note: str = ""


class CreditTable(Protocol):
    """The stored credits within a transaction of the database."""

    def lock(self, organisation: str) -> Standing:
        """Returns how an organisation stands; nobody else changes that until the end of the transaction.

        One that had no credits has some from now on: what it was billed before counts as posted.
        """

    def is_archived(self, organisation: str) -> bool:
        """True if an organisation is archived."""

    def lots(self, organisation: str) -> list[Lot]:
        """Returns the lots that are not used up, in the order of their use."""

    def find(self, organisation: str, transaction: str) -> Transaction | None:
        """Returns a transaction of an organisation, by its id."""

    def made_for(self, reference: str) -> Transaction | None:
        """Returns the transaction with this reference."""

    def billed_nano(self, organisation: str) -> int:
        """Returns what an organisation was billed for its usage since there is a ledger of credits."""

    def add(self, transaction: Transaction, entries: Sequence[Entry], posted_nano: int) -> None:
        """Stores a transaction, after `lock`; `posted_nano` is what is posted of usage then."""

    def number_of(self, transaction: str) -> int:
        """Returns the number of a transaction, which is that of the lot that it has opened."""


class CreditBook(Protocol):
    """The storage of credits. Its methods raise LedgerError."""

    def read(self, query: Callable[[CreditTable], T]) -> T:
        """Returns the result of `query` on the credits as they are at one moment."""

    def change(self, change: Callable[[CreditTable], T]) -> T:
        """Commits the changes of `change`, and returns its result; `change` may be called again."""


class Posting:
    """Posts transactions within a transaction of the database, for one organisation."""

    def __init__(self, table: CreditTable, organisation: str, now: int | None = None) -> None:
        self._table = table
        self._organisation = organisation
        self._now = int(time.time()) if now is None else now
        self._standing = table.lock(organisation)

    @property
    def balance_nano(self) -> int:
        """The present balance, in nano-dollars."""
        return self._standing.balance_nano

    def give(self, kind: Kind, amount_nano: int, origin: Origin, expires_at: int | None = None) -> Transaction:
        """Gives credits. Raises BadCreditError, CreditConflictError."""
        if expires_at is not None and expires_at <= self._now:
            raise BadCreditError("The end of credits must be in the future.", "expires_at")
        _check_amount(amount_nano)
        entries = [*given(amount_nano, self.balance_nano), Entry(_COUNTERS[kind], -amount_nano)]
        return self._post(kind, entries, origin, expires_at=expires_at)

    def take(self, amount_nano: int, origin: Origin) -> Transaction:
        """Takes credits away, as an adjustment. Raises BadCreditError, CreditConflictError."""
        _check_amount(amount_nano)
        entries = [*self._drawn(amount_nano), Entry("adjusted", amount_nano)]
        return self._post("adjustment", entries, origin)

    def settle(self) -> Transaction | None:
        """Posts what the organisation was billed since the last time; returns None if that is nothing."""
        posted = self._standing.posted_nano
        amount = min(self._table.billed_nano(self._organisation) - posted, MOST_AMOUNT)
        if amount <= 0:
            return None
        origin = Origin(f"settlement:{self._organisation}:{posted + amount}", "weebill")
        entries = [*self._drawn(amount), Entry("usage", amount)]
        return self._post("settlement", entries, origin, posted_nano=posted + amount)

    def expire(self) -> list[Transaction]:
        """Ends the lots whose time has come, after what was used of them is settled."""
        due = [lot for lot in self._table.lots(self._organisation) if lot.expires_at is not None]
        if not any(lot.expires_at <= self._now for lot in due if lot.expires_at is not None):
            return []
        while self.settle() is not None:
            pass
        return [
            self._post(
                "expiry",
                [Entry("credits", -lot.left_nano, lot.number), Entry("expired", lot.left_nano)],
                Origin(f"expiry:{lot.transaction}", "weebill"),
            )
            for lot in self._table.lots(self._organisation)
            if lot.expires_at is not None and lot.expires_at <= self._now
        ]

    def take_back(
        self, kind: Kind, purchase: Transaction, amount_nano: int, counter: Account, origin: Origin
    ) -> Transaction:
        """Takes back what was paid: from the purchase's own lot first. Raises BadCreditError, CreditConflictError."""
        _check_amount(amount_nano)
        own = self._table.number_of(purchase.id)
        entries = [*self._drawn(amount_nano, own), Entry(counter, amount_nano)]
        return self._post(kind, entries, origin, purchase=purchase.id)

    def give_back(
        self, kind: Kind, purchase: Transaction, amount_nano: int, counter: Account, origin: Origin
    ) -> Transaction:
        """Gives again what was taken back. Raises BadCreditError, CreditConflictError."""
        _check_amount(amount_nano)
        entries = [*given(amount_nano, self.balance_nano), Entry(counter, -amount_nano)]
        return self._post(kind, entries, origin, purchase=purchase.id)

    def move(self, purchase: Transaction, amount_nano: int, source: Account, to: Account, origin: Origin) -> None:
        """Notes that a dispute is lost: what was held back is gone. The balance stays."""
        entries = [Entry(source, -amount_nano), Entry(to, amount_nano)]
        self._post("dispute", entries, origin, purchase=purchase.id)

    def is_posted(self, reference: str) -> bool:
        """Returns True if there is a transaction with this reference."""
        return self._table.made_for(reference) is not None

    def find(self, transaction: str) -> Transaction:
        """Returns a transaction of the organisation. Raises UnknownTransactionError."""
        found = self._table.find(self._organisation, transaction)
        if found is None:
            raise UnknownTransactionError(
                f"{self._organisation} has no transaction {transaction!r}; `weebill credits statement` shows them."
            )
        return found

    def _drawn(self, amount_nano: int, first: int | None = None) -> list[Entry]:
        lots = self._table.lots(self._organisation)
        if first is not None:
            lots.sort(key=lambda lot: lot.number != first)  # stable: the others stay in their order
        return drawn(lots, amount_nano)

    def _post(
        self,
        kind: Kind,
        entries: Sequence[Entry],
        origin: Origin,
        *,
        expires_at: int | None = None,
        purchase: str = "",
        posted_nano: int | None = None,
    ) -> Transaction:
        """Posts a transaction, unless there is one with its reference: that one is returned, if it says the same."""
        change = change_of(entries)
        earlier = self._table.made_for(origin.reference)
        if earlier is not None:
            return _same(earlier, self._organisation, kind, change)
        balance = self.balance_nano + change
        if abs(balance) > MOST_BALANCE:
            raise BadCreditError(f"The balance would be beyond {dollars(MOST_BALANCE)} dollars.", "amount")
        if kind in _GIVEN:
            check_room(self.balance_nano, change)
        if len(origin.note) > MOST_NOTE:
            raise BadCreditError(f"A note has at most {MOST_NOTE} characters.", "note")
        transaction = Transaction(
            id=new_id(),
            organisation=self._organisation,
            kind=kind,
            at=self._now,
            amount_nano=change,
            balance_nano=balance,
            expires_at=expires_at,
            reference=origin.reference,
            purchase=purchase,
            note=origin.note,
            actor=origin.actor,
        )
        posted = self._standing.posted_nano if posted_nano is None else posted_nano
        self._table.add(transaction, entries, posted)
        self._standing = Standing(balance, posted)
        return transaction


def _same(earlier: Transaction, organisation: str, kind: Kind, change: int) -> Transaction:
    if (earlier.organisation, earlier.kind, earlier.amount_nano) != (organisation, kind, change):
        raise CreditConflictError(
            f"The reference {earlier.reference!r} is that of another transaction, {earlier.id}: give this one its own."
        )
    return earlier


def check_open(table: CreditTable, organisation: str) -> None:
    """Raises BadCreditError for an organisation that is archived: its keys could not use what it gets."""
    if table.is_archived(organisation):
        raise BadCreditError(f"{organisation} is archived: restore it before it gets credits.", "organisation")


def check_room(balance_nano: int, change_nano: int) -> None:
    """Raises BadCreditError for credits that would bring a balance beyond `MOST_GIVEN`."""
    if change_nano > 0 and balance_nano + change_nano > MOST_GIVEN:
        raise BadCreditError(
            f"The balance would be {dollars(balance_nano + change_nano)} dollars, and is given up to "
            f"{dollars(MOST_GIVEN)}: give less, or once some of it is used.",
            "amount",
        )


def _check_amount(amount_nano: int) -> None:
    if not 0 < amount_nano <= MOST_AMOUNT:
        most = dollars(MOST_AMOUNT)
        raise BadCreditError(f"An amount is more than 0 and at most {most} dollars.", "amount")


class Credits:
    """The credits of an installation's organisations, for the command line and the management API."""

    def __init__(self, book: CreditBook) -> None:
        self._book = book

    def grant(self, organisation: str, amount_nano: int, origin: Origin, expires_at: int | None = None) -> Transaction:
        """Gives credits that nobody has paid. Raises BadCreditError, CreditConflictError, LedgerError."""

        def grant(table: CreditTable) -> Transaction:
            check_open(table, organisation)
            return Posting(table, organisation).give("grant", amount_nano, origin, expires_at)

        return self._book.change(grant)

    def adjust(self, organisation: str, amount_nano: int, origin: Origin) -> Transaction:
        """Corrects a balance, upwards or downwards. Raises BadCreditError, CreditConflictError, LedgerError."""

        def adjust(table: CreditTable) -> Transaction:
            posting = Posting(table, organisation)
            if not amount_nano:
                raise BadCreditError("A correction of 0 changes nothing: an amount is above or below it.", "amount")
            if amount_nano < 0:
                return posting.take(-amount_nano, origin)
            return posting.give("adjustment", amount_nano, origin)

        return self._book.change(adjust)

    def settle(self, organisation: str) -> int:
        """Posts what was billed, and ends the credits whose time has come; returns the number of transactions."""

        def settle(table: CreditTable) -> int:
            posting = Posting(table, organisation)
            return (posting.settle() is not None) + len(posting.expire())

        return self._book.change(settle)
