"""The permission table: which role may do what in an organisation; and the decision about one act. Pure.

Who holds an admin key may do everything in the installation. Everybody else has roles in organisations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from weebill.accounts.audit import Author
from weebill.accounts.tenants import Role

Permission = Literal[
    "installation.manage",
    "organization.read",
    "organization.write",
    "organization.archive",
    "members.read",
    "members.write",
    "owners.write",
    "projects.read",
    "projects.write",
    "service_accounts.read",
    "service_accounts.write",
    "keys.read",
    "keys.write",
    "audit.read",
    "usage.read",
    "limits.read",
    "limits.write",
    "credits.read",
    "credits.buy",
    "provider_keys.read",
    "provider_keys.write",
]


class Grant(NamedTuple):
    """The roles that have a permission, and those that have it for what they hold themselves."""

    roles: frozenset[Role] = frozenset()
    own: frozenset[Role] = frozenset()


_OWNER: Final[frozenset[Role]] = frozenset({"owner"})
_ADMINS: Final[frozenset[Role]] = frozenset({"owner", "admin"})
_READERS: Final[frozenset[Role]] = frozenset({"owner", "admin", "viewer"})
_WATCHERS: Final[frozenset[Role]] = frozenset({"owner", "admin", "billing", "viewer"})
_ALL: Final[frozenset[Role]] = frozenset({"owner", "admin", "member", "billing", "viewer"})
_MEMBER: Final[frozenset[Role]] = frozenset({"member"})

PERMISSIONS: Final[Mapping[Permission, Grant]] = {
    "installation.manage": Grant(),
    "organization.read": Grant(_ALL),
    "organization.write": Grant(_ADMINS),
    "organization.archive": Grant(_OWNER),
    "members.read": Grant(_ALL),
    "members.write": Grant(_ADMINS),
    "owners.write": Grant(_OWNER),
    "projects.read": Grant(_ALL),
    "projects.write": Grant(_ADMINS),
    "service_accounts.read": Grant(_READERS),
    "service_accounts.write": Grant(_ADMINS),
    "keys.read": Grant(_READERS, own=_MEMBER),
    "keys.write": Grant(_ADMINS, own=_MEMBER),
    "audit.read": Grant(_ADMINS),
    "usage.read": Grant(_WATCHERS, own=_MEMBER),
    "limits.read": Grant(_WATCHERS, own=_MEMBER),
    "limits.write": Grant(_ADMINS),
    "credits.read": Grant(frozenset({"owner", "admin", "billing"})),
    "credits.buy": Grant(frozenset({"owner", "billing"})),
    "provider_keys.read": Grant(_READERS),
    "provider_keys.write": Grant(_ADMINS),
}


IN_ARCHIVED: Final[frozenset[Permission]] = frozenset({"organization.read", "organization.archive"})
"""The permissions that an organisation's owners keep while it is archived: to see that there is one, and restore it."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The one who asks: with power over the whole installation, or with roles by organisation.

    `archived` are the ids of archived organisations that it owns, in which `IN_ARCHIVED` hold. A service account's
    role holds in its project alone, `project_id`. `user_id` is that of a user, who may hold keys.
    """

    author: Author
    installation: bool = False
    roles: Mapping[str, Role] = {}
    archived: frozenset[str] = frozenset()
    project_id: str | None = None
    user_id: str | None = None


class Target(NamedTuple):
    """The thing that is asked for: of an organisation, perhaps of a project, perhaps held by a user.

    Without an organisation, it is the installation itself.
    """

    organisation_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None


def acting(actor: Actor, permission: Permission) -> Actor:
    """Returns an actor with the roles that count for a permission, those in archived organisations among them."""
    if permission not in IN_ARCHIVED:
        return actor
    owned: dict[str, Role] = dict.fromkeys(actor.archived, "owner")
    return msgspec.structs.replace(actor, roles={**owned, **actor.roles})


def sees(actor: Actor, target: Target) -> bool:
    """True if an actor may know that a target exists."""
    if actor.installation:
        return True
    if target.organisation_id is None or target.organisation_id not in actor.roles:
        return False
    return actor.project_id is None or actor.project_id == target.project_id


def may(actor: Actor, permission: Permission, target: Target) -> bool:
    """True if an actor has a permission for a target."""
    if actor.installation:
        return True
    if target.organisation_id is None or not sees(actor, target):
        return False
    role, grant = actor.roles[target.organisation_id], PERMISSIONS[permission]
    is_own = target.user_id is not None and target.user_id == actor.user_id
    return role in grant.roles or (is_own and role in grant.own)


Reach = tuple[Target, ...]
"""The part that somebody may see in lists: all of these targets; a project or a holder that is None may be any."""


def reach_of(actor: Actor, permission: Permission) -> Reach | None:
    """Returns what a permission of an actor extends to, None if that is everything."""
    if actor.installation:
        return None
    grant = PERMISSIONS[permission]
    return tuple(
        Target(organisation_id, actor.project_id, None if role in grant.roles else actor.user_id)
        for organisation_id, role in sorted(actor.roles.items())
        if role in grant.roles or (role in grant.own and actor.user_id is not None)
    )
