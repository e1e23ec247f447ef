"""Failures of the ledger, as those see them who do not know how it is kept.

Beside the settings and the paths of its files, since the rules about keys, usage and experiments raise and handle them
as well as the storage above.
"""

from __future__ import annotations


class LedgerError(Exception):
    """The ledger cannot be used as asked; the message says what to do about it, or `hint` does."""

    hint = ""

    @property
    def advised(self) -> str:
        """The message, with the hint."""
        return f"{self}: {self.hint}" if self.hint else str(self)


class RecordRefusedError(LedgerError):
    """A usage record breaks the invariants of its kind; the message says which."""
