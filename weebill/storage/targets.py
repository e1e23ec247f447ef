"""The targets of requests to the management API: found by the ids in their paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, select

from weebill.accounts.errors import UnknownKeyError, UnknownTenantError
from weebill.accounts.permissions import Target
from weebill.accounts.provider_keys import UnknownProviderKeyError
from weebill.accounts.tenants import Role
from weebill.accounts.tenants_named import checked_role
from weebill.config.ledger_errors import LedgerError
from weebill.limits.limit import BadLimitError, UnknownLimitError, level_of
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.limits import LIMITS
from weebill.storage.tables.provider_keys import PROVIDER_KEYS
from weebill.storage.tables.tenants import MEMBERSHIPS, ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS

_DIGITS: Final = 19  # of the greatest id, and one less, so that none is beyond what databases take


LEADING: Final = (
    *("key_id", "provider_key_id", "limit_id", "subject", "service_account_id", "project_id", "organization_id"),
)
"""The names of ids that lead to something of a tenant's, those that say most first."""


def targets_of(connection: Connection, ids: Mapping[str, str]) -> list[Target]:
    """Returns what the ids lead to, nothing if that is not there. Limits of a user are of all its organisations.

    An admin key, and a provider's key of the installation, are the installation's. There is one of `LEADING` at least.
    """
    name = next(each for each in LEADING if each in ids)
    id_ = ids[name]
    match name:
        case "key_id":
            return _of_key(connection, id_)
        case "provider_key_id":
            return _of_provider_key(connection, id_)
        case "limit_id":
            subject = connection.scalar(select(LIMITS.c.subject).where(LIMITS.c.id == _number(id_)))
            return [] if subject is None else _of_subject(connection, subject)
        case "subject":
            return _of_subject(connection, id_)
        case "organization_id":
            found = connection.execute(select(ORGANISATIONS.c.id).where(ORGANISATIONS.c.id == id_)).first()
            return [] if found is None else [Target(id_)]
    return _of_project(connection, ids["project_id"], ids.get("service_account_id"))


def unknown(ids: Mapping[str, str]) -> LedgerError:
    """Returns the error for ids that lead to nothing, or to nothing that the caller may know of."""
    name = next(each for each in LEADING if each in ids)
    match name:
        case "key_id":
            return UnknownKeyError.of(ids[name])
        case "provider_key_id":
            return UnknownProviderKeyError.of(ids[name])
        case "limit_id":
            return UnknownLimitError(f"There is no limit {ids[name]}.")
        case "subject":
            return UnknownLimitError(f"There is nobody with the id {ids[name]!r}.")
    return UnknownTenantError.of(ids[name], name)


def role_of_account(connection: Connection, id_: str) -> tuple[str, str, Role] | None:
    """Returns the organisation, the project and the role of a service account."""
    columns = (PROJECTS.c.organisation_id, SERVICE_ACCOUNTS.c.project_id, SERVICE_ACCOUNTS.c.role)
    found = select(*columns).select_from(SERVICE_ACCOUNTS.join(PROJECTS)).where(SERVICE_ACCOUNTS.c.id == id_)
    row = connection.execute(found).one_or_none()
    return None if row is None else (row.organisation_id, row.project_id, checked_role(row.role))


def _of_key(connection: Connection, id_: str) -> list[Target]:
    columns = (PROJECTS.c.organisation_id, API_KEYS.c.project_id, API_KEYS.c.user_id, API_KEYS.c.role)
    found = select(*columns).select_from(API_KEYS.join(PROJECTS)).where(API_KEYS.c.id == id_)
    row = connection.execute(found).one_or_none()
    if row is None:
        return []
    return [Target() if row.role == "admin" else Target(row.organisation_id, row.project_id, row.user_id)]


def _of_provider_key(connection: Connection, id_: str) -> list[Target]:
    columns = (PROJECTS.c.organisation_id, PROVIDER_KEYS.c.project_id)
    found = select(*columns).select_from(PROVIDER_KEYS.outerjoin(PROJECTS)).where(PROVIDER_KEYS.c.id == id_)
    return [Target(*row) for row in connection.execute(found)]


def _of_subject(connection: Connection, id_: str) -> list[Target]:
    """Returns whose limits a subject's are."""
    try:
        level = level_of(id_)
    except BadLimitError:
        return []
    match level:
        case "key":
            return _of_key(connection, id_)
        case "project":
            return _of_project(connection, id_)
        case "organisation":
            return targets_of(connection, {"organization_id": id_})
        case "user":
            of_user = select(MEMBERSHIPS.c.organisation_id).where(MEMBERSHIPS.c.user_id == id_)
            return [Target(organisation_id, None, id_) for organisation_id in connection.scalars(of_user)]


def _of_project(connection: Connection, id_: str, account_id: str | None = None) -> list[Target]:
    found = select(PROJECTS.c.organisation_id).where(PROJECTS.c.id == id_)
    if account_id is not None:
        found = found.select_from(PROJECTS.join(SERVICE_ACCOUNTS)).where(SERVICE_ACCOUNTS.c.id == account_id)
    return [Target(organisation_id, id_) for organisation_id in connection.scalars(found)]


def _number(text: str) -> int:
    """Returns the number of a limit, one that none has for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else -1
