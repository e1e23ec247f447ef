"""The management API's endpoints for credits of organisations."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Literal, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from weebill.accounts.audit import Author
from weebill.accounts.pepper import read_pepper
from weebill.accounts.permissions import Actor, Permission
from weebill.accounts.tenants import DEFAULT_ORGANISATION
from weebill.billing.credits import Origin
from weebill.billing.errors import BadCreditError, CreditConflictError, RateConflictError, UnknownTransactionError
from weebill.billing.money import read_dollars
from weebill.billing.rates import Rate
from weebill.billing.statements import as_csv, as_page, check_span, receipt
from weebill.billing.transactions import MOST_NOTE
from weebill.billing.webhooks import Alert, check_alert, secret_of
from weebill.config.ledger_errors import LedgerError
from weebill.control.access import Asking, check
from weebill.control.answers import Created, Json, Text, failure
from weebill.control.credit_shapes import (
    AlertShown,
    CreditsShown,
    RateShown,
    StatementShown,
    TransactionShown,
    shown,
    shown_alert,
    shown_balance,
    shown_rate,
    shown_statement,
)
from weebill.control.listing import Paged, Whole
from weebill.control.overview import Overview
from weebill.control.page import policy_of
from weebill.control.routing import Routes
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
Asked = Annotated[str | None, Query(max_length=100)]
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

    organisation: Organisation | None = None
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
        self.routes: Routes = {
            "GET /credits": self._show,
            "GET /credits/transactions": self._list,
            "GET /credits/transactions/{transaction}": self._transaction,
            "POST /credits/grants": self._grant,
            "POST /credits/adjustments": self._adjust,
            "GET /credits/statement": self._statement,
            "GET /credits/alert": self._alert,
            "PUT /credits/alert": self._set_alert,
            "PUT /credits/stop": self._stop,
            "GET /credits/rates": self._rates,
            "POST /credits/rates": self._add_rate,
        }

    def _show(self, actor: Asking, organisation: Asked = None) -> Json[CreditsShown]:
        """Shows the credits of an organisation."""
        return Json(shown_balance(self._read(actor, organisation, balance)))

    def _list(
        self,
        actor: Asking,
        organisation: Asked = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Json[Paged[TransactionShown]]:
        """Lists the transactions of an organisation, newest first."""
        found = self._read(actor, organisation, lambda connection, of: transactions(connection, of, limit, cursor))
        following = found[-1].id if len(found) == limit else None
        return Json(Paged(data=list(map(shown, found)), next_cursor=following))

    def _transaction(
        self,
        actor: Asking,
        transaction: str,
        organisation: Asked = None,
        form: Annotated[Form, Query(alias="format")] = "json",
    ) -> Json[TransactionShown] | Text:
        """Shows a transaction; as HTML, its receipt."""
        found = self._read(actor, organisation, lambda connection, of: CreditRows(connection).find(of, transaction))
        if found is None:
            raise ApiError(404, f"There is no transaction {transaction!r}.", code="transaction_not_found")
        if form == "json":
            return Json(shown(found))
        return _written(as_csv([found]), form) if form == "csv" else _written(receipt(found), form)

    def _grant(self, request: Request, new: NewGrant) -> Created[TransactionShown]:
        """Gives an organisation credits."""
        amount = amount_of(new.amount)
        with answering():
            self._check(new.organisation)
            origin = Origin(_reference("grant", new.organisation, new.reference), author_of(request).id, new.note)
            made = credits_in(self._ledger, author_of(request)).grant(new.organisation, amount, origin, new.expires_at)
        return Created(shown(made))

    def _adjust(self, request: Request, new: NewAdjustment) -> Created[TransactionShown]:
        """Corrects the credits of an organisation, up or down."""
        amount = amount_of(new.amount)
        with answering():
            self._check(new.organisation)
            origin = Origin(_reference("adjustment", new.organisation, new.reference), author_of(request).id, new.note)
            made = credits_in(self._ledger, author_of(request)).adjust(new.organisation, amount, origin)
        return Created(shown(made))

    def _statement(
        self,
        actor: Asking,
        organisation: Asked = None,
        since: Moment = 0,
        until: Moment = _LATEST,
        form: Annotated[Form, Query(alias="format")] = "json",
    ) -> Json[StatementShown] | Text:
        """Shows the statement of an organisation over a time."""
        with answering():
            check_span(since, until)
        end = min(until, int(time.time()) + 1)
        found = self._read(actor, organisation, lambda connection, of: statement(connection, of, since, end))
        if form == "json":
            return Json(shown_statement(found))
        return _written(as_csv(found.transactions) if form == "csv" else as_page(found), form)

    def _alert(self, actor: Asking, organisation: Asked = None) -> Json[AlertShown]:
        """Shows below which balance a message is sent, and where to."""
        named = asked_organisation(self._ledger, actor, "credits.read", organisation)
        found = self._read(actor, named, alert_of)
        return self._shown_alert(named, found or Alert(None, "", 0))

    def _set_alert(self, actor: Asking, new: NewAlert) -> Json[AlertShown]:
        """Sets below which balance a message is sent, and where to."""
        low = None if new.below is None else amount_of(new.below, "below")
        organisation = asked_organisation(self._ledger, actor, "credits.buy", new.organisation)

        def change(connection: Connection) -> Alert:
            known = alert_of(connection, organisation)
            if known is None:
                CreditRows(connection).lock(organisation)  # it has a balance from now on
            used = 0 if known is None else known.secrets
            wanted = Alert(low, new.url, used + (new.new_secret or not used), new.mail)
            set_alert(connection, organisation, wanted, int(time.time()), actor.author)
            return wanted

        with answering():
            self._check(organisation)
            check_alert(low, new.url, new.mail, private=self._overview.settings.credits.private_webhooks)
            if new.mail and not self._overview.settings.mail.host:
                raise ApiError(
                    400, "No mail is sent here: set `host` in `[mail]`.", code="mail_not_configured", param="mail"
                )
            made = self._ledger.change(change)
        return self._shown_alert(organisation, made)

    def _shown_alert(self, organisation: str, alert: Alert) -> Json[AlertShown]:
        with answering():
            pepper = read_pepper(self._overview.home.pepper)
        secret = secret_of(pepper, organisation, alert.secrets) if alert.secrets else None
        return Json(shown_alert(organisation, alert, secret))

    def _stop(self, actor: Asking, new: NewStop) -> Json[CreditsShown]:
        """Sets if requests are refused once no credits are available."""

        def change(connection: Connection) -> None:
            CreditRows(connection).lock(new.organisation)
            set_stop(connection, new.organisation, hard=new.hard, author=actor.author)

        with answering():
            self._check(new.organisation)
            self._ledger.change(change)
        return self._show(actor, new.organisation)

    def _rates(self) -> Json[Whole[RateShown]]:
        """Lists which parts of a cost are billed, with their history."""
        with answering():
            found = self._ledger.read(all_rates)
        return Json(Whole(data=list(map(shown_rate, found))))

    def _add_rate(self, request: Request, new: NewRate) -> Created[RateShown]:
        """Adds a rate: which part of a cost is billed from some time on."""
        now, author = int(time.time()), author_of(request)
        rate = Rate(new.project, new.model, new.parts_per_million, now if new.valid_from is None else new.valid_from)
        with answering():
            made = self._ledger.change(
                lambda connection: add_rate(
                    connection, rate, now, new.note, author.id, author, soonest=new.valid_from is None
                )
            )
        return Created(shown_rate(made))

    def _read(self, actor: Actor, organisation: str | None, query: Callable[[Connection, str], T]) -> T:
        """Returns the result of a query about the organisation that is asked for, which the actor may see."""
        named = asked_organisation(self._ledger, actor, "credits.read", organisation)
        with answering():
            self._check(named)
            return self._ledger.read(lambda connection: query(connection, named))

    def _check(self, organisation: str) -> None:
        check_organisation(self._ledger, organisation)


def asked_organisation(ledger: Database, actor: Actor, permission: Permission, organisation: str | None) -> str:
    """Returns the organisation that is asked for: if none is named, the own one, or the installation's first.

    Raises ApiError 400, 403, and 404 for one that the actor may not know of.
    """
    if organisation is None:
        if not actor.installation and len(actor.roles) > 1:
            message = "You belong to several organisations: say which one."
            raise ApiError(400, message, code="invalid_value", param="organisation")
        organisation = DEFAULT_ORGANISATION if actor.installation else next(iter(actor.roles), DEFAULT_ORGANISATION)
    check(ledger, actor, permission, {"organization_id": organisation})
    return organisation


def check_organisation(ledger: Database, organisation: str) -> None:
    """Raises ApiError 404 unless there is the organisation, LedgerError."""
    if not ledger.read(lambda connection: is_organisation(connection, organisation)):
        message = f"There is no organisation {organisation!r}."
        raise ApiError(404, message, code="organisation_not_found", param="organisation")


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
    except RateConflictError as error:
        raise ApiError(409, str(error), code="rate_exists", param="valid_from") from error
    except LedgerError as error:
        raise failure(error) from error


def _reference(kind: str, organisation: str, reference: str) -> str:
    return f"{kind}:{organisation}:{reference or secrets.token_hex(8)}"


def _written(text: str, form: Literal["csv", "html"]) -> Text:
    if form == "csv":
        return Text(text, "text/csv", {"content-disposition": 'attachment; filename="credits.csv"'})
    return Text(text, "text/html", {"content-security-policy": policy_of(text.encode())})
