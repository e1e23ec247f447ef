"""The management API's endpoints for organisations, their members and projects, service accounts and users."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from weebill.accounts.errors import UnknownTenantError
from weebill.accounts.permissions import Target, may
from weebill.accounts.tenancy import KINDS, Page, T, Tenant, Tenants
from weebill.accounts.tenants import Membership, Organisation, Project, ServiceAccount, User
from weebill.accounts.tenants_shown import (
    MemberShown,
    OrganizationShown,
    ProjectShown,
    ServiceAccountShown,
    TenantShown,
    UserShown,
    shown_account,
    shown_member,
    shown_organisation,
    shown_project,
    shown_user,
)
from weebill.control.access import Asking
from weebill.control.answers import Created, Json
from weebill.control.listing import DEFAULT_LIMIT, After, Limit, Listed, listed
from weebill.control.refusals import answering
from weebill.control.routing import Routes
from weebill.storage.database import Database
from weebill.storage.tenants import tenants_in

_STRICT: Final = ConfigDict(extra="forbid", strict=True)


class Named(BaseModel):
    """The body with which an organisation or a project is made, and a tenant renamed."""

    model_config = _STRICT

    name: str


class NewOrganisation(Named):
    """The body of `POST /api/v1/organizations`; `owner` is a user's id."""

    owner: str | None = None


class NewUser(BaseModel):
    """The body of `POST /api/v1/users`."""

    model_config = _STRICT

    email: str
    name: str = ""


class NewMember(BaseModel):
    """The body of `POST /api/v1/organizations/{organization_id}/users`."""

    model_config = _STRICT

    user_id: str
    role: str = "member"


class MemberRole(BaseModel):
    """The body of `PATCH /api/v1/organizations/{organization_id}/users/{user_id}`."""

    model_config = _STRICT

    role: str


class NewAccount(Named):
    """The body of `POST /api/v1/projects/{project_id}/service_accounts`."""

    role: str = "member"


class ChangedAccount(BaseModel):
    """The body of `PATCH .../service_accounts/{service_account_id}`; members that are missing stay."""

    model_config = _STRICT

    name: str | None = None
    role: str | None = None


class RemovedMember(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="organization.user.deleted"):
    """A member who was taken out; the id is the user's."""

    id: str
    deleted: Literal[True] = True


class TenantRoutes:
    """Makes, shows, changes, shuts out and lets in tenants, which are named by their ids."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.routes: Routes = {
            "GET /organizations": self._organisations,
            "POST /organizations": self._create_organisation,
            "GET /organizations/{organization_id}": self._organisation,
            "PATCH /organizations/{organization_id}": self._rename_organisation,
            "POST /organizations/{organization_id}/archive": self._archive_organisation,
            "POST /organizations/{organization_id}/restore": self._restore_organisation,
            "GET /organizations/{organization_id}/users": self._members,
            "POST /organizations/{organization_id}/users": self._add_member,
            "GET /organizations/{organization_id}/users/{user_id}": self._member,
            "PATCH /organizations/{organization_id}/users/{user_id}": self._set_role,
            "DELETE /organizations/{organization_id}/users/{user_id}": self._remove_member,
            "GET /organizations/{organization_id}/projects": self._projects,
            "POST /organizations/{organization_id}/projects": self._create_project,
            "GET /projects/{project_id}": self._project,
            "PATCH /projects/{project_id}": self._rename_project,
            "POST /projects/{project_id}/archive": self._archive_project,
            "POST /projects/{project_id}/restore": self._restore_project,
            "GET /projects/{project_id}/service_accounts": self._accounts,
            "POST /projects/{project_id}/service_accounts": self._create_account,
            "GET /projects/{project_id}/service_accounts/{service_account_id}": self._account,
            "PATCH /projects/{project_id}/service_accounts/{service_account_id}": self._change_account,
            "POST /projects/{project_id}/service_accounts/{service_account_id}/disable": self._disable_account,
            "POST /projects/{project_id}/service_accounts/{service_account_id}/enable": self._enable_account,
            "GET /users": self._users,
            "POST /users": self._create_user,
            "GET /users/{user_id}": self._user,
            "PATCH /users/{user_id}": self._rename_user,
            "POST /users/{user_id}/disable": self._disable_user,
            "POST /users/{user_id}/enable": self._enable_user,
        }

    def _organisations(
        self, actor: Asking, limit: Limit = DEFAULT_LIMIT, after: After = None, include_archived: bool = False
    ) -> Json[Listed[OrganizationShown]]:
        """Lists organisations that one belongs to, or all; the archived ones are those that one owns."""
        page = Page(limit + 1, after, include_archived)
        with answering():
            tenants = self._tenants(actor)
            if actor.installation:
                found = tenants.page(Organisation, page)
            else:  # those of one person are few
                ids = sorted({*actor.roles, *(actor.archived if include_archived else ())})
                own = [tenants.find(Organisation, id_) for id_ in ids if after is None or id_ > after]
                found = own[: limit + 1]
        return listed([shown_organisation(each) for each in found], limit, _id_of)

    def _create_organisation(self, actor: Asking, new: NewOrganisation) -> Created[OrganizationShown]:
        """Makes an organisation."""
        with answering():
            return Created(shown_organisation(self._tenants(actor).create_organisation(new.name, new.owner)))

    def _organisation(self, actor: Asking, organization_id: str) -> Json[OrganizationShown]:
        """Shows an organisation."""
        return Json(shown_organisation(self._find(actor, Organisation, organization_id)))

    def _rename_organisation(self, actor: Asking, organization_id: str, body: Named) -> Json[OrganizationShown]:
        """Gives an organisation another name."""
        with answering():
            return Json(shown_organisation(self._tenants(actor).set(Organisation, organization_id, body.name)))

    def _archive_organisation(self, actor: Asking, organization_id: str) -> Json[OrganizationShown]:
        """Refuses the keys of all projects of an organisation from now on."""
        with answering():
            return Json(shown_organisation(self._tenants(actor).shut_out(Organisation, organization_id)))

    def _restore_organisation(self, actor: Asking, organization_id: str) -> Json[OrganizationShown]:
        """Lets an archived organisation's keys in again."""
        with answering():
            return Json(shown_organisation(self._tenants(actor).let_in(Organisation, organization_id)))

    def _members(
        self, actor: Asking, organization_id: str, limit: Limit = DEFAULT_LIMIT, after: After = None
    ) -> Json[Listed[MemberShown]]:
        """Lists the members of an organisation."""
        with answering():
            tenants = self._tenants(actor)
            tenants.find(Organisation, _id(Organisation, organization_id))
            found = tenants.members(organization_id, Page(limit + 1, after))
        return listed([shown_member(*each) for each in found], limit, _id_of)

    def _add_member(self, actor: Asking, organization_id: str, new: NewMember) -> Created[MemberShown]:
        """Makes a user a member of an organisation."""
        with answering():
            by_owner = may(actor, "owners.write", Target(organization_id))
            made = self._tenants(actor).add_member(organization_id, new.user_id, new.role, by_owner=by_owner)
        return Created(self._shown(actor, made))

    def _member(self, actor: Asking, organization_id: str, user_id: str) -> Json[MemberShown]:
        """Shows a member of an organisation."""
        with answering():
            return Json(shown_member(*self._tenants(actor).member(organization_id, user_id)))

    def _set_role(self, actor: Asking, organization_id: str, user_id: str, body: MemberRole) -> Json[MemberShown]:
        """Gives a member another role."""
        with answering():
            by_owner = may(actor, "owners.write", Target(organization_id))
            changed = self._tenants(actor).set_role(organization_id, user_id, body.role, by_owner=by_owner)
        return Json(self._shown(actor, changed))

    def _remove_member(self, actor: Asking, organization_id: str, user_id: str) -> Json[RemovedMember]:
        """Takes a user out of an organisation, and revokes the keys that the user holds there."""
        with answering():
            by_owner = may(actor, "owners.write", Target(organization_id))
            self._tenants(actor).remove_member(organization_id, user_id, by_owner=by_owner)
        return Json(RemovedMember(id=user_id))

    def _projects(
        self,
        actor: Asking,
        organization_id: str,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        include_archived: bool = False,
    ) -> Json[Listed[ProjectShown]]:
        """Lists the projects of an organisation."""
        with answering():
            tenants = self._tenants(actor)
            tenants.find(Organisation, _id(Organisation, organization_id))
            found = tenants.page(Project, Page(limit + 1, after, include_archived), organization_id)
        return listed([shown_project(each) for each in found], limit, _id_of)

    def _create_project(self, actor: Asking, organization_id: str, new: Named) -> Created[ProjectShown]:
        """Makes a project of an organisation."""
        with answering():
            return Created(shown_project(self._tenants(actor).create_project(organization_id, new.name)))

    def _project(self, actor: Asking, project_id: str) -> Json[ProjectShown]:
        """Shows a project."""
        return Json(shown_project(self._find(actor, Project, project_id)))

    def _rename_project(self, actor: Asking, project_id: str, body: Named) -> Json[ProjectShown]:
        """Gives a project another name."""
        with answering():
            return Json(shown_project(self._tenants(actor).set(Project, project_id, body.name)))

    def _archive_project(self, actor: Asking, project_id: str) -> Json[ProjectShown]:
        """Refuses a project's keys from now on."""
        with answering():
            return Json(shown_project(self._tenants(actor).shut_out(Project, project_id)))

    def _restore_project(self, actor: Asking, project_id: str) -> Json[ProjectShown]:
        """Lets an archived project's keys in again."""
        with answering():
            return Json(shown_project(self._tenants(actor).let_in(Project, project_id)))

    def _accounts(
        self, actor: Asking, project_id: str, limit: Limit = DEFAULT_LIMIT, after: After = None
    ) -> Json[Listed[ServiceAccountShown]]:
        """Lists the service accounts of a project."""
        with answering():
            tenants = self._tenants(actor)
            tenants.find(Project, _id(Project, project_id))
            found = tenants.page(ServiceAccount, Page(limit + 1, after), project_id)
        return listed([shown_account(each) for each in found], limit, _id_of)

    def _create_account(self, actor: Asking, project_id: str, new: NewAccount) -> Created[ServiceAccountShown]:
        """Makes a service account, a program that holds keys of a project."""
        with answering():
            made = self._tenants(actor).create_service_account(project_id, new.name, new.role)
        return Created(shown_account(made))

    def _account(self, actor: Asking, project_id: str, service_account_id: str) -> Json[ServiceAccountShown]:
        """Shows a service account."""
        with answering():
            return Json(shown_account(_of_project(self._tenants(actor), project_id, service_account_id)))

    def _change_account(
        self, actor: Asking, project_id: str, service_account_id: str, body: ChangedAccount
    ) -> Json[ServiceAccountShown]:
        """Gives a service account another name or role."""
        with answering():
            tenants = self._tenants(actor)
            _of_project(tenants, project_id, service_account_id)
            return Json(shown_account(tenants.set(ServiceAccount, service_account_id, body.name, body.role)))

    def _disable_account(self, actor: Asking, project_id: str, service_account_id: str) -> Json[ServiceAccountShown]:
        """Refuses the keys that a service account holds from now on."""
        with answering():
            tenants = self._tenants(actor)
            _of_project(tenants, project_id, service_account_id)
            return Json(shown_account(tenants.shut_out(ServiceAccount, service_account_id)))

    def _enable_account(self, actor: Asking, project_id: str, service_account_id: str) -> Json[ServiceAccountShown]:
        """Lets a disabled service account's keys in again."""
        with answering():
            tenants = self._tenants(actor)
            _of_project(tenants, project_id, service_account_id)
            return Json(shown_account(tenants.let_in(ServiceAccount, service_account_id)))

    def _users(self, actor: Asking, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Json[Listed[UserShown]]:
        """Lists users."""
        with answering():
            found = self._tenants(actor).page(User, Page(limit + 1, after))
        return listed([shown_user(each) for each in found], limit, _id_of)

    def _create_user(self, actor: Asking, new: NewUser) -> Created[UserShown]:
        """Makes a user, who belongs to no organisation yet."""
        with answering():
            return Created(shown_user(self._tenants(actor).create_user(new.email, new.name)))

    def _user(self, actor: Asking, user_id: str) -> Json[UserShown]:
        """Shows a user."""
        return Json(shown_user(self._find(actor, User, user_id)))

    def _rename_user(self, actor: Asking, user_id: str, body: Named) -> Json[UserShown]:
        """Gives a user another name."""
        with answering():
            return Json(shown_user(self._tenants(actor).set(User, user_id, body.name)))

    def _disable_user(self, actor: Asking, user_id: str) -> Json[UserShown]:
        """Refuses the keys that a user holds from now on, and ends the sessions."""
        with answering():
            return Json(shown_user(self._tenants(actor).shut_out(User, user_id)))

    def _enable_user(self, actor: Asking, user_id: str) -> Json[UserShown]:
        """Lets a disabled user's keys in again."""
        with answering():
            return Json(shown_user(self._tenants(actor).let_in(User, user_id)))

    def _find(self, actor: Asking, kind: type[T], id_: str) -> T:
        with answering():
            return self._tenants(actor).find(kind, _id(kind, id_))

    def _shown(self, actor: Asking, member: Membership) -> MemberShown:
        with answering():
            return shown_member(*self._tenants(actor).member(member.organisation_id, member.user_id))

    def _tenants(self, actor: Asking) -> Tenants:
        return tenants_in(self._ledger, actor.author)


def _id_of(shown: TenantShown | MemberShown) -> str:
    return shown.id


def _id(kind: type[Tenant], given: str) -> str:
    """Returns an id. Raises UnknownTenantError for a name."""
    if not given.startswith(KINDS[kind].prefix):
        raise UnknownTenantError.of(given, KINDS[kind].param)
    return given


def _of_project(tenants: Tenants, project_id: str, account_id: str) -> ServiceAccount:
    account = tenants.find(ServiceAccount, _id(ServiceAccount, account_id))
    if account.project_id != project_id:
        raise UnknownTenantError.of(account_id, KINDS[ServiceAccount].param)
    return account
