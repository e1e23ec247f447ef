"""`weebill orgs`, `members`, `projects`, `users` and `service-accounts`: the commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, QuietOption, sources_of
from weebill.cli.equivalents import Guide

orgs_app = typer.Typer(cls=Guide, help="Make, show, rename and archive organisations.", rich_markup_mode=None)
members_app = typer.Typer(cls=Guide, help="Say who belongs to an organisation, in which role.", rich_markup_mode=None)
projects_app = typer.Typer(cls=Guide, help="Make, show, rename and archive projects.", rich_markup_mode=None)
users_app = typer.Typer(cls=Guide, help="Make, show, rename and disable users.", rich_markup_mode=None)
accounts_app = typer.Typer(cls=Guide, help="Accounts of programs, which hold keys of a project.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="Up to 100 characters.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its other name.")]
Org = Annotated[str, typer.Argument(metavar="ORG", help="An organisation's id or name.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="A project's id or name.")]
User = Annotated[str, typer.Argument(metavar="USER", help="A user's id or e-mail address.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="A service account's id or name.")]
OrgOption = Annotated[str, typer.Option("--org", metavar="ORG", help="Its organisation, by id or name.")]
ProjectOption = Annotated[str, typer.Option("--project", metavar="PROJECT", help="Its project, by id or name.")]
RoleOption = Annotated[str, typer.Option("--role", help="owner, admin, member, billing or viewer.")]
AllOption = Annotated[bool, typer.Option("--all", "-a", help="Archived and disabled ones too.")]

DEFAULT_ORG = "org_default"
_DEFAULT_PROJECT = "proj_default"


@orgs_app.command("create")
def create_org(
    context: typer.Context,
    name: Name,
    owner: Annotated[
        str | None, typer.Option(metavar="USER", help="Its owner, by id or e-mail address.", show_default=False)
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make an organisation."""
    from weebill.cli.tenants import create_organisation

    create_organisation(sources_of(context, config), name, owner, quiet, as_json)


@projects_app.command("create")
def create_project(
    context: typer.Context,
    name: Name,
    org: OrgOption = DEFAULT_ORG,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make a project of an organisation."""
    from weebill.cli.tenants import create_project

    create_project(sources_of(context, config), name, org, quiet, as_json)


@users_app.command("create")
def create_user(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address.")],
    name: Annotated[str, typer.Option(help="As people call the user; the address by default.")] = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make a user, who belongs to no organisation yet."""
    from weebill.cli.tenants import create_user

    create_user(sources_of(context, config), email, name, quiet, as_json)


@accounts_app.command("create")
def create_account(
    context: typer.Context,
    name: Name,
    project: ProjectOption = _DEFAULT_PROJECT,
    role: Annotated[str, typer.Option(help="admin, member, billing or viewer.")] = "member",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make a service account; `weebill keys create NAME --service-account ACCOUNT` makes its keys."""
    from weebill.cli.tenants import create_account

    create_account(sources_of(context, config), name, project, role, quiet, as_json)


@orgs_app.command("list")
def list_orgs(
    context: typer.Context,
    everything: AllOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List organisations, oldest first."""
    from weebill.cli.tenants import list_organisations

    list_organisations(sources_of(context, config), everything, quiet, as_json)


@projects_app.command("list")
def list_projects(
    context: typer.Context,
    org: Annotated[
        str | None, typer.Option("--org", metavar="ORG", help="Of this organisation alone.", show_default=False)
    ] = None,
    everything: AllOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List projects, oldest first."""
    from weebill.cli.tenants import list_projects

    list_projects(sources_of(context, config), org, everything, quiet, as_json)


@users_app.command("list")
def list_users(
    context: typer.Context,
    everything: AllOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List users, oldest first."""
    from weebill.cli.tenants import list_users

    list_users(sources_of(context, config), everything, quiet, as_json)


@accounts_app.command("list")
def list_accounts(
    context: typer.Context,
    project: ProjectOption = _DEFAULT_PROJECT,
    everything: AllOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List a project's service accounts, oldest first."""
    from weebill.cli.tenants import list_accounts

    list_accounts(sources_of(context, config), project, everything, quiet, as_json)


@orgs_app.command("show")
def show_org(context: typer.Context, org: Org, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show an organisation."""
    from weebill.cli.tenants import show_organisation

    show_organisation(sources_of(context, config), org, as_json)


@projects_app.command("show")
def show_project(
    context: typer.Context, project: Project, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Show a project."""
    from weebill.cli.tenants import show_project

    show_project(sources_of(context, config), project, as_json)


@users_app.command("show")
def show_user(context: typer.Context, user: User, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show a user, and in which organisations with which role."""
    from weebill.cli.tenants import show_user

    show_user(sources_of(context, config), user, as_json)


@orgs_app.command("rename")
def rename_org(context: typer.Context, org: Org, name: NewName, config: ConfigOption = None) -> None:
    """Give an organisation another name."""
    from weebill.cli.tenants import rename_organisation

    rename_organisation(sources_of(context, config), org, name)


@projects_app.command("rename")
def rename_project(context: typer.Context, project: Project, name: NewName, config: ConfigOption = None) -> None:
    """Give a project another name."""
    from weebill.cli.tenants import rename_project

    rename_project(sources_of(context, config), project, name)


@users_app.command("rename")
def rename_user(context: typer.Context, user: User, name: NewName, config: ConfigOption = None) -> None:
    """Give a user another name."""
    from weebill.cli.tenants import rename_user

    rename_user(sources_of(context, config), user, name)


@accounts_app.command("set")
def set_account(
    context: typer.Context,
    account: Account,
    name: Annotated[str | None, typer.Option(help="Its other name.", show_default=False)] = None,
    role: Annotated[str | None, typer.Option(help="admin, member, billing or viewer.", show_default=False)] = None,
    project: ProjectOption = _DEFAULT_PROJECT,
    config: ConfigOption = None,
) -> None:
    """Give a service account another name or role."""
    from weebill.cli.tenants import set_account

    set_account(sources_of(context, config), account, project, name, role)


@orgs_app.command("archive")
def archive_org(context: typer.Context, org: Org, config: ConfigOption = None) -> None:
    """Refuse the keys of all its projects, within a second; `restore` takes that back."""
    from weebill.cli.tenants import shut_organisation

    shut_organisation(sources_of(context, config), org, shut=True)


@orgs_app.command("restore")
def restore_org(context: typer.Context, org: Org, config: ConfigOption = None) -> None:
    """Let an archived organisation's keys in again."""
    from weebill.cli.tenants import shut_organisation

    shut_organisation(sources_of(context, config), org, shut=False)


@projects_app.command("archive")
def archive_project(context: typer.Context, project: Project, config: ConfigOption = None) -> None:
    """Refuse a project's keys, within a second; `restore` takes that back."""
    from weebill.cli.tenants import shut_project

    shut_project(sources_of(context, config), project, shut=True)


@projects_app.command("restore")
def restore_project(context: typer.Context, project: Project, config: ConfigOption = None) -> None:
    """Let an archived project's keys in again."""
    from weebill.cli.tenants import shut_project

    shut_project(sources_of(context, config), project, shut=False)


@users_app.command("disable")
def disable_user(context: typer.Context, user: User, config: ConfigOption = None) -> None:
    """Refuse the keys that a user holds, within a second; `enable` takes that back."""
    from weebill.cli.tenants import shut_user

    shut_user(sources_of(context, config), user, shut=True)


@users_app.command("enable")
def enable_user(context: typer.Context, user: User, config: ConfigOption = None) -> None:
    """Let a disabled user's keys in again."""
    from weebill.cli.tenants import shut_user

    shut_user(sources_of(context, config), user, shut=False)


@accounts_app.command("disable")
def disable_account(
    context: typer.Context, account: Account, project: ProjectOption = _DEFAULT_PROJECT, config: ConfigOption = None
) -> None:
    """Refuse the keys that a service account holds, within a second; `enable` takes that back."""
    from weebill.cli.tenants import shut_account

    shut_account(sources_of(context, config), account, project, shut=True)


@accounts_app.command("enable")
def enable_account(
    context: typer.Context, account: Account, project: ProjectOption = _DEFAULT_PROJECT, config: ConfigOption = None
) -> None:
    """Let a disabled service account's keys in again."""
    from weebill.cli.tenants import shut_account

    shut_account(sources_of(context, config), account, project, shut=False)


@members_app.command("list")
def list_members(
    context: typer.Context,
    org: OrgOption = DEFAULT_ORG,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the members of an organisation."""
    from weebill.cli.tenants import list_members

    list_members(sources_of(context, config), org, quiet, as_json)


@members_app.command("add")
def add_member(
    context: typer.Context,
    user: User,
    org: OrgOption = DEFAULT_ORG,
    role: RoleOption = "member",
    config: ConfigOption = None,
) -> None:
    """Make a user a member of an organisation."""
    from weebill.cli.tenants import add_member

    add_member(sources_of(context, config), user, org, role)


@members_app.command("set")
def set_role(
    context: typer.Context, user: User, role: RoleOption, org: OrgOption = DEFAULT_ORG, config: ConfigOption = None
) -> None:
    """Give a member another role."""
    from weebill.cli.tenants import set_role

    set_role(sources_of(context, config), user, org, role)


@members_app.command("remove")
def remove_member(
    context: typer.Context, user: User, org: OrgOption = DEFAULT_ORG, config: ConfigOption = None
) -> None:
    """Take a user out of an organisation, and revoke the keys that the user holds in it."""
    from weebill.cli.tenants import remove_member

    remove_member(sources_of(context, config), user, org)
