"""Failures of what is asked of keys."""

from __future__ import annotations

from weebill.config.ledger_errors import LedgerError


class BadKeyError(LedgerError):
    """A key cannot be as requested; `param` is the invalid field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class UnknownKeyError(LedgerError):
    """No key has this id or name."""


class RevokedKeyError(LedgerError):
    """A key is revoked for good, and cannot be changed."""
