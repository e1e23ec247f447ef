"""Organisations, projects, users, memberships and service accounts in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import structs
from sqlalchemy import Column, ColumnElement, Connection, Table, and_, delete, func, insert, select, tuple_, update

from weebill.accounts.audit import Act, Author, changed
from weebill.accounts.errors import UnknownTenantError
from weebill.accounts.tenancy import KINDS, Page, Tenant, Tenants, TenantTable
from weebill.accounts.tenants import Membership, Organisation, Project, Role, ServiceAccount, User
from weebill.storage.audit import record
from weebill.storage.credit_stops import keep_stop
from weebill.storage.database import Database
from weebill.storage.keys import KeyRows
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.sign_in import TICKETS
from weebill.storage.tables.tenants import MEMBERSHIPS, ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS, USERS
from weebill.storage.versions import KEYS_VERSION, raise_version

T = TypeVar("T", Organisation, Project, User, ServiceAccount)
R = TypeVar("R")


class _Kept(NamedTuple):
    """A kind's table: the columns that say to what one belongs, and by what it is found other than its id; acts."""

    table: Table
    within: str
    named: str
    act: str
    ended: str
    shut: str
    let: str


_KEPT: Final[dict[type[Tenant], _Kept]] = {
    Organisation: _Kept(ORGANISATIONS, "", "name", "organization", "archived_at", "archived", "restored"),
    Project: _Kept(PROJECTS, "organisation_id", "name", "project", "archived_at", "archived", "restored"),
    User: _Kept(USERS, "", "email", "user", "disabled_at", "disabled", "enabled"),
    ServiceAccount: _Kept(
        SERVICE_ACCOUNTS, "project_id", "name", "service_account", "disabled_at", "disabled", "enabled"
    ),
}
_MEMBERSHIP: Final = [MEMBERSHIPS.c[name] for name in Membership.__struct_fields__]
_USER: Final = [USERS.c[name] for name in User.__struct_fields__]


def tenants_in(ledger: Database, author: Author) -> Tenants:
    """Returns the tenants of an open ledger; changes are by `author`."""
    return Tenants(StoredTenants(ledger, author))


class StoredTenants:
    """The `TenantBook` of `weebill.accounts.tenancy`."""

    def __init__(self, ledger: Database, author: Author) -> None:
        self._ledger = ledger
        self._author = author

    def read(self, query: Callable[[TenantTable], R]) -> R:
        """Returns the result of `query` on the tenants as they are at one moment."""
        return self._ledger.read(lambda connection: query(TenantRows(connection, self._author)))

    def change(self, change: Callable[[TenantTable], R]) -> R:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(TenantRows(connection, self._author)))


class TenantRows:
    """The `TenantTable` of `weebill.accounts.tenancy`, within a transaction."""

    def __init__(self, connection: Connection, author: Author) -> None:
        self._connection = connection
        self._author = author

    def find(self, kind: type[T], id_: str) -> T | None:
        """Returns the tenant with this id."""
        table = _KEPT[kind].table
        row = self._connection.execute(select(*_fields(kind)).where(table.c.id == id_)).mappings().one_or_none()
        return None if row is None else kind(**row)

    def named(self, kind: type[T], name: str, within: str | None = None) -> list[T]:
        """Returns those of this name, or e-mail address of users, oldest first."""
        kept = _KEPT[kind]
        found = select(*_fields(kind)).where(kept.table.c[kept.named] == name)
        if within is not None:
            found = found.where(kept.table.c[kept.within] == within)
        rows = self._connection.execute(found.order_by(*_age(kept.table)))
        return [kind(**row) for row in rows.mappings()]

    def page(self, kind: type[T], page: Page, within: str | None = None) -> list[T]:
        """Returns a part of the tenants, oldest first."""
        kept, columns = _KEPT[kind], _KEPT[kind].table.c
        belonging = [] if within is None else [columns[kept.within] == within]
        age = _age(kept.table)
        found = select(*_fields(kind)).where(*belonging).order_by(*age).limit(page.limit)
        if not page.all:
            found = found.where(columns[kept.ended].is_(None))
        if page.after is not None:
            of_last = select(*age).where(columns.id == page.after, *belonging)
            last = self._connection.execute(of_last).one_or_none()
            if last is None:
                message = f"There is no {KINDS[kind].word} {page.after!r} to go on after."
                raise UnknownTenantError(message, "after")
            found = found.where(tuple_(*age) > tuple_(*last))
        return [kind(**row) for row in self._connection.execute(found).mappings()]

    def add(self, tenant: Tenant) -> None:
        """Stores one."""
        kept = _KEPT[type(tenant)]
        version = raise_version(self._connection, KEYS_VERSION)
        values = {**structs.asdict(tenant), "changed_in": version, "made_in": version}
        self._connection.execute(insert(kept.table).values(**values))
        self._record(f"{kept.act}.created", tenant.id, tenant, None, tenant)
        if isinstance(tenant, Project):  # to which other rates may apply than to the others of its organisation
            keep_stop(self._connection, tenant.organisation_id)

    def replace(self, before: T, after: T) -> None:
        """Stores what is different."""
        kept = _KEPT[type(before)]
        old, new = changed(before, after)
        act = "changed"
        values: dict[str, object] = dict(new)
        if kept.ended in new:
            act = kept.let if new[kept.ended] is None else kept.shut
            values["changed_in"] = raise_version(self._connection, KEYS_VERSION)
        self._connection.execute(update(kept.table).where(kept.table.c.id == before.id).values(**values))
        self._record(f"{kept.act}.{act}", before.id, before, old, new)

    def hold(self, organisation_id: str) -> None:
        """Locks the organisation's row; SQLite lets one transaction write at a time anyway."""
        self._connection.execute(
            select(ORGANISATIONS.c.id).where(ORGANISATIONS.c.id == organisation_id).with_for_update()
        )

    def members(self, organisation_id: str, page: Page) -> list[tuple[Membership, User]]:
        """Returns a part of the members, in the order of their ids."""
        found = select(*_MEMBERSHIP, *_USER).join_from(MEMBERSHIPS, USERS).order_by(MEMBERSHIPS.c.user_id)
        found = found.where(MEMBERSHIPS.c.organisation_id == organisation_id).limit(page.limit)
        if page.after is not None:
            found = found.where(MEMBERSHIPS.c.user_id > page.after)
        if not page.all:
            found = found.where(USERS.c.disabled_at.is_(None))
        width = len(_MEMBERSHIP)
        rows = [tuple(row) for row in self._connection.execute(found)]
        return [(_membership(row[:width]), _user(row[width:])) for row in rows]

    def member(self, organisation_id: str, user_id: str) -> Membership | None:
        """Returns the membership of a user."""
        of_both = and_(MEMBERSHIPS.c.organisation_id == organisation_id, MEMBERSHIPS.c.user_id == user_id)
        row = self._connection.execute(select(*_MEMBERSHIP).where(of_both)).one_or_none()
        return None if row is None else _membership(tuple(row))

    def memberships(self, user_id: str) -> list[Membership]:
        """Returns all memberships of a user, in the order of the organisations' ids."""
        found = select(*_MEMBERSHIP).where(MEMBERSHIPS.c.user_id == user_id).order_by(MEMBERSHIPS.c.organisation_id)
        return [_membership(tuple(row)) for row in self._connection.execute(found)]

    def add_member(self, membership: Membership) -> None:
        """Stores a membership."""
        self._connection.execute(insert(MEMBERSHIPS).values(structs.asdict(membership)))
        self._record_member("added", membership, None, {"role": membership.role})

    def set_role(self, membership: Membership, role: Role) -> None:
        """Changes the role of a member."""
        self._connection.execute(update(MEMBERSHIPS).where(*_is(membership)).values(role=role))
        self._record_member("changed", membership, {"role": membership.role}, {"role": role})

    def remove_member(self, membership: Membership) -> None:
        """Removes a membership, and revokes the keys that the user holds in the organisation, and invitations to it."""
        self._connection.execute(delete(MEMBERSHIPS).where(*_is(membership)))
        email = select(USERS.c.email).where(USERS.c.id == membership.user_id).scalar_subquery()
        back = (TICKETS.c.email == email, TICKETS.c.organisation_id == membership.organisation_id)
        self._connection.execute(delete(TICKETS).where(*back))
        self._record_member("removed", membership, {"role": membership.role}, None)
        held = (
            select(API_KEYS.c.id)
            .join_from(API_KEYS, PROJECTS)
            .where(API_KEYS.c.user_id == membership.user_id, API_KEYS.c.revoked_at.is_(None))
            .where(PROJECTS.c.organisation_id == membership.organisation_id)
            .order_by(API_KEYS.c.id)
        )
        keys, now = KeyRows(self._connection, self._author), int(time.time())
        for key_id in self._connection.scalars(held).all():
            keys.revoke(key_id, now)

    def other_owners(self, organisation_id: str, user_id: str) -> int:
        """Counts the owners who are not disabled, but for one user."""
        others = select(func.count()).select_from(MEMBERSHIPS.join(USERS))
        others = others.where(MEMBERSHIPS.c.organisation_id == organisation_id, MEMBERSHIPS.c.role == "owner")
        others = others.where(MEMBERSHIPS.c.user_id != user_id, USERS.c.disabled_at.is_(None))
        return self._connection.execute(others).scalar_one()

    def _record(self, action: str, target: str, tenant: Tenant, before: object, after: object) -> None:
        act = Act(
            action=action,
            target=target,
            organisation_id=self._organisation_of(tenant),
            before=_said(before),
            after=_said(after),
        )
        record(self._connection, self._author, act)

    def _record_member(
        self, how: str, member: Membership, before: dict[str, object] | None, after: dict[str, object] | None
    ) -> None:
        act = Act(
            action=f"member.{how}",
            target=member.user_id,
            organisation_id=member.organisation_id,
            before=before,
            after=after,
        )
        record(self._connection, self._author, act)

    def _organisation_of(self, tenant: Tenant) -> str | None:
        match tenant:
            case Organisation():
                return tenant.id
            case Project():
                return tenant.organisation_id
            case ServiceAccount():
                project = self.find(Project, tenant.project_id)
                return None if project is None else project.organisation_id
            case _:
                return None


def _fields(kind: type[Tenant]) -> list[Column[object]]:
    return [_KEPT[kind].table.c[name] for name in kind.__struct_fields__]


def _age(table: Table) -> tuple[Column[int], Column[int], Column[str]]:
    """Returns what the oldest has least of; those of one second are in the order in which they were made."""
    return table.c.created_at, table.c.made_in, table.c.id


def _membership(row: tuple[object, ...]) -> Membership:
    return msgspec.convert(dict(zip(Membership.__struct_fields__, row, strict=True)), Membership)


def _user(row: tuple[object, ...]) -> User:
    return msgspec.convert(dict(zip(User.__struct_fields__, row, strict=True)), User)


def _is(membership: Membership) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (
        MEMBERSHIPS.c.organisation_id == membership.organisation_id,
        MEMBERSHIPS.c.user_id == membership.user_id,
    )


def _said(value: object) -> dict[str, object] | None:
    said: dict[str, object] | None = msgspec.to_builtins(value)
    return said
