"""Whom clients make requests for: in which organisations a name is used, and which requests are of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, Connection, exists, or_, select, union

from weebill.storage.rollups import END_USER
from weebill.storage.tables.ledger import (
    API_KEYS,
    USAGE_ENTRIES,
    USAGE_KINDS,
    USAGE_LABEL_SERIES,
    USAGE_LABELS,
    USAGE_SERIES,
)
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS

_MOST_NAMED: Final = 10


class SeveralOrganisationsError(Exception):
    """Several organisations have an end user of this name; `said` names them, or the first of very many."""

    def __init__(self, end_user: str, organisations: Mapping[str, str]) -> None:
        super().__init__(f"{end_user!r} is an end user of several organisations")
        self.said = ", ".join(f"{id_} ({name})" for id_, name in organisations.items())


def organisations_with(connection: Connection, end_user: str) -> dict[str, str]:
    """Returns the names of organisations that have requests or sums of an end user, by their ids; at most so many."""
    kinds = (
        select(USAGE_ENTRIES.c.kind)
        .join_from(USAGE_LABELS, USAGE_ENTRIES, USAGE_ENTRIES.c.labels == USAGE_LABELS.c.id)
        .where(USAGE_LABELS.c.end_user == end_user)
    )
    sums = (
        select(USAGE_SERIES.c.key_id)
        .join_from(USAGE_LABEL_SERIES, USAGE_SERIES, USAGE_SERIES.c.id == USAGE_LABEL_SERIES.c.series)
        .where(USAGE_LABEL_SERIES.c.name == END_USER, USAGE_LABEL_SERIES.c.value == end_user)
    )
    keys = union(select(USAGE_KINDS.c.key_id).where(USAGE_KINDS.c.id.in_(kinds)), sums)
    ids = select(PROJECTS.c.organisation_id).join_from(PROJECTS, API_KEYS).where(API_KEYS.c.id.in_(keys))
    found = select(ORGANISATIONS.c.id, ORGANISATIONS.c.name).where(ORGANISATIONS.c.id.in_(ids))
    rows = connection.execute(found.order_by(ORGANISATIONS.c.id).limit(_MOST_NAMED)).all()
    return {id_: name for id_, name in rows}  # noqa: C416 - rows are typed


def is_within(
    key_id: ColumnElement[str], organisation: str | None, project: str | None, *, or_nobodys: bool
) -> ColumnElement[bool]:
    """Returns the condition that a key is one of a project or, without that, of an organisation; or not known any
    more, if that counts.
    """
    place = PROJECTS.c.organisation_id == organisation if project is None else PROJECTS.c.id == project
    mine = key_id.in_(select(API_KEYS.c.id).join_from(API_KEYS, PROJECTS).where(place))
    return or_(mine, ~exists().where(API_KEYS.c.id == key_id)) if or_nobodys else mine
