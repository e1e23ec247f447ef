"""The targets of requests to the management API: found by the ids in their paths."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from weebill.accounts.errors import UnknownKeyError, UnknownTenantError
from weebill.accounts.permissions import Target
from weebill.accounts.tenants import Role
from weebill.accounts.tenants_named import checked_role
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS


def target_of(connection: Connection, ids: Mapping[str, str]) -> Target | None:
    """Returns what the ids lead to, None if nothing. A user alone, and an admin key, are the installation's."""
    if "key_id" in ids:
        return _of_key(connection, ids["key_id"])
    if "project_id" in ids:
        return _of_project(connection, ids["project_id"], ids.get("service_account_id"))
    if "organization_id" in ids:
        id_ = ids["organization_id"]
        found = connection.execute(select(ORGANISATIONS.c.id).where(ORGANISATIONS.c.id == id_)).first()
        return None if found is None else Target(id_)
    return Target()


def unknown(ids: Mapping[str, str]) -> UnknownKeyError | UnknownTenantError:
    """Returns the error for ids that lead to nothing, or to nothing that the caller may know of."""
    name = next((each for each in ("key_id", "service_account_id", "project_id") if each in ids), "organization_id")
    if name == "key_id":
        return UnknownKeyError.of(ids[name])
    return UnknownTenantError.of(ids.get(name, ""), name)


def role_of_account(connection: Connection, id_: str) -> tuple[str, str, Role] | None:
    """Returns the organisation, the project and the role of a service account."""
    columns = (PROJECTS.c.organisation_id, SERVICE_ACCOUNTS.c.project_id, SERVICE_ACCOUNTS.c.role)
    found = select(*columns).select_from(SERVICE_ACCOUNTS.join(PROJECTS)).where(SERVICE_ACCOUNTS.c.id == id_)
    row = connection.execute(found).one_or_none()
    return None if row is None else (row.organisation_id, row.project_id, checked_role(row.role))


def _of_key(connection: Connection, id_: str) -> Target | None:
    columns = (PROJECTS.c.organisation_id, API_KEYS.c.project_id, API_KEYS.c.user_id, API_KEYS.c.role)
    found = select(*columns).select_from(API_KEYS.join(PROJECTS)).where(API_KEYS.c.id == id_)
    row = connection.execute(found).one_or_none()
    if row is None:
        return None
    return Target() if row.role == "admin" else Target(row.organisation_id, row.project_id, row.user_id)


def _of_project(connection: Connection, id_: str, account_id: str | None) -> Target | None:
    found = select(PROJECTS.c.organisation_id).where(PROJECTS.c.id == id_)
    if account_id is not None:
        found = found.select_from(PROJECTS.join(SERVICE_ACCOUNTS)).where(SERVICE_ACCOUNTS.c.id == account_id)
    row = connection.execute(found).one_or_none()
    return None if row is None else Target(row.organisation_id, id_)
