"""Failures of what is asked of credits."""

from __future__ import annotations

from weebill.config.ledger_errors import LedgerError


class BadCreditError(LedgerError):
    """A change of credits cannot be as requested; `param` is the invalid field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class UnknownTransactionError(LedgerError):
    """No transaction of the organisation has this id."""


class CreditConflictError(LedgerError):
    """A change of credits contradicts what has been posted: nothing is changed."""


class RateConflictError(LedgerError):
    """A rate for the same project and model begins at the same time: nothing is changed."""
