"""`weebill audit`: reads the log in the ledger, even if Weebill is not running."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import typer

from weebill.accounts.audit import AuditEntry, command_line
from weebill.accounts.audit_shown import shown
from weebill.accounts.tenants import Organisation
from weebill.cli.errors import USAGE, CommandError
from weebill.cli.output import NOTHING, day, print_json, print_table
from weebill.config.load import Sources, load_database
from weebill.storage.audit import check, latest
from weebill.storage.opening import open_ledger
from weebill.storage.tenants import tenants_in

_US: Final = 1_000_000
_LONGEST: Final = 60
_NOTED: Final = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


def list_acts(sources: Sources, limit: int, before: int | None, org: str | None, as_json: bool) -> None:
    """Prints rows, the latest first."""
    with open_ledger(sources.home, load_database(sources)) as ledger:
        organisation_id = None if org is None else tenants_in(ledger, command_line()).find(Organisation, org).id
        found = ledger.read(lambda connection: latest(connection, limit, before, organisation_id))
    if as_json:
        print_json([shown(entry) for entry in found])
    elif found:
        rows = (
            (str(each.id), day(each.at / _US), _by(each), each.action, each.target, _changed(each)) for each in found
        )
        print_table(("ROW", "AT", "BY", "ACT", "ON", "CHANGED"), rows)
    else:
        typer.echo("There are no acts yet")


def verify(sources: Sources, noted: Sequence[str], quiet: bool, as_json: bool) -> None:
    """Checks the log, and prints the number of its rows and the last hash; with `quiet`, as `--noted` takes them."""
    awaited = dict(_row(each) for each in noted)
    with open_ledger(sources.home, load_database(sources)) as ledger:
        verified = check(ledger, awaited)
    if quiet:
        typer.echo(f"{verified.rows}:{verified.head}")
        return
    if as_json:
        print_json({"rows": verified.rows, "head": verified.head})
        return
    typer.echo(f"All {verified.rows} rows are as they were written")
    typer.echo(f"Note elsewhere, for `weebill audit verify --noted`: {verified.rows}:{verified.head}")


def _row(noted: str) -> tuple[int, str]:
    found = _NOTED.fullmatch(noted.strip())
    if found is None:
        raise CommandError(f"--noted: {noted!r} is no row and its hash", "give it as `verify` printed it", USAGE)
    return int(found[1]), found[2]


def _by(entry: AuditEntry) -> str:
    name = entry.author_name or entry.author_id
    if entry.author_kind == "command_line":
        return f"{name} (command line)"
    return f"{name} ({entry.author_kind})" + (f" from {entry.address}" if entry.address else "")


def _changed(entry: AuditEntry) -> str:
    text = entry.after or entry.before or NOTHING
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
