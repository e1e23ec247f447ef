"""The rows of the ledger of credits: transactions, and the entries that each of them consists of."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

Kind = Literal["grant", "purchase", "refund", "dispute", "expiry", "adjustment", "settlement"]
Account = Literal[
    "credits",  # what is left of a lot
    "overdraft",  # what was used beyond all lots: never above 0
    "granted",
    "payments",
    "disputed",
    "expired",
    "adjusted",
    "usage",
]
OWN: Final = -1
"""The lot of an entry for the lot that its own transaction opens."""
NO_LOT: Final = 0
ID_PREFIX: Final = "ctx_"
MOST_NOTE: Final = 500


class Entry(NamedTuple):
    """A part of a transaction. The balance of an organisation is the sum of its `credits` and its `overdraft`."""

    account: Account
    amount_nano: int
    lot: int = NO_LOT


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an organisation's credits, once and for good.

    `amount_nano` is the change of the balance, and `balance_nano` the balance after it. `at` and `expires_at` are Unix
    seconds. `reference` says what it was made for: nothing is posted twice for one. `purchase` is the id of the
    purchase that a refund or a dispute is of. `actor` says who made it.
    """

    id: str
    organisation: str
    kind: Kind
    at: int
    amount_nano: int
    balance_nano: int
    expires_at: int | None = None
    reference: str
    purchase: str = ""
    note: str = ""
    actor: str = ""


class Lot(NamedTuple):
    """Credits that were given at once and are not used up; `number` is that of the transaction that gave them."""

    number: int
    transaction: str
    expires_at: int | None
    left_nano: int


def new_id() -> str:
    """Returns an id for a transaction."""
    return ID_PREFIX + secrets.token_hex(12)


def drawn(lots: Iterable[Lot], amount_nano: int) -> list[Entry]:
    """Returns the entries that take an amount from lots, in their order; what they do not have becomes overdraft."""
    entries: list[Entry] = []
    for lot in lots:
        taken = min(lot.left_nano, amount_nano)
        if taken:
            entries.append(Entry("credits", -taken, lot.number))
            amount_nano -= taken
    return [*entries, Entry("overdraft", -amount_nano)] if amount_nano else entries


def given(amount_nano: int, balance_nano: int) -> list[Entry]:
    """Returns the entries that give an amount: to the overdraft of a balance below 0 first, the rest to a lot."""
    repaid = min(amount_nano, max(0, -balance_nano))
    entries = [Entry("overdraft", repaid)] if repaid else []
    return [*entries, Entry("credits", amount_nano - repaid, OWN)] if amount_nano > repaid else entries


def change_of(entries: Sequence[Entry]) -> int:
    """Returns the change of the balance by entries."""
    return sum(entry.amount_nano for entry in entries if entry.account in ("credits", "overdraft"))
