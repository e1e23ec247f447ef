"""Purchases in the ledger: beginning one, what Stripe's events bring, and refunds."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from weebill.accounts.audit import Author
from weebill.billing.credits import Posting, check_open, check_room
from weebill.billing.errors import BadCreditError, UnknownTransactionError
from weebill.billing.money import NANO_PER_CENT, dollars
from weebill.billing.purchases import (
    Checkout,
    Event,
    PaymentService,
    Session,
    TakenBack,
    check_amount,
    mismatch,
    post_purchase,
    reference_of,
)
from weebill.billing.transactions import Transaction
from weebill.config.credits import StripeSettings
from weebill.storage.credit_stops import keep_stop
from weebill.storage.credits import CreditRows, of_purchase
from weebill.storage.database import Database
from weebill.storage.postgresql.locks import take_turns
from weebill.storage.tables.credits import CREDIT_CHECKOUTS, STRIPE_EVENTS

KEPT_S: Final = 90 * 86_400
"""For so long an event is known, which Stripe tries to deliver for three days, and a purchase may be paid."""
MOST_OPEN: Final = 100
"""Purchases of one organisation that were begun within an hour."""
_HOUR_S: Final = 3600
_REFUND_S: Final = 180
"""After that, Stripe is not about to do any more what it was asked for."""
_COLUMNS: Final = [CREDIT_CHECKOUTS.c[name] for name in Checkout._fields]

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A purchase, and the address where it is paid."""

    id: str
    url: str


class _Refunding(NamedTuple):
    """A refund that is under way: of which purchase, how much, and since when, in Unix seconds."""

    checkout: Checkout
    nano: int
    began_at: int


class Purchases:
    """The purchases of an installation. Methods wait for Stripe, and raise StripeFailedError, LedgerError."""

    def __init__(self, ledger: Database, service: PaymentService, settings: StripeSettings) -> None:
        self._ledger = ledger
        self._service = service
        self._settings = settings

    def begin(self, organisation: str, amount_nano: int, actor: str) -> Begun:
        """Begins a purchase. Raises BadCreditError."""
        check_amount(amount_nano, self._settings.least_dollars, self._settings.most_dollars)
        checkout = Checkout("chk_" + secrets.token_hex(12), organisation, amount_nano, "", actor)
        # Kept first: whatever is paid has something here that says what for.
        self._ledger.change(lambda connection: _add(connection, checkout, int(time.time())))
        return Begun(checkout.id, self._service.begin(checkout))

    def hear(self, event: Event) -> str:
        """Posts what an event is about, once; returns what came of it."""
        if self._ledger.read(lambda connection: _result(connection, event.id)) is not None:
            return "known"
        session_id = event.session or (self._service.session_of(event.payment) if event.payment else "")
        if not session_id:
            return "not ours"
        session = self._service.session(session_id)
        checkout = self._ledger.read(lambda connection: _find(connection, session.checkout))
        if checkout is None:
            return "not ours"
        taken = self._service.taken_back(session.payment) if session.is_paid else []
        return self._ledger.change(lambda connection: _heard(connection, event, checkout, session, taken))

    def refund(
        self,
        organisation: str,
        transaction: str,
        amount_nano: int | None,
        *,
        force: bool,
        author: Author | None = None,
    ) -> list[Transaction]:
        """Pays back a purchase, or a part of it, an act of `author`, if any; returns all that was taken back of it.

        Raises BadCreditError if more than is left would be paid back, unless `force`, and where Stripe could not pay,
        and UnknownTransactionError.
        """
        self._finish_refunds(organisation)
        # Kept before Stripe is asked: of two at once, the second one finds what the first one leaves.
        checkout, nano, once = self._ledger.change(
            lambda connection: _begin_refund(connection, organisation, transaction, amount_nano, force=force)
        )
        failure = self._service.refund(checkout.payment, nano // NANO_PER_CENT, once)
        self._post_refund(checkout, nano, author)
        if failure:
            raise BadCreditError(f"Nothing was paid back: {failure}. It can be asked for again.", "transaction")
        return self._ledger.read(lambda connection: of_purchase(connection, transaction))

    def _finish_refunds(self, organisation: str) -> None:
        """Posts what came of refunds whose answers were lost."""
        before = int(time.time()) - _REFUND_S
        for checkout, nano, _ in self._ledger.read(lambda connection: _refunding(connection, organisation, before)):
            self._post_refund(checkout, nano, None)

    def _post_refund(self, checkout: Checkout, nano: int, author: Author | None) -> None:
        taken = self._service.taken_back(checkout.payment)

        def post(connection: Connection) -> None:
            posting = Posting(CreditRows(connection, author), checkout.organisation)
            mine = (CREDIT_CHECKOUTS.c.id == checkout.id, CREDIT_CHECKOUTS.c.refunding_nano == nano)
            connection.execute(update(CREDIT_CHECKOUTS).where(*mine).values(refunding_nano=0))
            post_purchase(posting, checkout, taken)
            keep_stop(connection, checkout.organisation)

        self._ledger.change(post)


def forget_events(connection: Connection, now: int) -> None:
    """Deletes events that are too old to come again, and purchases that were begun as long ago and never paid.

    What was posted is known by its references anyhow.
    """
    connection.execute(delete(STRIPE_EVENTS).where(STRIPE_EVENTS.c.at < now - KEPT_S))
    unpaid = CREDIT_CHECKOUTS.c.payment == ""
    connection.execute(delete(CREDIT_CHECKOUTS).where(CREDIT_CHECKOUTS.c.made_at < now - KEPT_S, unpaid))


def _add(connection: Connection, checkout: Checkout, now: int) -> None:
    take_turns(connection, f"purchases of {checkout.organisation}")
    rows = CreditRows(connection)
    check_open(rows, checkout.organisation)
    check_room(rows.balance_nano(checkout.organisation), checkout.amount_nano)
    recent = select(CREDIT_CHECKOUTS.c.id).where(
        CREDIT_CHECKOUTS.c.organisation == checkout.organisation,
        CREDIT_CHECKOUTS.c.made_at > now - _HOUR_S,
        CREDIT_CHECKOUTS.c.payment == "",
    )
    if len(connection.execute(recent.limit(MOST_OPEN)).fetchall()) >= MOST_OPEN:
        raise BadCreditError(f"{MOST_OPEN} purchases were begun in an hour and not paid; try again later.", "amount")
    connection.execute(insert(CREDIT_CHECKOUTS).values(**checkout._asdict(), made_at=now))


def _find(connection: Connection, checkout: str) -> Checkout | None:
    row = connection.execute(select(*_COLUMNS).where(CREDIT_CHECKOUTS.c.id == checkout)).one_or_none()
    return None if row is None else Checkout(*row)


def _result(connection: Connection, event: str) -> str | None:
    return connection.execute(select(STRIPE_EVENTS.c.result).where(STRIPE_EVENTS.c.id == event)).scalar()


def _heard(connection: Connection, event: Event, checkout: Checkout, session: Session, taken: list[TakenBack]) -> str:
    posting = Posting(CreditRows(connection), checkout.organisation)
    # Again, now that nobody else changes anything: the same event may be at hand twice.
    if _result(connection, event.id) is not None:
        return "known"
    result = "not paid yet"
    if session.is_paid:
        problem = mismatch(checkout, session)
        if problem:
            log.error("a payment is not credited: %s", problem, extra={"checkout": checkout.id, "session": session.id})
            result = f"refused: {problem}"
        else:
            paid = update(CREDIT_CHECKOUTS).where(CREDIT_CHECKOUTS.c.id == checkout.id)
            connection.execute(paid.values(payment=session.payment))
            result = f"posted {post_purchase(posting, checkout, taken)}"
    row = {"kind": event.kind[:100], "at": int(time.time()), "result": result[:200]}
    connection.execute(insert(STRIPE_EVENTS).values(id=event.id, **row))
    return result


def _begin_refund(
    connection: Connection, organisation: str, transaction: str, amount_nano: int | None, *, force: bool
) -> tuple[Checkout, int, str]:
    """Notes that a part of a purchase is about to be paid back; returns the purchase, the part, and a text by which
    Stripe does so once. Raises BadCreditError.
    """
    CreditRows(connection).lock(organisation)
    checkout, left, balance = _refundable(connection, organisation, transaction)
    nano = left if amount_nano is None else amount_nano
    if nano % NANO_PER_CENT or not 0 < nano <= left:
        raise BadCreditError(f"Whole cents of the {dollars(left)} dollars that are left can be refunded.", "amount")
    others, began_at = 0, None
    for other, refunding, at in _refunding(connection, organisation):
        if other.id != checkout.id:
            others += refunding
        elif refunding == nano:
            began_at = at
        else:
            raise BadCreditError(
                f"A refund of {dollars(refunding)} dollars of this purchase is under way: ask for the same one again, "
                f"or for another one in {_REFUND_S} seconds.",
                "amount",
            )
    if nano > balance - others and not force:
        unused = dollars(max(0, balance - others))
        raise BadCreditError(f"Only {unused} dollars are not used; `force` refunds more.", "amount")
    if began_at is None:
        this = CREDIT_CHECKOUTS.c.id == checkout.id
        before = connection.execute(select(CREDIT_CHECKOUTS.c.refunding_at).where(this)).scalar_one()
        began_at = max(int(time.time()), before + 1)
        begun = {"refunding_nano": nano, "refunding_at": began_at}
        connection.execute(update(CREDIT_CHECKOUTS).where(this).values(begun))
        keep_stop(connection, organisation)
    # The same refund if the answer got lost and it is asked for again; another one once this one is posted or failed.
    return checkout, nano, f"{checkout.id}:{began_at}:{nano}"


def _refunding(connection: Connection, organisation: str, before: int | None = None) -> list[_Refunding]:
    """Returns the refunds that are under way, those alone that began before a time if one is given."""
    begun = () if before is None else (CREDIT_CHECKOUTS.c.refunding_at < before,)
    here = (CREDIT_CHECKOUTS.c.organisation == organisation, CREDIT_CHECKOUTS.c.refunding_nano > 0)
    found = select(CREDIT_CHECKOUTS.c.refunding_nano, CREDIT_CHECKOUTS.c.refunding_at, *_COLUMNS).where(*here, *begun)
    return [_Refunding(Checkout(*columns), nano, at) for nano, at, *columns in connection.execute(found)]


def _refundable(connection: Connection, organisation: str, transaction: str) -> tuple[Checkout, int, int]:
    """Returns a purchase, the rest of it that was not taken back, and the organisation's balance."""
    rows = CreditRows(connection)
    purchase = rows.find(organisation, transaction)
    checkout = None
    if purchase is not None and purchase.kind == "purchase":
        checkout = _find(connection, purchase.reference.removeprefix(reference_of("")))
    if purchase is None or checkout is None or not checkout.payment:
        raise UnknownTransactionError(f"{organisation} has no purchase {transaction!r} that was paid through Stripe.")
    left = purchase.amount_nano + sum(each.amount_nano for each in of_purchase(connection, transaction))
    return checkout, left, rows.balance_nano(organisation)
