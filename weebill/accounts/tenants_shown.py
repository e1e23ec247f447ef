"""Tenants as scripts and the management API are shown them; names of fields are as in OpenAI's administration API."""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.accounts.tenancy import Tenant, end_of
from weebill.accounts.tenants import Membership, Organisation, Project, ServiceAccount, User

_OBJECTS: Final[dict[type[Tenant], str]] = {
    Organisation: "organization",
    Project: "organization.project",
    User: "user",
    ServiceAccount: "organization.project.service_account",
}


def shown(tenant: Tenant) -> dict[str, object]:
    """Returns a tenant as JSON."""
    fields: dict[str, object] = msgspec.to_builtins(tenant)
    organisation_id = fields.pop("organisation_id", None)
    if organisation_id is not None:
        fields["organization_id"] = organisation_id
    ended = "archived" if isinstance(tenant, Organisation | Project) else "disabled"
    status = "active" if end_of(tenant) is None else ended
    return {"object": _OBJECTS[type(tenant)], **fields, "status": status}


def shown_member(membership: Membership, user: User) -> dict[str, object]:
    """Returns a member of an organisation as JSON; the id is the user's."""
    return {
        "object": "organization.user",
        "id": user.id,
        "organization_id": membership.organisation_id,
        "email": user.email,
        "name": user.name,
        "role": membership.role,
        "added_at": membership.created_at,
        "disabled_at": user.disabled_at,
    }
