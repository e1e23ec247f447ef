"""`weebill usage retention` and `erase`: for how long requests are kept, and how they go at once."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Final

import typer
from sqlalchemy import Connection, select

from weebill.cli.errors import USAGE, CommandError
from weebill.cli.output import print_table
from weebill.config.load import Sources, load_database
from weebill.storage.opening import open_ledger, open_responses
from weebill.storage.tables.tenants import PROJECTS
from weebill.storage.usage_erasure import erase_end_user, erase_project
from weebill.storage.usage_retention import COUNTS_ONLY, EVERYWHERE, MOST_DAYS, rules, set_rule

_REST_S: Final = 0.01
"""Left to others after each transaction."""


def show_retention(sources: Sources, as_json: bool) -> None:
    """Prints for how long each project's requests are kept."""
    with open_ledger(sources.home, load_database(sources)) as ledger:
        found = ledger.read(rules)
    if as_json:
        typer.echo(json.dumps([{"project": project or None, "days": days} for project, days in found.items()]))
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
        if project:
            ledger.read(partial(_require, project=project))
        ledger.change(partial(set_rule, project=project or EVERYWHERE, days=kept))
    whose = f"Requests of {project}" if project else "Requests of all projects without a rule of their own"
    typer.echo(f"{whose} are {_said(kept)}; sums stay")


def erase(sources: Sources, project: str, end_user: str, yes: bool) -> None:
    """Deletes all that is kept of a project's or an end user's requests, after a question."""
    if bool(project) == bool(end_user):
        raise CommandError("give either --project or --end-user", exit_code=USAGE)
    database = load_database(sources)
    with open_ledger(sources.home, database) as ledger, open_responses(sources.home, database) as responses:
        if project:
            ledger.read(partial(_require, project=project))
        whose = f"project {project}" if project else f"end user {end_user}"
        if not yes and not typer.confirm(f"Delete all requests of {whose} for good?"):
            raise typer.Exit(1)
        if project:
            responses.change(lambda _: None)
            requests, answers = erase_project(ledger, responses, project, _rest)
            typer.echo(f"Erased {requests} requests and {answers} stored answers of {whose}; sums stay")
        else:
            typer.echo(f"Erased {erase_end_user(ledger, end_user, _rest)} requests of {whose}; sums of others stay")


def _require(connection: Connection, project: str) -> None:
    if connection.execute(select(PROJECTS.c.id).where(PROJECTS.c.id == project)).scalar() is None:
        raise CommandError(f"there is no project {project!r}", "give its id, such as proj_default")


def _said(days: int | None) -> str:
    if days is None:
        return "kept for good"
    return "not kept, only counted" if days == COUNTS_ONLY else f"kept for {days} days"


def _rest() -> None:
    time.sleep(_REST_S)
