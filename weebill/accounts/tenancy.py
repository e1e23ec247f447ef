"""The rules of organisations, projects, users, memberships and service accounts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import structs

from weebill.accounts.errors import WORDS, OwnersOnlyError, TenantConflictError, UnknownTenantError
from weebill.accounts.tenants import (
    DEFAULT_ORGANISATION,
    DEFAULT_PROJECT,
    Membership,
    Organisation,
    Project,
    Role,
    ServiceAccount,
    User,
)
from weebill.accounts.tenants_named import checked_name, checked_role, email_of, role_of_account

MOST_LISTED: Final = 100
_DEFAULTS: Final = (DEFAULT_ORGANISATION, DEFAULT_PROJECT)

Tenant = Organisation | Project | User | ServiceAccount
T = TypeVar("T", Organisation, Project, User, ServiceAccount)
R = TypeVar("R")


class Kind(NamedTuple):
    """The names of a kind of tenant: what begins its ids, and the field that has its id."""

    prefix: str
    param: str

    @property
    def word(self) -> str:
        """Its word in errors."""
        return WORDS[self.param]


KINDS: Final[dict[type[Tenant], Kind]] = {
    Organisation: Kind("org_", "organization_id"),
    Project: Kind("proj_", "project_id"),
    User: Kind("user_", "user_id"),
    ServiceAccount: Kind("svc_", "service_account_id"),
}


class Page(NamedTuple):
    """The part of a list to read: at most `limit`, after the one with the id `after`; with those shut out, or not."""

    limit: int = MOST_LISTED
    after: str | None = None
    all: bool = True


class TenantTable(Protocol):
    """The stored tenants within a transaction. `within` is the organisation or project that they are to belong to.

    Each change is recorded in the audit log.
    """

    def find(self, kind: type[T], id_: str) -> T | None:
        """Returns the tenant with this id."""

    def named(self, kind: type[T], name: str, within: str | None = None) -> list[T]:
        """Returns those of this name, or e-mail address of users, oldest first."""

    def page(self, kind: type[T], page: Page, within: str | None = None) -> list[T]:
        """Returns a part of the tenants, oldest first. Raises UnknownTenantError if `after` is not there."""

    def add(self, tenant: Tenant) -> None:
        """Stores one."""

    def replace(self, before: T, after: T) -> None:
        """Stores what is different; followers are told if its keys are let in or shut out."""

    def hold(self, organisation_id: str) -> None:
        """Has others who hold this organisation wait until the end of this transaction."""

    def members(self, organisation_id: str, page: Page) -> list[tuple[Membership, User]]:
        """Returns a part of the members, in the order of their ids; `after` is a user's id."""

    def member(self, organisation_id: str, user_id: str) -> Membership | None:
        """Returns the membership of a user."""

    def memberships(self, user_id: str) -> list[Membership]:
        """Returns all memberships of a user, in the order of the organisations' ids."""

    def add_member(self, membership: Membership) -> None:
        """Stores a membership."""

    def set_role(self, membership: Membership, role: Role) -> None:
        """Changes the role of a member."""

    def remove_member(self, membership: Membership) -> None:
        """Removes a membership, and revokes the keys that the user holds in the organisation, and invitations to it."""

    def other_owners(self, organisation_id: str, user_id: str) -> int:
        """Counts the owners who are not disabled, but for one user."""


class TenantBook(Protocol):
    """The storage of tenants. Its methods raise LedgerError."""

    def read(self, query: Callable[[TenantTable], R]) -> R:
        """Returns the result of `query` on the tenants as they are at one moment."""

    def change(self, change: Callable[[TenantTable], R]) -> R:
        """Commits the changes of `change`, and returns its result; `change` may be called again."""


class Tenants:
    """The tenants of an installation, for the command line and the management API.

    Methods raise UnknownTenantError, BadFieldError, TenantConflictError and LedgerError.
    """

    def __init__(self, book: TenantBook) -> None:
        self._book = book

    def find(self, kind: type[T], given: str, within: str | None = None) -> T:
        """Returns a tenant by id, or by name (users: e-mail address) if just one has it."""
        return self._book.read(lambda table: find(table, kind, given, within))

    def page(self, kind: type[T], page: Page, within: str | None = None) -> list[T]:
        """Returns a part of the tenants, oldest first."""
        return self._book.read(lambda table: table.page(kind, page, within))

    def members(self, organisation_id: str, page: Page) -> list[tuple[Membership, User]]:
        """Returns a part of an organisation's members."""
        return self._book.read(lambda table: table.members(organisation_id, page))

    def memberships(self, user_id: str) -> list[Membership]:
        """Returns all memberships of a user."""
        return self._book.read(lambda table: table.memberships(user_id))

    def member(self, organisation_id: str, user_id: str) -> tuple[Membership, User]:
        """Returns a member."""
        return self._book.read(lambda table: (_member(table, organisation_id, user_id), get(table, User, user_id)))

    def create_organisation(self, name: str, owner_id: str | None = None) -> Organisation:
        """Makes an organisation, perhaps with an owner."""
        made = Organisation(id=_new_id(Organisation), name=checked_name(name), created_at=_now())

        def change(table: TenantTable) -> Organisation:
            table.add(made)
            if owner_id is not None:
                _join(table, made.id, owner_id, "owner")
            return made

        return self._book.change(change)

    def create_project(self, organisation_id: str, name: str) -> Project:
        """Makes a project of an organisation."""
        id_ = _new_id(Project)
        made = Project(id=id_, organisation_id=organisation_id, name=checked_name(name), created_at=_now())

        def change(table: TenantTable) -> Project:
            _open(table, Organisation, organisation_id)
            table.add(made)
            return made

        return self._book.change(change)

    def create_user(self, email: str, name: str = "") -> User:
        """Makes a user."""
        address = email_of(email)
        made = User(id=_new_id(User), email=address, name=checked_name(name or address), created_at=_now())

        def change(table: TenantTable) -> User:
            if table.named(User, address):
                raise TenantConflictError(f"There is a user {address} already.", "user_exists")
            table.add(made)
            return made

        return self._book.change(change)

    def create_service_account(self, project_id: str, name: str, role: str = "member") -> ServiceAccount:
        """Makes a service account of a project."""
        id_, given = _new_id(ServiceAccount), {"name": checked_name(name), "role": role_of_account(role)}
        made = msgspec.convert({"id": id_, "project_id": project_id, "created_at": _now(), **given}, ServiceAccount)

        def change(table: TenantTable) -> ServiceAccount:
            project = _open(table, Project, project_id)
            _open(table, Organisation, project.organisation_id)
            table.add(made)
            return made

        return self._book.change(change)

    def set(self, kind: type[T], id_: str, name: str | None = None, role: str | None = None) -> T:
        """Renames a tenant, or gives a service account another role; None leaves what is there."""
        given: dict[str, str] = {} if name is None else {"name": checked_name(name)}
        if role is not None:
            given["role"] = role_of_account(role)
        return self._replace(kind, id_, lambda before: structs.replace(before, **given))

    def shut_out(self, kind: type[T], id_: str) -> T:
        """Archives an organisation or project, disables a user or service account; its keys are refused from then on.

        One that is shut out already stays as it is.
        """
        if id_ in _DEFAULTS:
            message = f"The {KINDS[kind].word} {id_} is where keys go that say nothing else; it is not archived."
            raise TenantConflictError(message, "is_default")
        return self._replace(kind, id_, lambda before: _with_end(before, end_of(before) or _now()))

    def let_in(self, kind: type[T], id_: str) -> T:
        """Takes back `shut_out`."""
        return self._replace(kind, id_, lambda before: _with_end(before, None))

    def add_member(self, organisation_id: str, user_id: str, role: str, *, by_owner: bool = True) -> Membership:
        """Makes a user a member of an organisation; another owner `by_owner` alone, else raises OwnersOnlyError."""
        checked = checked_role(role)

        def change(table: TenantTable) -> Membership:
            _check_owners(by_owner, checked)
            _open(table, Organisation, organisation_id)
            return _join(table, organisation_id, user_id, checked)

        return self._book.change(change)

    def set_role(self, organisation_id: str, user_id: str, role: str, *, by_owner: bool = True) -> Membership:
        """Gives a member another role; the last owner stays one. Raises OwnersOnlyError."""
        checked = checked_role(role)

        def change(table: TenantTable) -> Membership:
            table.hold(organisation_id)
            member = _member(table, organisation_id, user_id)
            _check_owners(by_owner, checked, member.role)
            if checked != "owner":
                _keep_an_owner(table, member)
            if checked != member.role:
                table.set_role(member, checked)
            return structs.replace(member, role=checked)

        return self._book.change(change)

    def remove_member(self, organisation_id: str, user_id: str, *, by_owner: bool = True) -> Membership:
        """Ends a membership, revokes the user's keys in the organisation and invitations to it; not of the last owner.

        Raises OwnersOnlyError.
        """

        def change(table: TenantTable) -> Membership:
            table.hold(organisation_id)
            member = _member(table, organisation_id, user_id)
            _check_owners(by_owner, member.role)
            _keep_an_owner(table, member)
            table.remove_member(member)
            return member

        return self._book.change(change)

    def _replace(self, kind: type[T], id_: str, changed: Callable[[T], T]) -> T:
        def change(table: TenantTable) -> T:
            before = get(table, kind, id_)
            after = changed(before)
            if isinstance(before, User) and end_of(before) is None and end_of(after) is not None:
                for member in table.memberships(id_):
                    table.hold(member.organisation_id)
                    _keep_an_owner(table, member)
            if after != before:
                table.replace(before, after)
            return after

        return self._book.change(change)


def end_of(tenant: Tenant) -> int | None:
    """Returns when a tenant was archived or disabled, None if it is not."""
    return tenant.archived_at if isinstance(tenant, Organisation | Project) else tenant.disabled_at


def find(table: TenantTable, kind: type[T], given: str, within: str | None = None) -> T:
    """Returns a tenant by id, or by name if just one has it, preferring those that are not shut out."""
    if given.startswith(KINDS[kind].prefix):
        return get(table, kind, given)
    named = table.named(kind, email_of(given) if kind is User else given.strip(), within)
    candidates = [each for each in named if end_of(each) is None] or named[-1:]
    word, param = KINDS[kind].word, KINDS[kind].param
    if not candidates:
        raise UnknownTenantError(f"There is no {word} {given!r}; list them to see their names.", param)
    if len(candidates) > 1:
        ids = ", ".join(each.id for each in candidates[:3]) + (", ..." if len(candidates) > 3 else "")
        raise TenantConflictError(f"{len(candidates)} are named {given!r}: give the id of one, {ids}.", "ambiguous")
    return candidates[0]


def get(table: TenantTable, kind: type[T], id_: str) -> T:
    """Returns a tenant by its id. Raises UnknownTenantError."""
    tenant = table.find(kind, id_)
    if tenant is None:
        raise UnknownTenantError.of(id_, KINDS[kind].param)
    return tenant


def listed(found: Sequence[T], limit: int) -> tuple[list[T], bool]:
    """Returns those of a page that was asked for with one more, and whether there are more."""
    return list(found[:limit]), len(found) > limit


def _open(table: TenantTable, kind: type[T], id_: str) -> T:
    """Returns a tenant that is not archived."""
    tenant = get(table, kind, id_)
    if end_of(tenant) is not None:
        raise TenantConflictError(f"The {KINDS[kind].word} {tenant.name!r} ({id_}) is archived.", "archived")
    return tenant


def _member(table: TenantTable, organisation_id: str, user_id: str) -> Membership:
    member = table.member(organisation_id, user_id)
    if member is None:
        raise UnknownTenantError(f"{user_id} is no member of the organisation {organisation_id}.", "user_id")
    return member


def _join(table: TenantTable, organisation_id: str, user_id: str, role: Role) -> Membership:
    get(table, User, user_id)
    if table.member(organisation_id, user_id) is not None:
        message = f"{user_id} is a member of the organisation {organisation_id} already; its role can be changed."
        raise TenantConflictError(message, "is_member")
    made = Membership(organisation_id=organisation_id, user_id=user_id, role=role, created_at=_now())
    table.add_member(made)
    return made


def _keep_an_owner(table: TenantTable, member: Membership) -> None:
    """Raises TenantConflictError if a member is the only owner of an organisation, which is to have one."""
    if member.role == "owner" and not table.other_owners(member.organisation_id, member.user_id):
        raise TenantConflictError(
            f"{member.user_id} is the only owner of the organisation {member.organisation_id}; make another one first.",
            "last_owner",
        )


def _check_owners(by_owner: bool, *roles: Role) -> None:
    if "owner" in roles and not by_owner:
        raise OwnersOnlyError("Owners alone make owners, and take that from them; ask one.")


def _with_end(tenant: T, at: int | None) -> T:
    name = "archived_at" if isinstance(tenant, Organisation | Project) else "disabled_at"
    return structs.replace(tenant, **{name: at})


def _new_id(kind: type[Tenant]) -> str:
    return KINDS[kind].prefix + secrets.token_hex(8)


def _now() -> int:
    return int(time.time())
