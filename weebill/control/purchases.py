"""The endpoints for purchases of credits: begin one, hear Stripe's events, refund one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from weebill.accounts.tenants import DEFAULT_ORGANISATION
from weebill.billing.purchases import ForgedEventError, PaymentService, StripeFailedError
from weebill.config.credits import StripeSettings
from weebill.control.answers import Json
from weebill.control.credits import (
    Amount,
    Body,
    Organisation,
    amount_of,
    answering,
    author_of,
    check_organisation,
    shown,
)
from weebill.control.overview import Overview
from weebill.storage.database import Database
from weebill.storage.purchases import Purchases
from weebill.wire.errors import ApiError

_RETRY_S: Final = 5


class NewCheckout(Body):
    """The body of `POST /api/v1/credits/checkout`."""

    amount: Amount
    organisation: Organisation = DEFAULT_ORGANISATION


class NewRefund(Body):
    """The body of `POST /api/v1/credits/refunds`: of the rest of a purchase, unless there is an amount.

    More than is left of the organisation's credits takes `force`.
    """

    transaction: Annotated[str, Field(max_length=100)]
    organisation: Organisation = DEFAULT_ORGANISATION
    amount: Amount | None = None
    force: bool = False


class PurchaseRoutes:
    """Purchases by the present settings. `router` is for admins, and `public` checks signatures itself."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self._lock = Lock()
        self._known: tuple[StripeSettings, PaymentService] | None = None
        self.router = APIRouter()
        self.router.add_api_route("/credits/checkout", self._begin, methods=["POST"])
        self.router.add_api_route("/credits/refunds", self._refund, methods=["POST"])
        self.public = APIRouter()
        self.public.add_api_route("/stripe/webhook", self._hear, methods=["POST"])

    def _begin(self, request: Request, new: NewCheckout) -> Response:
        amount = amount_of(new.amount)
        with answering(), _stripe():
            check_organisation(self._ledger, new.organisation)
            begun = self._purchases().begin(new.organisation, amount, author_of(request).id)
        return Json({"object": "credits.checkout", "id": begun.id, "url": begun.url}, 201)

    def _refund(self, request: Request, new: NewRefund) -> Response:
        amount = None if new.amount is None else amount_of(new.amount)
        with answering(), _stripe():
            check_organisation(self._ledger, new.organisation)
            taken = self._purchases().refund(
                new.organisation, new.transaction, amount, force=new.force, author=author_of(request)
            )
        return Json({"object": "list", "data": list(map(shown, taken))}, 201)

    async def _hear(self, request: Request) -> Response:
        body, signature = await request.body(), request.headers.get("stripe-signature", "")
        return await run_in_threadpool(self._heard, body, signature)

    def _heard(self, body: bytes, signature: str) -> Response:
        with answering(), _stripe():
            event = self._service().event(body, signature)
            result = self._purchases().hear(event)
        return Json({"received": True, "result": result})

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
