"""`weebill usage retention`, `erase` and `export-tenant`: what is kept, how it goes, all of it as a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import typer

from weebill.accounts.audit import command_line
from weebill.cli.asking import confirm
from weebill.cli.errors import USAGE, CommandError
from weebill.cli.named import organisation_of, project_of
from weebill.cli.output import print_json, print_table
from weebill.cli.targets import target
from weebill.config.load import Sources, load_database
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.end_users import SeveralOrganisationsError
from weebill.storage.opening import open_ledger
from weebill.storage.responses import StoreError
from weebill.storage.tenant_archive import archive
from weebill.storage.tenant_stores import Stores, Tenant, located, opened_stores
from weebill.storage.usage_erasure import Erased, not_reached
from weebill.storage.usage_erasure import erase as erase_all
from weebill.storage.usage_retention import COUNTS_ONLY, EVERYWHERE, MOST_DAYS, rules, set_rule

_REST_S: Final = 0.01
"""Left to others after each transaction."""


def show_retention(sources: Sources, as_json: bool) -> None:
    """Prints for how long each project's requests are kept."""
    with open_ledger(sources.home, load_database(sources)) as ledger:
        found = ledger.read(rules)
    if as_json:
        print_json([{"project": project or None, "days": days} for project, days in found.items()])
        return
    rows = [(project, _said(days)) for project, days in found.items() if project != EVERYWHERE]
    everywhere = _said(found[EVERYWHERE]) if EVERYWHERE in found else "kept for good"
    print_table(("project", "requests are"), [*rows, ("all others" if rows else "all", everywhere)])


def set_retention(sources: Sources, project: str, days: int | None, counts_only: bool, forever: bool) -> None:
    """Sets for how long the requests of a project are kept, or of all that have no rule of their own."""
    if [days is not None, counts_only, forever].count(True) != 1:
        raise CommandError("give one of --days, --counts-only and --forever", exit_code=USAGE)
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise CommandError(f"--days: {days} is not from 1 to {MOST_DAYS}", "--counts-only keeps no requests", USAGE)
    kept = COUNTS_ONLY if counts_only else days
    with open_ledger(sources.home, load_database(sources)) as ledger:
        project_id = project_of(ledger, project) if project else EVERYWHERE
        ledger.change(partial(set_rule, project=project_id, days=kept))
    whose = f"Requests of {project}" if project else "Requests of all projects without a rule of their own"
    typer.echo(f"{whose} are {_said(kept)}; sums stay")


def erase(sources: Sources, tenant: Tenant, yes: bool) -> None:
    """Deletes all that is kept of a tenant's requests, after a question."""
    with _stores(sources, tenant) as (stores, tenant):
        confirm(f"All requests of {_named(tenant)} would be deleted for good.", "Delete them?", yes)
        erased = Erased()
        erase_all(stores, tenant, command_line(), _rest, erased)
    counts = (
        f"{erased.requests} requests, {erased.ratings} ratings of them, {erased.answers} stored answers, "
        f"{erased.outcomes} ratings and audits of `auto`"
    )
    typer.echo(f"Erased {counts} of {_named(tenant)}. This is not reached:")
    for left in not_reached(tenant):
        typer.echo(f"- {left}")


def export_tenant(sources: Sources, tenant: Tenant, output: Path) -> None:
    """Writes all data of a tenant to a new file."""
    file = target(sources.home, output, sources.file)
    with _stores(sources, tenant) as (stores, tenant):
        stores.ledger.change(partial(record, author=command_line(), act=tenant.act("usage.export")))
        try:
            with file.open("xb") as opened:
                file.chmod(0o600)
                size = sum(opened.write(part) for part in archive(stores, tenant))
        except FileExistsError:
            raise CommandError(f"{output} is there already", "name another file", USAGE) from None
        except OSError as error:
            raise CommandError(f"cannot write {output}: {error.strerror}") from error
    typer.echo(f"Wrote all that is kept of {_named(tenant)} to {output}, {size:,} bytes")


def tenant_of(org: str, project: str, end_user: str) -> Tenant:
    """Returns the one that is given, by its name or id. Raises CommandError."""
    if org and project:
        raise CommandError("give one of --org and --project", exit_code=USAGE)
    if end_user:
        return Tenant("end_user", end_user, org or None, project or None)
    if org or project:
        return Tenant("organization", org) if org else Tenant("project", project)
    raise CommandError("give one of --org, --project and --end-user", exit_code=USAGE)


@contextmanager
def _stores(sources: Sources, tenant: Tenant) -> Iterator[tuple[Stores, Tenant]]:
    """Opens all that is kept of a tenant, and finds the one that is named. Raises CommandError, UnknownTenantError."""
    database = load_database(sources)
    with open_ledger(sources.home, database) as ledger:
        found = _found(ledger, tenant)
        try:
            with opened_stores(ledger, sources.home, database) as stores:
                yield stores, found
        except StoreError as error:
            raise CommandError(str(error)) from error


def _found(ledger: Database, tenant: Tenant) -> Tenant:
    """Returns a tenant by its ids, of which names may be given. Raises CommandError, UnknownTenantError."""
    match tenant.kind:
        case "organization":
            tenant = tenant._replace(id=organisation_of(ledger, tenant.id))
        case "project":
            tenant = tenant._replace(id=project_of(ledger, tenant.id))
        case "end_user":
            organisation = None if tenant.organisation is None else organisation_of(ledger, tenant.organisation)
            project = None if tenant.project is None else project_of(ledger, tenant.project)
            tenant = tenant._replace(organisation=organisation, project=project)
    try:
        return ledger.read(partial(located, tenant=tenant)) or tenant
    except SeveralOrganisationsError as error:
        raise CommandError(str(error), f"give one with --org: {error.said}", USAGE) from error


def _named(tenant: Tenant) -> str:
    within = tenant.project or tenant.organisation if tenant.kind == "end_user" else None
    return f"{tenant.kind.replace('_', ' ')} {tenant.id}{f' of {within}' if within else ''}"


def _said(days: int | None) -> str:
    if days is None:
        return "kept for good"
    return "not kept, only counted" if days == COUNTS_ONLY else f"kept for {days} days"


def _rest() -> None:
    time.sleep(_REST_S)
