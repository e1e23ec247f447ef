"""The tables of credits, in the ledger: double entry, append-only, and what is kept to read them fast."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Identity, Index, Named, Table, TypedColumns, text

from weebill.storage.tables.ledger import LEDGER
from weebill.storage.tables.types import Flag, String, Whole


class _CreditTransactions(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    name = Column(String, nullable=False, unique=True)
    organisation = Column(String, nullable=False)
    kind = Column(
        String,
        CheckConstraint("kind IN ('grant', 'purchase', 'refund', 'dispute', 'expiry', 'adjustment', 'settlement')"),
        nullable=False,
    )
    at = Column(Whole, nullable=False)
    amount_nano = Column(Whole, nullable=False)
    balance_nano = Column(Whole, nullable=False)
    expires_at: Named[int | None] = Column(Whole)
    reference = Column(String, nullable=False, unique=True)
    purchase = Column(String, nullable=False)
    note = Column(String, nullable=False)
    actor = Column(String, nullable=False)


CREDIT_TRANSACTIONS: Final = Table(
    "credit_transactions",
    LEDGER,
    _CreditTransactions,
    sqlite_strict=True,
    sqlite_autoincrement=True,  # or ids of rows that a backup lacks would be given again
)
"""Rows that are never changed or deleted; `name` is the id that people see."""
Index("credit_transactions_of_organisation", CREDIT_TRANSACTIONS.c.organisation, CREDIT_TRANSACTIONS.c.id)


class _CreditEntries(TypedColumns):
    transaction_id = Column(Whole, ForeignKey("credit_transactions.id"), primary_key=True, autoincrement=False)
    account = Column(String, primary_key=True)
    lot = Column(Whole, primary_key=True, autoincrement=False)
    amount_nano = Column(Whole, nullable=False)


CREDIT_ENTRIES: Final = Table("credit_entries", LEDGER, _CreditEntries, sqlite_strict=True, sqlite_with_rowid=False)
"""Rows that are never changed or deleted, and sum to zero for each transaction; `lot` is 0 where there is none."""


class _CreditLots(TypedColumns):
    id = Column(Whole, ForeignKey("credit_transactions.id"), primary_key=True, autoincrement=False)
    organisation = Column(String, nullable=False)
    expires_at: Named[int | None] = Column(Whole)
    left_nano = Column(Whole, CheckConstraint("left_nano >= 0"), nullable=False)


CREDIT_LOTS: Final = Table("credit_lots", LEDGER, _CreditLots, sqlite_strict=True)
"""The sum of each lot's entries, to read it fast."""
_LEFT: Final = CREDIT_LOTS.c.left_nano > 0
Index("credit_lots_left", CREDIT_LOTS.c.organisation, sqlite_where=_LEFT)
Index("credit_lots_by_end", CREDIT_LOTS.c.expires_at, sqlite_where=_LEFT)


class _CreditStandings(TypedColumns):
    organisation = Column(String, primary_key=True)
    balance_nano = Column(Whole, nullable=False)
    posted_nano = Column(Whole, CheckConstraint("posted_nano >= 0"), nullable=False)
    low_nano: Named[int | None] = Column(Whole)
    low_told = Column(Flag, nullable=False)
    webhook_url = Column(String, nullable=False)
    webhook_secrets = Column(Whole, nullable=False)
    mail = Column(String, nullable=False, server_default="")


CREDIT_STANDINGS: Final = Table(
    "credit_standings", LEDGER, _CreditStandings, sqlite_strict=True, sqlite_with_rowid=False
)
"""Of each organisation that has had credits: its latest balance, and how much of `credit_usage` is posted.

Below `low_nano`, its webhook and the address `mail` are told once (`low_told`); `webhook_secrets` counts its secrets.
"""


class _CreditStops(TypedColumns):
    organisation = Column(String, primary_key=True)
    limit_id = Column(Whole, ForeignKey("limits.id"), nullable=False)


CREDIT_STOPS: Final = Table("credit_stops", LEDGER, _CreditStops, sqlite_strict=True, sqlite_with_rowid=False)
"""The organisations that are refused once their credits are used up, and the limits that do so."""


class _CreditUsage(TypedColumns):
    organisation = Column(String, primary_key=True)
    billed_nano = Column(Whole, CheckConstraint("billed_nano >= 0"), nullable=False)
    cost_nano = Column(Whole, CheckConstraint("cost_nano >= 0"), nullable=False)
    unpriced = Column(Whole, nullable=False)


CREDIT_USAGE: Final = Table("credit_usage", LEDGER, _CreditUsage, sqlite_strict=True, sqlite_with_rowid=False)
"""Sums of what organisations were billed so far, and of what that has cost; ingestion adds to it.

Requests of unknown price are counted in `unpriced`.
"""


class _CreditRates(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    project = Column(String, nullable=False)
    model = Column(String, nullable=False)
    parts_per_million: Named[int | None] = Column(Whole, CheckConstraint("parts_per_million >= 0"))
    valid_from = Column(Whole, nullable=False)
    made_at = Column(Whole, nullable=False)
    note = Column(String, nullable=False)
    actor = Column(String, nullable=False)


CREDIT_RATES: Final = Table("credit_rates", LEDGER, _CreditRates, sqlite_strict=True, sqlite_autoincrement=True)
"""The nano-dollars billed of a million that a request has cost, from a time on; rows are never changed.

`project` is "" for all; `model` is a pattern; without parts, the rate for that project and pattern ends.
"""


class _CreditCheckouts(TypedColumns):
    id = Column(String, primary_key=True)
    organisation = Column(String, nullable=False)
    amount_nano = Column(Whole, CheckConstraint("amount_nano > 0"), nullable=False)
    payment = Column(String, nullable=False)
    made_at = Column(Whole, nullable=False)
    actor = Column(String, nullable=False)
    refunding_nano = Column(Whole, nullable=False, server_default=text("0"))
    refunding_at = Column(Whole, nullable=False, server_default=text("0"))


CREDIT_CHECKOUTS: Final = Table(
    "credit_checkouts", LEDGER, _CreditCheckouts, sqlite_strict=True, sqlite_with_rowid=False
)
"""The purchases that Stripe's Checkout sessions were made for, and once one is paid, Stripe's name of the payment.

`refunding_nano` is what Stripe is asked to pay back, at `refunding_at`, until that is posted.
"""
Index("credit_checkouts_of_organisation", CREDIT_CHECKOUTS.c.organisation, CREDIT_CHECKOUTS.c.made_at)


class _StripeEvents(TypedColumns):
    id = Column(String, primary_key=True)
    kind = Column(String, nullable=False)
    at = Column(Whole, nullable=False)
    result = Column(String, nullable=False)


STRIPE_EVENTS: Final = Table("stripe_events", LEDGER, _StripeEvents, sqlite_strict=True, sqlite_with_rowid=False)
"""Events of Stripe's that were handled, and what came of them."""
Index("stripe_events_by_time", STRIPE_EVENTS.c.at)


class _WebhookDeliveries(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    message = Column(String, nullable=False, unique=True)
    organisation = Column(String, nullable=False)
    body = Column(String, nullable=False)
    made_at = Column(Whole, nullable=False)
    attempts = Column(Whole, nullable=False)
    due_at: Named[int | None] = Column(Whole)
    result = Column(String, nullable=False)
    mail = Column(String, nullable=False, server_default="")


WEBHOOK_DELIVERIES: Final = Table(
    "webhook_deliveries", LEDGER, _WebhookDeliveries, sqlite_strict=True, sqlite_autoincrement=True
)
"""Messages to organisations' webhooks, or to an address; `due_at` is None once there is nothing more to try."""
Index("webhook_deliveries_due", WEBHOOK_DELIVERIES.c.due_at, sqlite_where=WEBHOOK_DELIVERIES.c.due_at.is_not(None))
