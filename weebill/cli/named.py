"""Finds by its id or name whom an option or argument means. Raises UnknownTenantError, TenantConflictError."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from weebill.accounts.audit import command_line
from weebill.accounts.errors import UnknownTenantError
from weebill.accounts.tenancy import KINDS, Tenant
from weebill.accounts.tenants import Organisation, Project, User
from weebill.cli.errors import USAGE, CommandError
from weebill.limits.limit import SeveralSubjectsError, UnknownLimitError
from weebill.limits.setting import Limits
from weebill.storage.database import Database
from weebill.storage.tenants import tenants_in


def organisation_of(ledger: Database, given: str) -> str:
    """Returns the id of an organisation."""
    return tenants_in(ledger, command_line()).find(Organisation, given).id


def project_of(ledger: Database, given: str) -> str:
    """Returns the id of a project."""
    return tenants_in(ledger, command_line()).find(Project, given).id


def user_of(ledger: Database, given: str) -> str:
    """Returns the id of a user, by that or by the e-mail address."""
    return tenants_in(ledger, command_line()).find(User, given).id


def id_in(ledger: Database, dimension: str, given: str) -> str:
    """Returns what usage is told apart by: of an organisation, a project or a user the id, else what is given.

    An id need not be of anybody who is still there.
    """
    kind, find = _NAMED.get(dimension, (None, None))
    if kind is None or find is None or not given or given.startswith(KINDS[kind].prefix):
        return given
    return find(ledger, given)


_NAMED: Final[Mapping[str, tuple[type[Tenant], Callable[[Database, str], str]]]] = {
    "organization": (Organisation, organisation_of),
    "project": (Project, project_of),
    "user": (User, user_of),
}


def subject_of(ledger: Database, limits: Limits, given: str) -> str:
    """Returns the id of whom a limit is of: a key, an organisation, a project or a user.

    Raises UnknownLimitError for nobody, SeveralSubjectsError for several keys, CommandError for several of others.
    """
    if (by_id := _limited(limits, given)) == given:
        return given
    found = [] if by_id is None else [by_id]
    for find in (organisation_of, project_of, user_of) if "@" in given else (organisation_of, project_of):
        with suppress(UnknownTenantError):
            found.append(find(ledger, given))
    if not found:
        raise UnknownLimitError(f"There is nobody with the id or name {given!r}.")
    if len(found) > 1:
        raise CommandError(f"{given!r} is the name of several", f"give the id of one, {', '.join(found)}", USAGE)
    return found[0]


def _limited(limits: Limits, given: str) -> str | None:
    try:
        return limits.subject(given)
    except SeveralSubjectsError:
        raise
    except UnknownLimitError:
        return None
