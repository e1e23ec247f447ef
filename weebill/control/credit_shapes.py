"""Credits as the management API shows them; amounts are in nano-dollars, and in dollars as text where it says so."""

from __future__ import annotations

from typing import Literal

import msgspec

from weebill.billing.money import dollars
from weebill.billing.rates import Rate
from weebill.billing.statements import Statement
from weebill.billing.transactions import Transaction
from weebill.billing.webhooks import Alert
from weebill.storage.credit_views import Balance


class PartShown(msgspec.Struct, frozen=True, kw_only=True):
    """Credits that end at one time (Unix seconds), null for never."""

    expires_at: int | None
    left_nano: int


class CreditsShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="credits"):
    """An organisation's credits: what is available is the balance less the usage that is not posted yet.

    `billed_nano` and `cost_nano` are of all its usage; `unpriced` counts requests whose price is not known. With a
    `hard_stop`, its requests are refused once nothing is available. `balance`, `available`, `billed` and `cost` are
    the same in dollars, exactly, where numbers may be beyond what a reader of JSON represents.
    """

    organisation: str
    balance_nano: int
    available_nano: int
    billed_nano: int
    cost_nano: int
    unpriced: int
    parts: list[PartShown]
    hard_stop: bool
    balance: str
    available: str
    billed: str
    cost: str


class TransactionShown(Transaction, frozen=True, kw_only=True, tag_field="object", tag="credits.transaction"):
    """A change of an organisation's credits, once and for good. Times are Unix seconds.

    `amount_nano` is the change of the balance, and `balance_nano` the balance after it; `amount` and `balance` are the
    same in dollars. `purchase` is the id of the purchase that a refund or a dispute is of.
    """

    amount: str
    balance: str


class StatementShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="statement"):
    """The transactions of an organisation from `since` until before `until` (Unix seconds), oldest first."""

    organisation: str
    since: int
    until: int
    begun_nano: int
    ended_nano: int
    data: list[TransactionShown]


class AlertShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="credits.alert"):
    """The balance in dollars below which a message is sent, null for none; its webhook with its secret, its mail."""

    organisation: str
    below: str | None
    url: str
    mail: str
    secret: str | None


class RateShown(msgspec.Struct, frozen=True, kw_only=True):
    """The parts per million of a cost that are billed from `valid_from` (Unix seconds) on; null ends a rate."""

    project: str
    model: str
    parts_per_million: int | None
    valid_from: int


class CheckoutShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="credits.checkout"):
    """A purchase that is begun; it is paid at `url`."""

    id: str
    url: str


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an event."""

    received: Literal[True] = True
    result: str


def shown(transaction: Transaction) -> TransactionShown:
    """Returns a transaction, with amounts in dollars, too."""
    return TransactionShown(
        **msgspec.structs.asdict(transaction),
        amount=dollars(transaction.amount_nano),
        balance=dollars(transaction.balance_nano),
    )


def shown_balance(here: Balance) -> CreditsShown:
    """Returns a balance, with amounts in dollars, too."""
    parts = [PartShown(**part._asdict()) for part in here.parts]
    return CreditsShown(
        **{**here._asdict(), "parts": parts},
        balance=dollars(here.balance_nano),
        available=dollars(here.available_nano),
        billed=dollars(here.billed_nano),
        cost=dollars(here.cost_nano),
    )


def shown_statement(statement: Statement) -> StatementShown:
    """Returns a statement."""
    return StatementShown(
        organisation=statement.organisation,
        since=statement.since,
        until=statement.until,
        begun_nano=statement.begun_nano,
        ended_nano=statement.ended_nano,
        data=list(map(shown, statement.transactions)),
    )


def shown_alert(organisation: str, alert: Alert, secret: str | None) -> AlertShown:
    """Returns an alert with its secret, None if it has none yet."""
    below = None if alert.low_nano is None else dollars(alert.low_nano)
    return AlertShown(organisation=organisation, below=below, url=alert.url, mail=alert.mail, secret=secret)


def shown_rate(rate: Rate) -> RateShown:
    """Returns a rate."""
    return RateShown(**rate._asdict())
