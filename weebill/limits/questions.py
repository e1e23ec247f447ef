"""The questions of workers about allowances, and the answers and news of the ledger process."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

TOPIC: Final = "allowances"
"""A question is a `Borrow`, the answer a `Lent`; the news are `Recalled`."""


class Wanted(Struct, frozen=True, array_like=True):
    """A borrower's need of an allowance, as `weebill.limits.lending.lend` takes it.

    `start` is the window's, in Unix seconds. With `ended`, the borrower forgets the lease if all that it has used is
    in the ledger. If no answer to that has come yet, `ended_at` is what it had used then.
    """

    limit: int
    start: int
    used: int
    need: int = 0
    least: int = 0
    ended: bool = False
    ended_at: int = 0


class Borrow(Struct, frozen=True, array_like=True):
    """The wants of a borrower; `number` only grows, and a question that was overtaken by a later one changes nothing.

    The borrower is named as the writer of its journal is (`weebill.usage.recovery.writer_of`).
    """

    borrower: str
    number: int
    wanted: tuple[Wanted, ...]


class Granted(Struct, frozen=True, array_like=True):
    """The answer to one `Wanted`.

    `available` is what nobody holds, `lent` what the others hold. With `gone`, the lease does not exist any more: it
    is forgotten, now or at `ended_at`, or nobody is limited so any more.
    """

    limit: int
    start: int
    granted: int
    available: int
    lent: int
    amount: int
    gone: bool = False


class Lent(Struct, frozen=True, array_like=True):
    """The answer to a `Borrow`, of the ledger and the borrower's account that `source` names."""

    source: str
    granted: tuple[Granted, ...]


class Recalled(Struct, frozen=True, array_like=True):
    """Others need what is held of these limits, which were asked for up to a version; None: of any limit."""

    source: str
    version: int
    limits: tuple[int, ...] | None = ()
