"""A tenant whose data is exported or erased, and the stores that have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, NamedTuple

from sqlalchemy import Connection, select

from weebill.accounts.audit import Act
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.end_users import SeveralOrganisationsError, organisations_with
from weebill.storage.opening import open_outcomes, open_responses
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS

TenantKind = Literal["organization", "project", "end_user"]


class Tenant(NamedTuple):
    """An organisation, a project, or somebody whom clients make requests for, by what clients call them.

    An end user is one of an organisation's or of a project's: others may call somebody else by the same name. Requests
    with keys that are not known any more are of nobody else, and count if it is `or_nobodys`.
    """

    kind: TenantKind
    id: str
    organisation: str | None = None
    project: str | None = None
    or_nobodys: bool = False

    @property
    def written(self) -> str:
        """The target of acts in the audit log: an end user's name does not belong there, as it could not be erased."""
        return "an end user" if self.kind == "end_user" else self.id

    def act(self, action: str) -> Act:
        """Returns an act on this tenant's data."""
        return Act(action=action, target=self.written, organisation_id=self.organisation)


class Stores(NamedTuple):
    """The ledger, the stored responses, and the outcomes of `auto`, if this machine has any."""

    ledger: Database
    responses: Database
    outcomes: Database | None


@contextmanager
def opened_stores(ledger: Database, home: Home, settings: DatabaseSettings) -> Iterator[Stores]:
    """Opens the stores beside a ledger. Raises LedgerError."""
    with ExitStack() as stack:
        responses = stack.enter_context(open_responses(home, settings))
        responses.change(lambda _: None)  # so that it is there, and up to date
        outcomes = stack.enter_context(open_outcomes(home)) if home.lessons.exists() else None
        if outcomes is not None:
            outcomes.change(lambda _: None)
        yield Stores(ledger, responses, outcomes)


def located(connection: Connection, tenant: Tenant) -> Tenant | None:
    """Returns a tenant with its organisation; None if there is no such organisation or project.

    Raises SeveralOrganisationsError for an end user of several, unless one of them or a project is given.
    """
    if tenant.kind == "end_user" and tenant.organisation is None and tenant.project is None:
        found = organisations_with(connection, tenant.id)
        if len(found) > 1:
            raise SeveralOrganisationsError(tenant.id, found)
        return tenant._replace(organisation=next(iter(found), None), or_nobodys=True)
    project = tenant.id if tenant.kind == "project" else tenant.project
    if project is not None:
        wanted = select(PROJECTS.c.organisation_id).where(PROJECTS.c.id == project)
    else:
        given = tenant.id if tenant.kind == "organization" else tenant.organisation
        wanted = select(ORGANISATIONS.c.id).where(ORGANISATIONS.c.id == given)
    organisation = connection.scalar(wanted)
    return None if organisation is None else tenant._replace(organisation=organisation)


def projects_of(connection: Connection, tenant: Tenant) -> frozenset[str]:
    """Returns the ids of an organisation's projects, or of the project itself."""
    if tenant.kind == "project":
        return frozenset({tenant.id})
    return frozenset(connection.scalars(select(PROJECTS.c.id).where(PROJECTS.c.organisation_id == tenant.id)))


def keys_of(connection: Connection, project: str) -> list[str]:
    """Returns the ids of a project's keys."""
    of_project = select(API_KEYS.c.id).where(API_KEYS.c.project_id == project)
    return list(connection.scalars(of_project.order_by(API_KEYS.c.id)))
