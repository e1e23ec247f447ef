"""The endpoints for purchases of credits: begin one, hear Stripe's events, refund one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Final

from fastapi import Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from weebill.accounts.tenants import DEFAULT_ORGANISATION
from weebill.billing.purchases import ForgedEventError, PaymentService, StripeFailedError
from weebill.config.credits import StripeSettings
from weebill.control.access import Asking
from weebill.control.answers import Created, Json
from weebill.control.credit_shapes import CheckoutShown, Heard, TransactionShown, shown
from weebill.control.credits import (
    Amount,
    Body,
    Organisation,
    amount_of,
    answering,
    asked_organisation,
    author_of,
    check_organisation,
)
from weebill.control.listing import Whole
from weebill.control.overview import Overview
from weebill.control.routing import Routes
from weebill.storage.database import Database
from weebill.storage.purchases import Purchases
from weebill.wire.errors import ApiError

_RETRY_S: Final = 5


class NewCheckout(Body):
    """The body of `POST /api/v1/credits/checkout`."""

    amount: Amount
    organisation: Organisation | None = None


class NewRefund(Body):
    """The body of `POST /api/v1/credits/refunds`: of the rest of a purchase, unless there is an amount.

    More than is left of the organisation's credits takes `force`.
    """

    transaction: Annotated[str, Field(max_length=100)]
    organisation: Organisation = DEFAULT_ORGANISATION
    amount: Amount | None = None
    force: bool = False


class PurchaseRoutes:
    """Purchases by the present settings. `public` checks signatures itself."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self._lock = Lock()
        self._known: tuple[StripeSettings, PaymentService] | None = None
        self.routes: Routes = {"POST /credits/checkout": self._begin, "POST /credits/refunds": self._refund}
        self.public: Routes = {"POST /stripe/webhook": self._hear}

    def _begin(self, actor: Asking, new: NewCheckout) -> Created[CheckoutShown]:
        """Begins a purchase of credits."""
        amount = amount_of(new.amount)
        organisation = asked_organisation(self._ledger, actor, "credits.buy", new.organisation)
        with answering(), _stripe():
            check_organisation(self._ledger, organisation)
            begun = self._purchases().begin(organisation, amount, actor.author.id)
        return Created(CheckoutShown(id=begun.id, url=begun.url))

    def _refund(self, request: Request, new: NewRefund) -> Created[Whole[TransactionShown]]:
        """Pays a purchase back, or a part of it."""
        amount = None if new.amount is None else amount_of(new.amount)
        with answering(), _stripe():
            check_organisation(self._ledger, new.organisation)
            taken = self._purchases().refund(
                new.organisation, new.transaction, amount, force=new.force, author=author_of(request)
            )
        return Created(Whole(data=list(map(shown, taken))))

    async def _hear(self, request: Request) -> Json[Heard]:
        """Takes an event of Stripe's, whose signature is checked."""
        body, signature = await request.body(), request.headers.get("stripe-signature", "")
        return await run_in_threadpool(self._heard, body, signature)

    def _heard(self, body: bytes, signature: str) -> Json[Heard]:
        with answering(), _stripe():
            event = self._service().event(body, signature)
            result = self._purchases().hear(event)
        return Json(Heard(result=result))

    def _purchases(self) -> Purchases:
        return Purchases(self._ledger, self._service(), self._overview.settings.stripe)

    def _service(self) -> PaymentService:
        """Returns Stripe as it is configured now. Raises ApiError if it is not."""
        settings = self._overview.settings.stripe
        if not settings.is_on:
            message = "Purchases are not configured: the operator sets [stripe] in the configuration."
            raise ApiError(404, message, code="stripe_not_configured")
        with self._lock:
            if self._known is None or self._known[0] != settings:
                try:
                    from weebill.billing.stripe_service import StripeService  # its library is an extra
                except ImportError:
                    message = "Purchases take the extra `stripe`: the operator installs `weebill[stripe]`."
                    raise ApiError(501, message, code="stripe_not_installed") from None
                self._known = settings, StripeService(settings)
            return self._known[1]


@contextmanager
def _stripe() -> Iterator[None]:
    """Raises ApiError for messages that are not Stripe's, and if Stripe fails."""
    try:
        yield
    except ForgedEventError as error:
        raise ApiError(400, str(error), code="invalid_signature") from error
    except StripeFailedError as error:
        raise ApiError(503, f"{error} Try again.", code="stripe_unavailable", retry_after=_RETRY_S) from error
