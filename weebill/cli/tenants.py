"""Organisations, members, projects, users and service accounts: works on the ledger, even if Weebill does not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import typer
from msgspec import to_builtins

from weebill.accounts.audit import command_line
from weebill.accounts.errors import BadFieldError
from weebill.accounts.tenancy import KINDS, MOST_LISTED, Page, T, Tenants, end_of
from weebill.accounts.tenants import Membership, Organisation, Project, ServiceAccount, User
from weebill.accounts.tenants_shown import shown, shown_member
from weebill.cli.errors import USAGE, CommandError
from weebill.cli.output import NOTHING, day, print_json, print_table
from weebill.config.load import Sources, load_database
from weebill.storage.opening import open_ledger
from weebill.storage.tenants import tenants_in

_ENDED = {Organisation: "archived", Project: "archived", User: "disabled", ServiceAccount: "disabled"}
R = TypeVar("R")
Column = tuple[str, Callable[[T], str]]
"""A further column: its title, and what it has of a tenant."""


@contextmanager
def opened(sources: Sources) -> Iterator[Tenants]:
    """Opens the tenants. Raises CommandError for a bad value."""
    sources.home.create()
    try:
        with open_ledger(sources.home, load_database(sources)) as ledger:
            ledger.change(lambda _: None)  # made at first use
            yield tenants_in(ledger, command_line())
    except BadFieldError as error:
        raise CommandError(str(error), exit_code=USAGE) from error


def create_organisation(sources: Sources, name: str, owner: str | None, quiet: bool, as_json: bool) -> None:
    """Makes an organisation."""
    with opened(sources) as tenants:
        owner_id = None if owner is None else tenants.find(User, owner).id
        _say_made(tenants.create_organisation(name, owner_id), quiet, as_json)


def create_project(sources: Sources, name: str, org: str, quiet: bool, as_json: bool) -> None:
    """Makes a project."""
    with opened(sources) as tenants:
        _say_made(tenants.create_project(tenants.find(Organisation, org).id, name), quiet, as_json)


def create_user(sources: Sources, email: str, name: str, quiet: bool, as_json: bool) -> None:
    """Makes a user."""
    with opened(sources) as tenants:
        _say_made(tenants.create_user(email, name), quiet, as_json)


def create_account(sources: Sources, name: str, project: str, role: str, quiet: bool, as_json: bool) -> None:
    """Makes a service account."""
    with opened(sources) as tenants:
        _say_made(tenants.create_service_account(tenants.find(Project, project).id, name, role), quiet, as_json)


def list_organisations(sources: Sources, everything: bool, quiet: bool, as_json: bool) -> None:
    """Prints organisations."""
    with opened(sources) as tenants:
        _print(_all(tenants, Organisation, None, everything), quiet, as_json)


def list_projects(sources: Sources, org: str | None, everything: bool, quiet: bool, as_json: bool) -> None:
    """Prints projects, of all organisations or of one."""
    with opened(sources) as tenants:
        within = None if org is None else tenants.find(Organisation, org).id
        found = _all(tenants, Project, within, everything)
        _print(found, quiet, as_json, ("ORGANISATION", lambda each: each.organisation_id))


def list_users(sources: Sources, everything: bool, quiet: bool, as_json: bool) -> None:
    """Prints users."""
    with opened(sources) as tenants:
        _print(_all(tenants, User, None, everything), quiet, as_json, ("E-MAIL", lambda each: each.email))


def list_accounts(sources: Sources, project: str, everything: bool, quiet: bool, as_json: bool) -> None:
    """Prints a project's service accounts."""
    with opened(sources) as tenants:
        found = _all(tenants, ServiceAccount, tenants.find(Project, project).id, everything)
        _print(found, quiet, as_json, ("ROLE", lambda each: each.role))


def show_organisation(sources: Sources, org: str, as_json: bool) -> None:
    """Prints an organisation."""
    with opened(sources) as tenants:
        _print_one(_fields(tenants.find(Organisation, org)), as_json)


def show_project(sources: Sources, project: str, as_json: bool) -> None:
    """Prints a project."""
    with opened(sources) as tenants:
        _print_one(_fields(tenants.find(Project, project)), as_json)


def show_user(sources: Sources, user: str, as_json: bool) -> None:
    """Prints a user with the roles in organisations."""
    with opened(sources) as tenants:
        found = tenants.find(User, user)
        roles = {each.organisation_id: each.role for each in tenants.memberships(found.id)}
    if as_json:
        print_json({**_fields(found), "roles": roles})
    else:
        in_words = ", ".join(f"{role} of {organisation}" for organisation, role in roles.items())
        _print_one({**_fields(found), "roles": in_words or NOTHING}, as_json)


def rename_organisation(sources: Sources, org: str, name: str) -> None:
    """Renames an organisation."""
    with opened(sources) as tenants:
        _say(tenants.set(Organisation, tenants.find(Organisation, org).id, name), "Renamed")


def rename_project(sources: Sources, project: str, name: str) -> None:
    """Renames a project."""
    with opened(sources) as tenants:
        _say(tenants.set(Project, tenants.find(Project, project).id, name), "Renamed")


def rename_user(sources: Sources, user: str, name: str) -> None:
    """Renames a user."""
    with opened(sources) as tenants:
        _say(tenants.set(User, tenants.find(User, user).id, name), "Renamed")


def set_account(sources: Sources, account: str, project: str, name: str | None, role: str | None) -> None:
    """Changes a service account's name or role."""
    if name is None and role is None:
        hint = "`weebill service-accounts set --help` shows what can be"
        raise CommandError("nothing is to be changed", hint, USAGE)
    with opened(sources) as tenants:
        _say(tenants.set(ServiceAccount, _account(tenants, account, project).id, name, role), "Changed")


def shut_organisation(sources: Sources, org: str, *, shut: bool) -> None:
    """Archives an organisation, or takes that back."""
    with opened(sources) as tenants:
        _shut(tenants, tenants.find(Organisation, org), shut)


def shut_project(sources: Sources, project: str, *, shut: bool) -> None:
    """Archives a project, or takes that back."""
    with opened(sources) as tenants:
        _shut(tenants, tenants.find(Project, project), shut)


def shut_user(sources: Sources, user: str, *, shut: bool) -> None:
    """Disables a user, or takes that back."""
    with opened(sources) as tenants:
        _shut(tenants, tenants.find(User, user), shut)


def shut_account(sources: Sources, account: str, project: str, *, shut: bool) -> None:
    """Disables a service account, or takes that back."""
    with opened(sources) as tenants:
        _shut(tenants, _account(tenants, account, project), shut)


def list_members(sources: Sources, org: str, quiet: bool, as_json: bool) -> None:
    """Prints the members of an organisation; with `quiet`, the ids of the users."""
    with opened(sources) as tenants:
        id_ = tenants.find(Organisation, org).id
        members = list(_pages(lambda page: tenants.members(id_, page), lambda each: each[1].id))
    if quiet:
        for _, user in members:
            typer.echo(user.id)
    elif as_json:
        print_json([shown_member(*each) for each in members])
    elif members:
        rows = ((user.id, user.email, user.name, member.role, day(member.created_at)) for member, user in members)
        print_table(("USER", "E-MAIL", "NAME", "ROLE", "SINCE"), rows)
    else:
        typer.echo("There are no members; `weebill members add USER` adds one")


def add_member(sources: Sources, user: str, org: str, role: str) -> None:
    """Adds a member to an organisation."""
    with opened(sources) as tenants:
        made = tenants.add_member(tenants.find(Organisation, org).id, tenants.find(User, user).id, role)
    typer.echo(f"Added {user} to {made.organisation_id} as {made.role}")


def set_role(sources: Sources, user: str, org: str, role: str) -> None:
    """Changes a member's role."""
    with opened(sources) as tenants:
        changed: Membership = tenants.set_role(tenants.find(Organisation, org).id, tenants.find(User, user).id, role)
    typer.echo(f"{user} is {changed.role} of {changed.organisation_id} now")


def remove_member(sources: Sources, user: str, org: str) -> None:
    """Removes a member from an organisation."""
    with opened(sources) as tenants:
        gone = tenants.remove_member(tenants.find(Organisation, org).id, tenants.find(User, user).id)
    typer.echo(f"Removed {user} from {gone.organisation_id}; keys held there are revoked")


def _account(tenants: Tenants, account: str, project: str) -> ServiceAccount:
    return tenants.find(ServiceAccount, account, tenants.find(Project, project).id)


def _shut(tenants: Tenants, tenant: T, shut: bool) -> None:
    kind = type(tenant)
    if shut:
        _say(tenants.shut_out(kind, tenant.id), _ENDED[kind].capitalize())
    else:
        _say(tenants.let_in(kind, tenant.id), "Let in")


def _say_made(tenant: T, quiet: bool, as_json: bool) -> None:
    if as_json and not quiet:
        print_json(shown(tenant))
        return
    typer.echo(tenant.id if quiet else f"Made {KINDS[type(tenant)].word} {tenant.name} ({tenant.id})")


def _say(tenant: T, act: str) -> None:
    typer.echo(f"{act} {tenant.name} ({tenant.id})")


def _all(tenants: Tenants, kind: type[T], within: str | None, everything: bool) -> list[T]:
    def read(page: Page) -> list[T]:
        return tenants.page(kind, page._replace(all=everything), within)

    return list(_pages(read, lambda each: each.id))


def _pages(read: Callable[[Page], Sequence[R]], id_of: Callable[[R], str]) -> Iterator[R]:
    """Yields a list to its end, page by page."""
    page = Page()
    while True:
        found = read(page)
        yield from found
        if len(found) < MOST_LISTED:
            return
        page = Page(after=id_of(found[-1]))


def _print(found: Sequence[T], quiet: bool, as_json: bool, column: Column[T] | None = None) -> None:
    if quiet:
        for each in found:
            typer.echo(each.id)
    elif as_json:
        print_json([shown(each) for each in found])
    elif found:
        title: tuple[str, ...] = () if column is None else (column[0],)
        print_table(("ID", "NAME", *title, "CREATED", "STATUS"), [_row(tenant, column) for tenant in found])
    else:
        typer.echo("There are none")


def _row(tenant: T, column: Column[T] | None) -> tuple[str, ...]:
    own: tuple[str, ...] = () if column is None else (column[1](tenant),)
    return (tenant.id, tenant.name, *own, day(tenant.created_at), _status(tenant))


def _status(tenant: T) -> str:
    ended = end_of(tenant)
    return "active" if ended is None else f"{_ENDED[type(tenant)]} {day(ended)}"


def _fields(tenant: T) -> dict[str, object]:
    fields: dict[str, object] = to_builtins(shown(tenant))
    return fields


def _print_one(fields: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(fields)
        return
    lines = {name.replace("_", " "): value for name, value in fields.items() if name != "object"}
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        at = day(value) if name.endswith(" at") and isinstance(value, int) else value
        typer.echo(f"{name:{width}}{NOTHING if at is None else at}")
