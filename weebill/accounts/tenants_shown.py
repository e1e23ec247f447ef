"""Tenants as scripts and the management API are shown them; names of fields are as in OpenAI's administration API."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec
from msgspec import structs

from weebill.accounts.tenants import Membership, Organisation, Project, Role, ServiceAccount, User


class OrganizationShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="organization"):
    """An organisation. Times are Unix seconds; the keys of one that is archived are refused."""

    id: str
    name: str
    created_at: int
    archived_at: int | None
    status: Literal["active", "archived"]


class ProjectShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="organization.project"):
    """A project of an organisation; the keys of one that is archived are refused."""

    id: str
    name: str
    created_at: int
    archived_at: int | None
    organization_id: str
    status: Literal["active", "archived"]


class UserShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="user"):
    """A person; keys that a disabled one holds are refused."""

    id: str
    email: str
    name: str
    created_at: int
    disabled_at: int | None
    status: Literal["active", "disabled"]


class ServiceAccountShown(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="organization.project.service_account"
):
    """A program that holds keys of a project, with a role in it."""

    id: str
    project_id: str
    name: str
    role: Role
    created_at: int
    disabled_at: int | None
    status: Literal["active", "disabled"]


class MemberShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="organization.user"):
    """A member of an organisation; the id is the user's."""

    id: str
    organization_id: str
    email: str
    name: str
    role: Role
    added_at: int
    disabled_at: int | None


TenantShown = OrganizationShown | ProjectShown | UserShown | ServiceAccountShown


def shown_organisation(one: Organisation) -> OrganizationShown:
    """Returns an organisation as JSON."""
    return OrganizationShown(**structs.asdict(one), status=_status(one.archived_at, "archived"))


def shown_project(one: Project) -> ProjectShown:
    """Returns a project as JSON."""
    fields = structs.asdict(one)
    organisation_id = fields.pop("organisation_id")
    return ProjectShown(**fields, organization_id=organisation_id, status=_status(one.archived_at, "archived"))


def shown_user(one: User) -> UserShown:
    """Returns a user as JSON."""
    return UserShown(**structs.asdict(one), status=_status(one.disabled_at, "disabled"))


def shown_account(one: ServiceAccount) -> ServiceAccountShown:
    """Returns a service account as JSON."""
    return ServiceAccountShown(**structs.asdict(one), status=_status(one.disabled_at, "disabled"))


def shown(tenant: Organisation | Project | User | ServiceAccount) -> TenantShown:
    """Returns any tenant as JSON."""
    match tenant:
        case Organisation():
            return shown_organisation(tenant)
        case Project():
            return shown_project(tenant)
        case User():
            return shown_user(tenant)
        case ServiceAccount():
            return shown_account(tenant)


def shown_member(membership: Membership, user: User) -> MemberShown:
    """Returns a member of an organisation as JSON."""
    return MemberShown(
        id=user.id,
        organization_id=membership.organisation_id,
        email=user.email,
        name=user.name,
        role=membership.role,
        added_at=membership.created_at,
        disabled_at=user.disabled_at,
    )


E = TypeVar("E", Literal["archived"], Literal["disabled"])


def _status(ended_at: int | None, ended: E) -> E | Literal["active"]:
    return "active" if ended_at is None else ended
