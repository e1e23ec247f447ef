"""Failures of what is asked of keys, and of those who use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.config.ledger_errors import LedgerError

WORDS: Final[Mapping[str, str]] = {
    "organization_id": "organisation",
    "project_id": "project",
    "user_id": "user",
    "service_account_id": "service account",
    "invitation_id": "invitation",
}
"""By the names of fields with ids."""


class BadFieldError(LedgerError):
    """Something cannot be as requested; `param` is the invalid field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class BadKeyError(BadFieldError):
    """A key cannot be as requested."""


class UnknownKeyError(LedgerError):
    """No key has this id or name."""

    @classmethod
    def of(cls, id_: str) -> UnknownKeyError:
        """Returns the error for an id."""
        return cls(f"There is no key with the id {id_!r}; list the keys to see their ids.")


class RevokedKeyError(LedgerError):
    """A key is revoked for good, and cannot be changed."""


class UnknownTenantError(LedgerError):
    """No organisation, project, user, member or service account has this id or name; `param` is the field with it."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param

    @classmethod
    def of(cls, id_: str, param: str) -> UnknownTenantError:
        """Returns the error for an id."""
        return cls(f"There is no {WORDS[param]} with the id {id_!r}.", param)


class OwnersOnlyError(LedgerError):
    """Owners alone make owners, and take that from them."""


class TenantConflictError(LedgerError):
    """A change is in conflict with what is there: a rule would be broken. `code` is for programs."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
