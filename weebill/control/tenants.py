"""The management API's endpoints for organisations, their members and projects, service accounts and users."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from weebill.accounts.errors import UnknownTenantError
from weebill.accounts.permissions import Target, may
from weebill.accounts.tenancy import KINDS, Page, T, Tenant, Tenants
from weebill.accounts.tenants import Membership, Organisation, Project, ServiceAccount, User
from weebill.accounts.tenants_shown import shown, shown_member
from weebill.control.access import Asking
from weebill.control.answers import Json
from weebill.control.listing import DEFAULT_LIMIT, After, Limit, listed
from weebill.control.refusals import answering
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


class TenantRoutes:
    """Makes, shows, changes, shuts out and lets in tenants, which are named by their ids."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.router = APIRouter()
        for path, method, serve in (
            ("/organizations", "GET", self._organisations),
            ("/organizations", "POST", self._create_organisation),
            ("/organizations/{organization_id}", "GET", self._organisation),
            ("/organizations/{organization_id}", "PATCH", self._rename_organisation),
            ("/organizations/{organization_id}/archive", "POST", self._archive_organisation),
            ("/organizations/{organization_id}/restore", "POST", self._restore_organisation),
            ("/organizations/{organization_id}/users", "GET", self._members),
            ("/organizations/{organization_id}/users", "POST", self._add_member),
            ("/organizations/{organization_id}/users/{user_id}", "GET", self._member),
            ("/organizations/{organization_id}/users/{user_id}", "PATCH", self._set_role),
            ("/organizations/{organization_id}/users/{user_id}", "DELETE", self._remove_member),
            ("/organizations/{organization_id}/projects", "GET", self._projects),
            ("/organizations/{organization_id}/projects", "POST", self._create_project),
            ("/projects/{project_id}", "GET", self._project),
            ("/projects/{project_id}", "PATCH", self._rename_project),
            ("/projects/{project_id}/archive", "POST", self._archive_project),
            ("/projects/{project_id}/restore", "POST", self._restore_project),
            ("/projects/{project_id}/service_accounts", "GET", self._accounts),
            ("/projects/{project_id}/service_accounts", "POST", self._create_account),
            ("/projects/{project_id}/service_accounts/{service_account_id}", "GET", self._account),
            ("/projects/{project_id}/service_accounts/{service_account_id}", "PATCH", self._change_account),
            ("/projects/{project_id}/service_accounts/{service_account_id}/disable", "POST", self._disable_account),
            ("/projects/{project_id}/service_accounts/{service_account_id}/enable", "POST", self._enable_account),
            ("/users", "GET", self._users),
            ("/users", "POST", self._create_user),
            ("/users/{user_id}", "GET", self._user),
            ("/users/{user_id}", "PATCH", self._rename_user),
            ("/users/{user_id}/disable", "POST", self._disable_user),
            ("/users/{user_id}/enable", "POST", self._enable_user),
        ):
            self.router.add_api_route(path, serve, methods=[method])

    def _organisations(
        self, actor: Asking, limit: Limit = DEFAULT_LIMIT, after: After = None, include_archived: bool = False
    ) -> Response:
        page = Page(limit + 1, after, include_archived)
        with answering():
            tenants = self._tenants(actor)
            if actor.installation:
                found = tenants.page(Organisation, page)
            else:  # those of one person are few
                own = [tenants.find(Organisation, id_) for id_ in sorted(actor.roles) if after is None or id_ > after]
                found = [each for each in own if include_archived or each.archived_at is None][: limit + 1]
        return listed([shown(each) for each in found], limit)

    def _create_organisation(self, actor: Asking, new: NewOrganisation) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).create_organisation(new.name, new.owner)), 201)

    def _organisation(self, actor: Asking, organization_id: str) -> Response:
        return self._show(actor, Organisation, organization_id)

    def _rename_organisation(self, actor: Asking, organization_id: str, body: Named) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).set(Organisation, organization_id, body.name)))

    def _archive_organisation(self, actor: Asking, organization_id: str) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).shut_out(Organisation, organization_id)))

    def _restore_organisation(self, actor: Asking, organization_id: str) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).let_in(Organisation, organization_id)))

    def _members(
        self, actor: Asking, organization_id: str, limit: Limit = DEFAULT_LIMIT, after: After = None
    ) -> Response:
        with answering():
            tenants = self._tenants(actor)
            tenants.find(Organisation, _id(Organisation, organization_id))
            found = tenants.members(organization_id, Page(limit + 1, after))
        return listed([shown_member(*each) for each in found], limit)

    def _add_member(self, actor: Asking, organization_id: str, new: NewMember) -> Response:
        with answering():
            by_owner = may(actor, "owners.write", Target(organization_id))
            made = self._tenants(actor).add_member(organization_id, new.user_id, new.role, by_owner=by_owner)
        return self._show_member(actor, made, 201)

    def _member(self, actor: Asking, organization_id: str, user_id: str) -> Response:
        with answering():
            return Json(shown_member(*self._tenants(actor).member(organization_id, user_id)))

    def _set_role(self, actor: Asking, organization_id: str, user_id: str, body: MemberRole) -> Response:
        with answering():
            by_owner = may(actor, "owners.write", Target(organization_id))
            changed = self._tenants(actor).set_role(organization_id, user_id, body.role, by_owner=by_owner)
        return self._show_member(actor, changed)

    def _remove_member(self, actor: Asking, organization_id: str, user_id: str) -> Response:
        with answering():
            by_owner = may(actor, "owners.write", Target(organization_id))
            self._tenants(actor).remove_member(organization_id, user_id, by_owner=by_owner)
        return Json({"object": "organization.user.deleted", "id": user_id, "deleted": True})

    def _projects(
        self,
        actor: Asking,
        organization_id: str,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        include_archived: bool = False,
    ) -> Response:
        with answering():
            tenants = self._tenants(actor)
            tenants.find(Organisation, _id(Organisation, organization_id))
            found = tenants.page(Project, Page(limit + 1, after, include_archived), organization_id)
        return listed([shown(each) for each in found], limit)

    def _create_project(self, actor: Asking, organization_id: str, new: Named) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).create_project(organization_id, new.name)), 201)

    def _project(self, actor: Asking, project_id: str) -> Response:
        return self._show(actor, Project, project_id)

    def _rename_project(self, actor: Asking, project_id: str, body: Named) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).set(Project, project_id, body.name)))

    def _archive_project(self, actor: Asking, project_id: str) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).shut_out(Project, project_id)))

    def _restore_project(self, actor: Asking, project_id: str) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).let_in(Project, project_id)))

    def _accounts(self, actor: Asking, project_id: str, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Response:
        with answering():
            tenants = self._tenants(actor)
            tenants.find(Project, _id(Project, project_id))
            found = tenants.page(ServiceAccount, Page(limit + 1, after), project_id)
        return listed([shown(each) for each in found], limit)

    def _create_account(self, actor: Asking, project_id: str, new: NewAccount) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).create_service_account(project_id, new.name, new.role)), 201)

    def _account(self, actor: Asking, project_id: str, service_account_id: str) -> Response:
        with answering():
            return Json(shown(_of_project(self._tenants(actor), project_id, service_account_id)))

    def _change_account(
        self, actor: Asking, project_id: str, service_account_id: str, body: ChangedAccount
    ) -> Response:
        with answering():
            tenants = self._tenants(actor)
            _of_project(tenants, project_id, service_account_id)
            return Json(shown(tenants.set(ServiceAccount, service_account_id, body.name, body.role)))

    def _disable_account(self, actor: Asking, project_id: str, service_account_id: str) -> Response:
        with answering():
            tenants = self._tenants(actor)
            _of_project(tenants, project_id, service_account_id)
            return Json(shown(tenants.shut_out(ServiceAccount, service_account_id)))

    def _enable_account(self, actor: Asking, project_id: str, service_account_id: str) -> Response:
        with answering():
            tenants = self._tenants(actor)
            _of_project(tenants, project_id, service_account_id)
            return Json(shown(tenants.let_in(ServiceAccount, service_account_id)))

    def _users(self, actor: Asking, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Response:
        with answering():
            found = self._tenants(actor).page(User, Page(limit + 1, after))
        return listed([shown(each) for each in found], limit)

    def _create_user(self, actor: Asking, new: NewUser) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).create_user(new.email, new.name)), 201)

    def _user(self, actor: Asking, user_id: str) -> Response:
        return self._show(actor, User, user_id)

    def _rename_user(self, actor: Asking, user_id: str, body: Named) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).set(User, user_id, body.name)))

    def _disable_user(self, actor: Asking, user_id: str) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).shut_out(User, user_id)))

    def _enable_user(self, actor: Asking, user_id: str) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).let_in(User, user_id)))

    def _show(self, actor: Asking, kind: type[T], id_: str) -> Response:
        with answering():
            return Json(shown(self._tenants(actor).find(kind, _id(kind, id_))))

    def _show_member(self, actor: Asking, member: Membership, status: int = 200) -> Response:
        with answering():
            return Json(shown_member(*self._tenants(actor).member(member.organisation_id, member.user_id)), status)

    def _tenants(self, actor: Asking) -> Tenants:
        return tenants_in(self._ledger, actor.author)


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
