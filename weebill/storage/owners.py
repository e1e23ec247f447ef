"""The organisations and projects that usage is billed to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from weebill.accounts.tenants import DEFAULT_ORGANISATION, DEFAULT_PROJECT
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS

_BATCH: Final = 1000  # of values in one statement


class Owner(NamedTuple):
    """An organisation, and a project of it."""

    organisation: str
    project: str


_NOBODY: Final = Owner(DEFAULT_ORGANISATION, DEFAULT_PROJECT)
_OWNERS: Final = select(API_KEYS.c.id, PROJECTS.c.organisation_id, PROJECTS.c.id).join_from(
    API_KEYS, PROJECTS, API_KEYS.c.project_id == PROJECTS.c.id
)


def owners_of(connection: Connection, key_ids: Collection[str]) -> dict[str, Owner]:
    """Returns the owner of each key; of one that the ledger does not know, the installation's own."""
    ids = sorted(key_ids)
    owners = dict.fromkeys(ids, _NOBODY)
    for start in range(0, len(ids), _BATCH):
        found = connection.execute(_OWNERS.where(API_KEYS.c.id.in_(ids[start : start + _BATCH])))
        owners |= {key_id: Owner(organisation, project) for key_id, organisation, project in found}
    return owners


def is_organisation(connection: Connection, organisation: str) -> bool:
    """Returns True if there is an organisation with this id."""
    found = connection.execute(select(ORGANISATIONS.c.id).where(ORGANISATIONS.c.id == organisation))
    return found.first() is not None


def organisation_of_project(connection: Connection, project: str) -> str | None:
    """Returns the organisation of a project, by its id; None if there is no such project."""
    return connection.execute(select(PROJECTS.c.organisation_id).where(PROJECTS.c.id == project)).scalar()
