"""The part of usage and limits that somebody may see, as conditions on keys and subjects."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, false, or_, select

from weebill.accounts.permissions import Reach, Target
from weebill.storage.tables.credits import CREDIT_STOPS
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.limits import LIMITS
from weebill.storage.tables.tenants import MEMBERSHIPS, PROJECTS


def keys_within(reach: Reach) -> ColumnElement[bool]:
    """Returns the condition that a key is within reach; of `API_KEYS`, joined with `PROJECTS`."""
    return or_(false(), *(_is_of(target) for target in reach))


def ids_within(reach: Reach) -> Select[str]:
    """Returns the query for the ids of the keys within reach."""
    return _keys().where(keys_within(reach))


def projects_within(reach: Reach) -> Select[str]:
    """Returns the query for the ids of the projects within reach, which is of nobody's own."""
    places = (and_(*_is_in(target)) for target in reach if target.user_id is None)
    return select(PROJECTS.c.id).where(or_(false(), *places))


def limits_within(reach: Reach) -> ColumnElement[bool]:
    """Returns the condition that a limit is within reach: one of the keys, or one of what they all belong to."""
    return or_(false(), LIMITS.c.subject.in_(ids_within(reach)), *(_concerns(target) for target in reach))


def stops_within(reach: Reach) -> ColumnElement[bool]:
    """Returns the condition that a limit is not the hard stop of credits out of reach: what is left of it is theirs."""
    organisations = [target.organisation_id for target in reach if target.project_id is None]
    hidden = select(CREDIT_STOPS.c.limit_id).where(CREDIT_STOPS.c.organisation.not_in(organisations))
    return LIMITS.c.id.not_in(hidden)


def _keys() -> Select[str]:
    return select(API_KEYS.c.id).join_from(API_KEYS, PROJECTS, PROJECTS.c.id == API_KEYS.c.project_id)


def _is_in(target: Target) -> list[ColumnElement[bool]]:
    conditions = [PROJECTS.c.organisation_id == target.organisation_id]
    if target.project_id is not None:
        conditions.append(PROJECTS.c.id == target.project_id)
    return conditions


def _is_of(target: Target) -> ColumnElement[bool]:
    conditions = _is_in(target)
    if target.user_id is not None:
        conditions.append(API_KEYS.c.user_id == target.user_id)
    return and_(*conditions)


def _concerns(target: Target) -> ColumnElement[bool]:
    subject, organisation_id = LIMITS.c.subject, target.organisation_id
    if target.user_id is not None:
        return subject == target.user_id
    if target.project_id is not None:
        return subject == target.project_id
    projects = select(PROJECTS.c.id).where(PROJECTS.c.organisation_id == organisation_id)
    users = select(MEMBERSHIPS.c.user_id).where(MEMBERSHIPS.c.organisation_id == organisation_id)
    return or_(subject == organisation_id, subject.in_(projects), subject.in_(users))
