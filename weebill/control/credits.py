"""The management API's endpoints for credits of organisations."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from weebill.accounts.audit import Author
from weebill.accounts.keyring import LedgerUnavailable
from weebill.accounts.pepper import read_pepper
from weebill.accounts.permissions import Actor
from weebill.accounts.tenants import DEFAULT_ORGANISATION
from weebill.billing.credits import Origin
from weebill.billing.errors import BadCreditError, CreditConflictError, UnknownTransactionError
from weebill.billing.money import dollars, read_dollars
from weebill.billing.rates import Rate
from weebill.billing.statements import as_csv, as_page, receipt
from weebill.billing.transactions import MOST_NOTE, Transaction
from weebill.billing.webhooks import Alert, check_alert, secret_of
from weebill.config.ledger_errors import LedgerError
from weebill.control.access import Asking
from weebill.control.answers import Json
from weebill.control.overview import Overview
from weebill.control.page import policy_of
from weebill.storage.credit_alerts import alert_of, set_alert
from weebill.storage.credit_stops import set_stop
from weebill.storage.credit_views import balance, statement
from weebill.storage.credits import CreditRows, credits_in, transactions
from weebill.storage.database import Database
from weebill.storage.owners import is_organisation
from weebill.storage.rates import add_rate, all_rates
from weebill.wire.errors import ApiError

T = TypeVar("T")

Organisation = Annotated[str, Field(max_length=100)]
Amount = Annotated[str, Field(max_length=40, description="Dollars, such as 12.50, with at most nine decimals.")]
Note = Annotated[str, Field(max_length=MOST_NOTE)]
Moment = Annotated[int, Query(ge=0, lt=2**40)]
Form = Literal["json", "csv", "html"]
_LATEST: Final = 2**40 - 1


class Body(BaseModel):
    """The body of a request; unknown members are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewGrant(Body):
    """The body of `POST /api/v1/credits/grants`; with a reference, it is made once, however often it is asked for."""

    amount: Amount
    organisation: Organisation = DEFAULT_ORGANISATION
    expires_at: Annotated[int, Field(ge=0, lt=2**40)] | None = None
    note: Note = ""
    reference: Annotated[str, Field(max_length=200)] = ""


class NewAdjustment(Body):
    """The body of `POST /api/v1/credits/adjustments`."""

    amount: Amount
    organisation: Organisation = DEFAULT_ORGANISATION
    note: Note = ""
    reference: Annotated[str, Field(max_length=200)] = ""


class NewAlert(Body):
    """The body of `PUT /api/v1/credits/alert`: None for no message, "" for no webhook or no mail."""

    organisation: Organisation = DEFAULT_ORGANISATION
    below: Amount | None
    url: Annotated[str, Field(max_length=1000)]
    mail: Annotated[str, Field(max_length=320)] = ""
    new_secret: bool = False


class NewStop(Body):
    """The body of `PUT /api/v1/credits/stop`."""

    organisation: Organisation = DEFAULT_ORGANISATION
    hard: bool


class NewRate(Body):
    """The body of `POST /api/v1/credits/rates`; without parts, a rate ends. It begins now by default."""

    project: Annotated[str, Field(max_length=100)] = ""
    model: Annotated[str, Field(max_length=200)] = "*"
    parts_per_million: Annotated[int, Field(ge=0, le=10**9)] | None
    valid_from: Annotated[int, Field(ge=0, lt=2**40)] | None = None
    note: Note = ""


class CreditRoutes:
    """Shows, gives and corrects credits, and sets what is billed."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self.router = APIRouter()
        self.router.add_api_route("/credits", self._show)
        self.router.add_api_route("/credits/transactions", self._list)
        self.router.add_api_route("/credits/transactions/{transaction}", self._transaction)
        self.router.add_api_route("/credits/grants", self._grant, methods=["POST"])
        self.router.add_api_route("/credits/adjustments", self._adjust, methods=["POST"])
        self.router.add_api_route("/credits/statement", self._statement)
        self.router.add_api_route("/credits/alert", self._alert)
        self.router.add_api_route("/credits/alert", self._set_alert, methods=["PUT"])
        self.router.add_api_route("/credits/stop", self._stop, methods=["PUT"])
        self.router.add_api_route("/credits/rates", self._rates)
        self.router.add_api_route("/credits/rates", self._add_rate, methods=["POST"])

    def _show(self, organisation: str = DEFAULT_ORGANISATION) -> Response:
        here = self._read(organisation, lambda connection: balance(connection, organisation))
        parts = [part._asdict() for part in here.parts]
        shown = {"balance": dollars(here.balance_nano), "available": dollars(here.available_nano)}
        return Json({"object": "credits", **here._asdict(), **shown, "parts": parts})

    def _list(
        self,
        organisation: str = DEFAULT_ORGANISATION,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Response:
        found = self._read(organisation, lambda connection: transactions(connection, organisation, limit, cursor))
        following = found[-1].id if len(found) == limit else None
        return Json({"object": "list", "data": list(map(shown, found)), "next_cursor": following})

    def _transaction(
        self,
        transaction: str,
        organisation: str = DEFAULT_ORGANISATION,
        form: Annotated[Form, Query(alias="format")] = "json",
    ) -> Response:
        found = self._read(organisation, lambda connection: CreditRows(connection).find(organisation, transaction))
        if found is None:
            raise ApiError(404, f"{organisation} has no transaction {transaction!r}.", code="transaction_not_found")
        if form == "json":
            return Json(shown(found))
        return _written(as_csv([found]), form) if form == "csv" else _written(receipt(found), form)

    def _grant(self, request: Request, new: NewGrant) -> Response:
        amount = amount_of(new.amount)
        with answering():
            self._check(new.organisation)
            origin = Origin(_reference("grant", new.organisation, new.reference), author_of(request).id, new.note)
            made = credits_in(self._ledger, author_of(request)).grant(new.organisation, amount, origin, new.expires_at)
        return Json(shown(made), 201)

    def _adjust(self, request: Request, new: NewAdjustment) -> Response:
        amount = amount_of(new.amount)
        with answering():
            self._check(new.organisation)
            origin = Origin(_reference("adjustment", new.organisation, new.reference), author_of(request).id, new.note)
            made = credits_in(self._ledger, author_of(request)).adjust(new.organisation, amount, origin)
        return Json(shown(made), 201)

    def _statement(
        self,
        organisation: str = DEFAULT_ORGANISATION,
        since: Moment = 0,
        until: Moment = _LATEST,
        form: Annotated[Form, Query(alias="format")] = "json",
    ) -> Response:
        end = min(until, int(time.time()) + 1)
        found = self._read(organisation, lambda connection: statement(connection, organisation, since, end))
        if form == "json":
            sums = {"begun_nano": found.begun_nano, "ended_nano": found.ended_nano}
            return Json(
                {
                    "object": "statement",
                    "organisation": organisation,
                    "since": since,
                    "until": end,
                    **sums,
                    "data": list(map(shown, found.transactions)),
                }
            )
        return _written(as_csv(found.transactions) if form == "csv" else as_page(found), form)

    def _alert(self, organisation: str = DEFAULT_ORGANISATION) -> Response:
        found = self._read(organisation, lambda connection: alert_of(connection, organisation))
        return self._told_alert(organisation, found or Alert(None, "", 0))

    def _set_alert(self, request: Request, new: NewAlert) -> Response:
        low = None if new.below is None else amount_of(new.below, "below")
        organisation = new.organisation

        def change(connection: Connection) -> Alert:
            known = alert_of(connection, organisation)
            if known is None:
                CreditRows(connection).lock(organisation)  # it has a balance from now on
            used = 0 if known is None else known.secrets
            wanted = Alert(low, new.url, used + (new.new_secret or not used), new.mail)
            set_alert(connection, organisation, wanted, int(time.time()), author_of(request))
            return wanted

        with answering():
            self._check(organisation)
            check_alert(low, new.url, new.mail)
            if new.mail and not self._overview.settings.mail.host:
                raise ApiError(
                    400, "No mail is sent here: set `host` in `[mail]`.", code="mail_not_configured", param="mail"
                )
            made = self._ledger.change(change)
        return self._told_alert(organisation, made)

    def _told_alert(self, organisation: str, alert: Alert) -> Response:
        below = None if alert.low_nano is None else dollars(alert.low_nano)
        with answering():
            pepper = read_pepper(self._overview.home.pepper)
        secret = secret_of(pepper, organisation, alert.secrets) if alert.secrets else None
        told = {"organisation": organisation, "below": below, "url": alert.url, "mail": alert.mail, "secret": secret}
        return Json({"object": "credits.alert", **told})

    def _stop(self, actor: Asking, new: NewStop) -> Response:
        def change(connection: Connection) -> None:
            CreditRows(connection).lock(new.organisation)
            set_stop(connection, new.organisation, hard=new.hard, author=actor.author)

        with answering():
            self._check(new.organisation)
            self._ledger.change(change)
        return self._show(new.organisation)

    def _rates(self) -> Response:
        with answering():
            found = self._ledger.read(all_rates)
        return Json({"object": "list", "data": [rate._asdict() for rate in found]})

    def _add_rate(self, request: Request, new: NewRate) -> Response:
        now, author = int(time.time()), author_of(request)
        rate = Rate(new.project, new.model, new.parts_per_million, now if new.valid_from is None else new.valid_from)
        with answering():
            self._ledger.change(lambda connection: add_rate(connection, rate, now, new.note, author.id, author))
        return Json(rate._asdict(), 201)

    def _read(self, organisation: str, query: Callable[[Connection], T]) -> T:
        with answering():
            self._check(organisation)
            return self._ledger.read(query)

    def _check(self, organisation: str) -> None:
        check_organisation(self._ledger, organisation)


def check_organisation(ledger: Database, organisation: str) -> None:
    """Raises ApiError 404 unless there is the organisation, LedgerError."""
    if not ledger.read(lambda connection: is_organisation(connection, organisation)):
        message = f"There is no organisation {organisation!r}."
        raise ApiError(404, message, code="organisation_not_found", param="organisation")


def shown(transaction: Transaction) -> dict[str, object]:
    """Returns a transaction as the API shows it: with amounts in dollars, too."""
    amounts = {"amount": dollars(transaction.amount_nano), "balance": dollars(transaction.balance_nano)}
    return {"object": "credits.transaction", **msgspec.structs.asdict(transaction), **amounts}


def amount_of(text: str, param: str = "amount") -> int:
    """Returns the nano-dollars of an amount. Raises ApiError 400."""
    try:
        return read_dollars(text)
    except ValueError as error:
        raise ApiError(400, f"{error}.", code="invalid_value", param=param) from None


def author_of(request: Request) -> Author:
    """Returns who has sent a request."""
    actor: Actor = request.state.actor
    return actor.author


@contextmanager
def answering() -> Iterator[None]:
    """Raises ApiError for what cannot be done with credits, LedgerUnavailable if the ledger fails."""
    try:
        yield
    except BadCreditError as error:
        raise ApiError(400, str(error), code="invalid_value", param=error.param) from error
    except UnknownTransactionError as error:
        raise ApiError(404, str(error), code="transaction_not_found") from error
    except CreditConflictError as error:
        raise ApiError(409, str(error), code="reference_used", param="reference") from error
    except LedgerError as error:
        raise LedgerUnavailable from error


def _reference(kind: str, organisation: str, reference: str) -> str:
    return f"{kind}:{organisation}:{reference or secrets.token_hex(8)}"


def _written(text: str, form: Form) -> Response:
    content = text.encode()
    if form == "csv":
        return Response(content, 200, {"content-disposition": 'attachment; filename="credits.csv"'}, "text/csv")
    return Response(content, 200, {"content-security-policy": policy_of(content)}, "text/html")
