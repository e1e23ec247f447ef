"""Refusals by the rules about keys, tenants and limits, as errors of the management API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weebill.accounts.errors import (
    BadFieldError,
    OwnersOnlyError,
    RevokedKeyError,
    TenantConflictError,
    UnknownKeyError,
    UnknownTenantError,
)
from weebill.accounts.provider_keys import UnknownProviderKeyError
from weebill.config.ledger_errors import LedgerError
from weebill.control.answers import failure
from weebill.limits.limit import UnknownLimitError
from weebill.wire.errors import ApiError


@contextmanager
def answering() -> Iterator[None]:
    """Raises ApiError for what cannot be done, LedgerUnavailable if the ledger fails."""
    try:
        yield
    except BadFieldError as error:
        raise ApiError(400, str(error), code="invalid_value", param=error.param) from error
    except UnknownKeyError as error:
        raise ApiError(404, str(error), code="key_not_found", param="key_id") from error
    except UnknownTenantError as error:
        code = f"{error.param.removesuffix('_id')}_not_found"
        raise ApiError(404, str(error), code=code, param=error.param) from error
    except UnknownProviderKeyError as error:
        raise ApiError(404, str(error), code="key_not_found", param="provider_key_id") from error
    except UnknownLimitError as error:
        raise ApiError(404, str(error), code="limit_not_found") from error
    except RevokedKeyError as error:
        raise ApiError(409, str(error), code="key_revoked", param="key_id") from error
    except TenantConflictError as error:
        raise ApiError(409, str(error), code=error.code) from error
    except OwnersOnlyError as error:
        raise ApiError(403, str(error), code="permission_denied", param="role") from error
    except LedgerError as error:
        raise failure(error) from error
