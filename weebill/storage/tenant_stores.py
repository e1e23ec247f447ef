"""A tenant whose data is exported or erased, and the stores that have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection, select

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.opening import open_outcomes, open_responses
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS

TenantKind = Literal["organization", "project", "end_user"]

_TABLES: Final = {"organization": ORGANISATIONS, "project": PROJECTS}


class Tenant(NamedTuple):
    """An organisation, a project, or somebody whom clients make requests for, by what clients call them."""

    kind: TenantKind
    id: str

    @property
    def written(self) -> str:
        """The target of acts in the audit log: an end user's name does not belong there, as it could not be erased."""
        return "an end user" if self.kind == "end_user" else self.id


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


def is_known(connection: Connection, tenant: Tenant) -> bool:
    """Returns True if there is such an organisation or project; everybody may be an end user."""
    table = _TABLES.get(tenant.kind)
    return table is None or connection.scalar(select(table.c.id).where(table.c.id == tenant.id)) is not None


def projects_of(connection: Connection, tenant: Tenant) -> frozenset[str]:
    """Returns the ids of an organisation's projects, or of the project itself."""
    if tenant.kind == "project":
        return frozenset({tenant.id})
    return frozenset(connection.scalars(select(PROJECTS.c.id).where(PROJECTS.c.organisation_id == tenant.id)))


def keys_of(connection: Connection, project: str) -> list[str]:
    """Returns the ids of a project's keys."""
    of_project = select(API_KEYS.c.id).where(API_KEYS.c.project_id == project)
    return list(connection.scalars(of_project.order_by(API_KEYS.c.id)))
