"""Statements and receipts: an organisation's transactions as CSV, and as a page that prints well."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from weebill.billing.errors import BadCreditError
from weebill.billing.money import dollars
from weebill.billing.transactions import Transaction

MOST_LISTED: Final = 10_000
_HEADINGS: Final = ("time", "transaction", "kind", "amount_usd", "balance_usd", "expires", "reference", "note", "by")
_NAMES: Final = {
    "grant": "Credits granted",
    "purchase": "Credits purchased",
    "refund": "Refund",
    "dispute": "Dispute of a payment",
    "expiry": "Credits expired",
    "adjustment": "Adjustment",
    "settlement": "Usage",
}
# A spreadsheet takes such texts for formulas.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_PAGE: Final = Path(__file__).with_name("statement.html")


class Statement(NamedTuple):
    """Transactions of an organisation from `since` until before `until` (Unix seconds), oldest first.

    `opening_nano` is the balance before them, for the case that there are none.
    """

    organisation: str
    since: int
    until: int
    opening_nano: int
    transactions: Sequence[Transaction]

    @property
    def begun_nano(self) -> int:
        """The balance before the first transaction."""
        first = self.transactions[0] if self.transactions else None
        return self.opening_nano if first is None else first.balance_nano - first.amount_nano

    @property
    def ended_nano(self) -> int:
        """The balance after the last transaction."""
        return self.transactions[-1].balance_nano if self.transactions else self.opening_nano


def check_span(since: int, until: int) -> None:
    """Raises BadCreditError for a statement that would end before it begins."""
    if since > until:
        raise BadCreditError("A statement begins before it ends.", "since")


def as_csv(transactions: Sequence[Transaction]) -> str:
    """Returns transactions as CSV (RFC 4180) with exact amounts; texts that look like formulas are quoted by a `'`."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_HEADINGS)
    for each in transactions:
        ends = "" if each.expires_at is None else _time(each.expires_at)
        texts = map(harmless, (each.reference, each.note, each.actor))
        amounts = (dollars(each.amount_nano), dollars(each.balance_nano))
        writer.writerow((_time(each.at), each.id, each.kind, *amounts, ends, *texts))
    return file.getvalue()


def as_page(statement: Statement) -> str:
    """Returns a statement as HTML; everything in it that anybody has written is escaped."""
    facts = {
        "Organisation": statement.organisation,
        "From": _time(statement.since),
        "Until": _time(statement.until),
        "Balance before": f"${dollars(statement.begun_nano)}",
        "Balance after": f"${dollars(statement.ended_nano)}",
    }
    return _page(f"Statement of {statement.organisation}", facts, statement.transactions)


def receipt(transaction: Transaction) -> str:
    """Returns the receipt of one transaction as HTML."""
    facts = {
        "Organisation": transaction.organisation,
        "Transaction": transaction.id,
        "Reference": transaction.reference,
    }
    if transaction.purchase:
        facts["Of purchase"] = transaction.purchase
    return _page(f"Receipt: {_NAMES[transaction.kind]}", facts, [transaction])


def _page(title: str, facts: dict[str, str], transactions: Sequence[Transaction]) -> str:
    told = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    rows = "".join(map(_row, transactions)) or '<tr><td colspan="4">No transactions.</td></tr>'
    page = Template(_PAGE.read_text("utf-8"))
    return page.substitute(title=escape(title), facts=told, rows=rows)


def _row(each: Transaction) -> str:
    what = f"<strong>{escape(_NAMES[each.kind])}</strong>"
    if each.expires_at is not None:
        what += f" until {_time(each.expires_at)}"
    if each.note:
        what += f"<br>{escape(each.note)}"
    what += f"<br><small>{escape(each.id)}</small>"
    amounts = "".join(f'<td class="amount">{dollars(nano)}</td>' for nano in (each.amount_nano, each.balance_nano))
    return f"<tr><td>{_time(each.at)}</td><td>{what}</td>{amounts}</tr>"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def harmless(text: str) -> str:
    """Returns a text as a cell of a table, so that it is no formula there, whoever has written it."""
    return f"'{text}" if text.startswith(_FORMULAS) else text
