"""Purchases: what is paid through Stripe, and what is paid back, as transactions of credits.

Stripe's events say only that something has changed, and come late, twice and in any order. What counts is what Stripe
answers when it is asked: each event has all of a payment's refunds and disputes posted that are not yet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol

from weebill.billing.credits import Origin, Posting
from weebill.billing.errors import BadCreditError
from weebill.billing.money import NANO_PER_CENT
from weebill.billing.transactions import Account, Kind, Transaction

CURRENCY: Final = "usd"
ACTOR: Final = "stripe"

log = logging.getLogger(__name__)


class StripeFailedError(Exception):
    """Stripe does not answer, or not as it should; the message has no secrets."""


class ForgedEventError(Exception):
    """A message is not an event of Stripe's, or its signature is too old."""


class Checkout(NamedTuple):
    """A purchase that somebody has begun; `payment` is Stripe's name of its payment, once it is paid."""

    id: str
    organisation: str
    amount_nano: int
    payment: str
    actor: str


class Session(NamedTuple):
    """A Checkout session as Stripe has it; `checkout` is the id of the `Checkout` that it was made for."""

    id: str
    checkout: str
    payment: str
    cents: int
    currency: str
    is_paid: bool


class TakenBack(NamedTuple):
    """A refund or a dispute of a payment as Stripe has it."""

    id: str
    kind: Literal["refund", "dispute"]
    cents: int
    currency: str
    state: Literal["taken", "returned", "lost"]


class Event(NamedTuple):
    """An event of Stripe's: what it is about is a session, or a payment."""

    id: str
    kind: str
    session: str
    payment: str


class PaymentService(Protocol):
    """Stripe, as purchases need it. Its methods wait, and raise StripeFailedError."""

    def begin(self, checkout: Checkout) -> str:
        """Returns the address of the Checkout page that is made for a purchase; the same one if asked again."""

    def session(self, session: str) -> Session:
        """Returns a session."""

    def session_of(self, payment: str) -> str:
        """Returns the id of a payment's session; "" if there is none."""

    def taken_back(self, payment: str) -> list[TakenBack]:
        """Returns all refunds and disputes of a payment."""

    def refund(self, payment: str, cents: int, once: str) -> str:
        """Pays back a part of a payment, once for the text `once`; returns why it cannot be paid back, "" if it can."""

    def event(self, body: bytes, signature: str) -> Event:
        """Returns the event in a message. Raises ForgedEventError."""


def reference_of(checkout: str) -> str:
    """Returns the reference of the transaction for a purchase."""
    return f"stripe:{checkout}"


def mismatch(checkout: Checkout, session: Session) -> str:
    """Returns why a paid session is not what a purchase asked for; "" if it is."""
    if session.currency != CURRENCY:
        return f"it was paid in {session.currency}, not in {CURRENCY}"
    if session.cents * NANO_PER_CENT != checkout.amount_nano:
        return f"{session.cents} cents were paid for {checkout.amount_nano // NANO_PER_CENT}"
    return ""


def post_purchase(posting: Posting, checkout: Checkout, taken_back: Iterable[TakenBack]) -> int:
    """Posts a paid purchase, and what was taken back of it, as far as it is not; returns the number of transactions."""
    purchase, count = _once(
        posting,
        reference_of(checkout.id),
        lambda origin: posting.give("purchase", checkout.amount_nano, origin._replace(actor=checkout.actor or ACTOR)),
    )
    for each in taken_back:
        if each.currency != CURRENCY:
            log.error("a %s in %s cannot be posted", each.kind, each.currency, extra={"stripe_id": each.id})
        elif each.cents:
            count += _post_taken(posting, purchase, each)
    return count


def _post_taken(posting: Posting, purchase: Transaction, taken: TakenBack) -> int:
    """Posts a refund or dispute up to its present state, whichever states were heard of before."""
    kind: Kind = taken.kind
    held: Account = _HELD[taken.kind]
    nano, reference = taken.cents * NANO_PER_CENT, f"stripe:{taken.kind}:{taken.id}"
    lost = f"{reference}:lost"
    count = _once(posting, reference, lambda origin: posting.take_back(kind, purchase, nano, held, origin))[1]
    if taken.state == "lost" and not posting.is_posted(lost):
        posting.move(purchase, nano, held, "payments", Origin(lost, ACTOR))
        count += 1
    if taken.state == "returned":
        source: Account = "payments" if posting.is_posted(lost) else held
        give_back = lambda origin: posting.give_back(kind, purchase, nano, source, origin)  # noqa: E731
        count += _once(posting, f"{reference}:returned", give_back)[1]
    return count


_HELD: Final[Mapping[str, Account]] = MappingProxyType({"refund": "payments", "dispute": "disputed"})


def _once(posting: Posting, reference: str, post: Callable[[Origin], Transaction]) -> tuple[Transaction, int]:
    """Returns the transaction with this reference, and 1 if it was posted just now, else 0."""
    known = posting.is_posted(reference)
    return post(Origin(reference, ACTOR)), int(not known)


def check_amount(nano: int, least_dollars: int, most_dollars: int) -> None:
    """Raises BadCreditError unless an amount can be bought."""
    cents = 100 * NANO_PER_CENT
    if nano % NANO_PER_CENT or not least_dollars * cents <= nano <= most_dollars * cents:
        raise BadCreditError(f"An amount is whole cents, from {least_dollars} to {most_dollars} dollars.", "amount")
