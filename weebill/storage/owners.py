"""The organisations and projects that usage belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from weebill.accounts.tenants import DEFAULT_ORGANISATION, DEFAULT_PROJECT
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS

_BATCH: Final = 1000  # of values in one statement


class Owner(NamedTuple):
    """An organisation, and a project of it."""

    organisation: str
    project: str


INSTALLATION: Final = Owner(DEFAULT_ORGANISATION, DEFAULT_PROJECT)
"""Pays for what keys have used that the ledger does not know."""
_OWNERS: Final = (
    select(API_KEYS.c.id, PROJECTS.c.organisation_id, PROJECTS.c.id)
    .join_from(API_KEYS, PROJECTS, API_KEYS.c.project_id == PROJECTS.c.id)
    .where(API_KEYS.c.id.in_(bindparam("key_ids", expanding=True)))
)


class Owners:
    """The owners of keys, each looked up once in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, Owner | None] = {}

    def of(self, key_ids: Iterable[str]) -> Mapping[str, Owner | None]:
        """Returns the owner of each key, and of others; None for one that the ledger does not know."""
        known = self._known
        unknown = sorted(set(key_ids).difference(known))
        known.update(dict.fromkeys(unknown))
        for start in range(0, len(unknown), _BATCH):
            found = self._connection.execute(_OWNERS, {"key_ids": unknown[start : start + _BATCH]})
            known.update({key_id: Owner(organisation, project) for key_id, organisation, project in found})
        return known


def is_organisation(connection: Connection, organisation: str) -> bool:
    """Returns True if there is an organisation with this id."""
    found = connection.execute(select(ORGANISATIONS.c.id).where(ORGANISATIONS.c.id == organisation))
    return found.first() is not None


def is_archived(connection: Connection, organisation: str) -> bool:
    """Returns True if there is an organisation with this id that is archived."""
    found = connection.execute(select(ORGANISATIONS.c.archived_at).where(ORGANISATIONS.c.id == organisation))
    return found.scalar() is not None


def organisation_of_project(connection: Connection, project: str) -> str | None:
    """Returns the organisation of a project, by its id; None if there is no such project."""
    return connection.execute(select(PROJECTS.c.organisation_id).where(PROJECTS.c.id == project)).scalar()
