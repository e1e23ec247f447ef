"""Those who use an installation: organisations with projects, users with a role in each, and service accounts.

Keys belong to a project. An installation has an organisation and a project from the start, so that nobody has to know.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Role = Literal["owner", "admin", "member", "billing", "viewer"]

DEFAULT_ORGANISATION: Final = "org_default"
DEFAULT_PROJECT: Final = "proj_default"
DEFAULT_NAME: Final = "Default"


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation. Times are Unix seconds; the keys of one that is archived are refused."""

    id: str
    name: str
    created_at: int
    archived_at: int | None = None


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project of an organisation; the keys of one that is archived are refused."""

    id: str
    organisation_id: str
    name: str
    created_at: int
    archived_at: int | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person, who may belong to several organisations; keys that a disabled one holds are refused.

    The e-mail address is in its normal form, in which no two users have the same.
    """

    id: str
    email: str
    name: str
    created_at: int
    disabled_at: int | None = None


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """The role of a user in an organisation."""

    organisation_id: str
    user_id: str
    role: Role
    created_at: int


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A program that holds keys of a project, with a role in it; keys that a disabled one holds are refused."""

    id: str
    project_id: str
    name: str
    role: Role
    created_at: int
    disabled_at: int | None = None
