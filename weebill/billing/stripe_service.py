"""Stripe by its own library, which is an extra: Checkout sessions, refunds, disputes, and events with signatures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import stripe

from weebill.billing.money import NANO_PER_CENT
from weebill.billing.purchases import (
    CURRENCY,
    Checkout,
    Event,
    ForgedEventError,
    Session,
    StripeFailedError,
    TakenBack,
)
from weebill.config.credits import StripeSettings

if TYPE_CHECKING:
    from stripe import Dispute, Refund
    from stripe.checkout import Session as CheckoutSession

_MARK: Final = "weebill_checkout"
_MOST: Final = 100  # refunds, or disputes, of one payment
_RETRIES: Final = 2
# A dispute with such a status holds nothing back: an inquiry, or one that was prevented.
_HOLDS_NOTHING: Final = ("warning_", "prevented")
_RETURNED: Final = frozenset({"failed", "canceled"})


class StripeService:
    """The `PaymentService` of `weebill.billing.purchases`. May be used in any thread."""

    def __init__(self, settings: StripeSettings) -> None:
        self._settings = settings
        self._client = stripe.StripeClient(
            settings.secret_key or "",
            base_addresses={"api": settings.api_base},
            http_client=stripe.RequestsClient(timeout=settings.timeout_s),
            max_network_retries=_RETRIES,
        )

    def begin(self, checkout: Checkout) -> str:
        """Returns the address of the Checkout page for a purchase."""
        with _failing():
            session = self._client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": CURRENCY,
                                "unit_amount": checkout.amount_nano // NANO_PER_CENT,
                                "product_data": {"name": "Credits"},
                            },
                        }
                    ],
                    "success_url": self._settings.success_url,
                    "cancel_url": self._settings.cancel_url,
                    "metadata": {_MARK: checkout.id},
                    "payment_intent_data": {"metadata": {_MARK: checkout.id}},
                },
                {"idempotency_key": checkout.id},
            )
        if not session.url:
            raise StripeFailedError("Stripe has made a Checkout session without an address.")
        return session.url

    def session(self, session: str) -> Session:
        """Returns a session."""
        with _failing():
            found = self._client.v1.checkout.sessions.retrieve(session)
        return Session(
            found.id,
            _marked(found),
            _id(found.payment_intent),
            found.amount_total or 0,
            found.currency or "",
            found.payment_status == "paid",
        )

    def session_of(self, payment: str) -> str:
        """Returns the id of a payment's session; "" if there is none."""
        with _failing():
            found = self._client.v1.checkout.sessions.list({"payment_intent": payment, "limit": 1})
        return found.data[0].id if found.data else ""

    def taken_back(self, payment: str) -> list[TakenBack]:
        """Returns all refunds and disputes of a payment."""
        with _failing():
            refunds = self._client.v1.refunds.list({"payment_intent": payment, "limit": _MOST}).data
            disputes = self._client.v1.disputes.list({"payment_intent": payment, "limit": _MOST}).data
        # Stripe lists the newest first.
        found = [*map(_refund, reversed(refunds)), *map(_dispute, reversed(disputes))]
        return [each for each in found if each is not None]

    def refund(self, payment: str, cents: int, once: str) -> str:
        """Pays back a part of a payment; returns why it cannot be paid back, "" if it can.

        Source of the states: https://docs.stripe.com/api/refunds/object#refund_object-status
        """
        with _failing():
            made = self._client.v1.refunds.create(
                {"payment_intent": payment, "amount": cents}, {"idempotency_key": once}
            )
        if made.status not in ("failed", "canceled"):
            return ""
        return f"Stripe says {made.status!r}, {getattr(made, 'failure_reason', None) or 'without a reason'}"

    def event(self, body: bytes, signature: str) -> Event:
        """Returns the event in a message. Raises ForgedEventError."""
        settings = self._settings
        try:
            stripe.WebhookSignature.verify_header(body, signature, settings.webhook_secret, int(settings.tolerance_s))
            found = _event(body)
        except (ValueError, msgspec.MsgspecError, stripe.SignatureVerificationError):
            raise ForgedEventError("The signature does not fit the body, or is too old.") from None
        subject = found.data.object
        session = subject.id if subject.object == "checkout.session" else ""
        payment = subject.payment_intent
        return Event(found.id, found.type, session, payment.id if isinstance(payment, _Named) else payment or "")


class _Named(msgspec.Struct):
    id: str


class _Subject(msgspec.Struct):
    object: str
    id: str = ""
    payment_intent: str | _Named | None = None


class _Data(msgspec.Struct):
    object: _Subject


class _Event(msgspec.Struct):
    id: str
    type: str
    data: _Data


_event: Final = msgspec.json.Decoder(_Event).decode


def _marked(session: CheckoutSession) -> str:
    metadata = session.metadata
    return metadata[_MARK] if metadata is not None and _MARK in metadata else ""


def _refund(refund: Refund) -> TakenBack:
    state: Literal["returned", "taken"] = "returned" if refund.status in _RETURNED else "taken"
    return TakenBack(refund.id, "refund", refund.amount, refund.currency, state)


def _dispute(dispute: Dispute) -> TakenBack | None:
    if dispute.status.startswith(_HOLDS_NOTHING):
        return None
    states: dict[str, Literal["returned", "lost"]] = {"won": "returned", "lost": "lost"}
    return TakenBack(dispute.id, "dispute", dispute.amount, dispute.currency, states.get(dispute.status, "taken"))


def _id(expandable: object) -> str:
    """Returns the id of an object that Stripe gives by its id, or whole."""
    return expandable if isinstance(expandable, str) else str(getattr(expandable, "id", ""))


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except stripe.StripeError as error:
        # Its message may quote a part of the key.
        raise StripeFailedError(
            f"Stripe does not do it: {type(error).__name__} ({error.code or error.http_status})."
        ) from error
