"""`weebill keys`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import typer
from msgspec import UNSET

from weebill.accounts.api_key import ApiKey, KeyRole
from weebill.accounts.audit import command_line
from weebill.accounts.errors import BadKeyError
from weebill.accounts.keys import CreatedKey, Keys, Owner
from weebill.accounts.scopes import ScopeChanges, read_preferences, said_preferences
from weebill.accounts.shown import shown, status_of
from weebill.accounts.tenancy import Page, Tenants
from weebill.accounts.tenants import DEFAULT_PROJECT, Project, ServiceAccount, User
from weebill.cli.errors import USAGE, CommandError, warn
from weebill.cli.output import NOTHING, cost, day, print_json, print_table
from weebill.cli.times import moment, span_s
from weebill.config.load import Sources, load_database
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger
from weebill.storage.tenants import tenants_in

_NEVER = "never"


class Given(NamedTuple):
    """The scopes of a key that options give; None for those that they do not mention."""

    expires: str | None
    models: Sequence[str] | None
    endpoints: Sequence[str] | None
    networks: Sequence[str] | None
    local_only: bool | None
    prefer: str | None

    def changes(self) -> ScopeChanges:
        """Returns the scopes that are given. Raises CommandError, BadKeyError."""
        at: int | None = None
        if self.expires not in (None, _NEVER):
            at = moment(str(self.expires), time.time(), "--expires")
        return ScopeChanges(
            expires_at=UNSET if self.expires is None else at,
            models=UNSET if self.models is None else tuple(self.models),
            endpoints=UNSET if self.endpoints is None else tuple(self.endpoints),
            networks=UNSET if self.networks is None else tuple(self.networks),
            local_only=UNSET if self.local_only is None else self.local_only,
            preferences=UNSET if self.prefer is None else read_preferences(self.prefer.encode(errors="replace")),
        )


# The option for each field of a key.
_OPTIONS = {
    "expires_at": "--expires",
    "models": "--model",
    "endpoints": "--endpoint",
    "networks": "--network",
    "local_only": "--local-only",
    "preferences": "--prefer",
    "overlap_s": "--overlap",
    "project_id": "--project",
    "user_id": "--user",
    "service_account_id": "--service-account",
}


class GivenOwner(NamedTuple):
    """The project and the holder of a new key, by ids or names; None for those that options do not mention."""

    project: str | None
    user: str | None
    account: str | None

    def owner(self, tenants: Tenants) -> Owner:
        """Returns the owner of the key. Raises LedgerError."""
        project_id = DEFAULT_PROJECT if self.project is None else tenants.find(Project, self.project).id
        user_id = None if self.user is None else tenants.find(User, self.user).id
        account_id = None if self.account is None else tenants.find(ServiceAccount, self.account, project_id).id
        return Owner(project_id, user_id, account_id)


def create(
    sources: Sources, name: str, role: KeyRole, given: Given, owner: GivenOwner, quiet: bool, as_json: bool
) -> None:
    """Creates a key and prints it; with `quiet`, prints the key alone."""
    with _opened(sources) as (keys, tenants):
        created = keys.create(name, role, given.changes(), owner.owner(tenants))
    if created.warning:
        warn(created.warning)
    _show_secret(created, f"Made key {created.key.name} ({created.key.id}, role {role}).", quiet, as_json)


def list_keys(sources: Sources, revoked: bool, project: str | None, quiet: bool, as_json: bool) -> None:
    """Prints the keys, of all projects or of one; with `quiet`, their ids."""
    with _opened(sources) as (keys, tenants):
        project_id = None if project is None else tenants.find(Project, project).id
        found = [
            (key, use)
            for key, use in keys.used()
            if (revoked or key.revoked_at is None) and project_id in (None, key.project_id)
        ]
        several = len(tenants.page(Project, Page(2))) > 1
    if quiet:
        for key, _ in found:
            typer.echo(key.id)
    elif as_json:
        print_json([shown(key, use) for key, use in found])
    elif found:
        rows = (
            (
                key.id, key.name, *([key.project_id] if several else ()), key.role, key.hint, day(key.created_at),
                day(use.last_used_at), str(use.requests), cost(use.cost_nano), _status(key),
            )
            for key, use in found
        )  # fmt: skip
        placed = ("PROJECT",) if several else ()
        headings = ("ID", "NAME", *placed, "ROLE", "KEY", "CREATED", "LAST USED", "REQUESTS", "COST", "STATUS")
        print_table(headings, rows)
    else:
        typer.echo("There are no keys; `weebill keys create NAME` makes one")


def show(sources: Sources, id_or_name: str, as_json: bool) -> None:
    """Prints a key's scopes and its use."""
    with _opened(sources) as (keys, tenants):
        key, use = keys.find(id_or_name)
        several = len(tenants.page(Project, Page(2))) > 1
    if as_json:
        print_json(shown(key, use))
        return
    preferences = said_preferences(key.preferences)
    lines = {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "key": key.hint,
        "status": _status(key),
        "created": day(key.created_at),
        "old secret": f"valid until {day(key.previous_until)}" if _overlaps(key) else NOTHING,
        "models": _listed(key.models, "all"),
        "endpoints": _listed(key.endpoints, "all"),
        "networks": _listed(key.networks, "all"),
        "local only": "yes" if key.local_only else "no",
        "preferences": msgspec.json.encode(preferences).decode() if preferences else NOTHING,
        "last used": day(use.last_used_at),
        "requests": f"{use.requests}, {use.failures} of them failed" if use.failures else str(use.requests),
        "tokens": f"{use.prompt_tokens} read, {use.cached_tokens} of them cached; {use.completion_tokens} written",
        "cost": cost(use.cost_nano) + (f", and {use.unpriced} requests of unknown price" if use.unpriced else ""),
    }
    if several:
        lines |= {"project": key.project_id, "held by": key.user_id or key.service_account_id or NOTHING}
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        typer.echo(f"{name:{width}}{value}")


def change(sources: Sources, id_or_name: str, given: Given) -> None:
    """Changes the scopes of a key."""
    if all(each is None for each in given):
        raise CommandError("nothing is to be changed", "`weebill keys set --help` shows what can be", USAGE)
    with _opened(sources) as (keys, _):
        key = keys.set_scopes(id_or_name, given.changes())
    typer.echo(f"Changed {key.name} ({key.id})")


def rotate(sources: Sources, id_or_name: str, overlap: str, quiet: bool, as_json: bool) -> None:
    """Gives a key another secret and prints it; with `quiet`, prints the secret alone."""
    with _opened(sources) as (keys, _):
        rotated = keys.rotate(id_or_name, span_s(overlap, "--overlap"))
    key = rotated.key
    old = "ends now" if key.previous_until is None else f"is valid until {day(key.previous_until)}"
    _show_secret(rotated, f"Rotated {key.name} ({key.id}). The old secret {old}.", quiet, as_json)


def revoke(sources: Sources, id_or_name: str) -> None:
    """Revokes a key."""
    with _opened(sources) as (keys, _):
        key = keys.revoke(id_or_name)
    typer.echo(f"Revoked {key.name} ({key.id})")


@contextmanager
def _opened(sources: Sources) -> Iterator[tuple[Keys, Tenants]]:
    """Opens the keys and those who use them. Raises CommandError for a bad option."""
    sources.home.create()
    try:
        with open_ledger(sources.home, load_database(sources)) as ledger:
            author = command_line()
            yield keys_in(ledger, sources.home, author), tenants_in(ledger, author)
    except BadKeyError as error:
        option = _OPTIONS.get(error.param.partition(".")[0])
        if option is None:
            raise
        raise CommandError(f"{option}: {error}", exit_code=USAGE) from error


def _show_secret(created: CreatedKey, said: str, quiet: bool, as_json: bool) -> None:
    if quiet:
        typer.echo(created.secret)
        return
    if as_json:
        print_json({"key": shown(created.key), "secret": created.secret})
        return
    typer.echo(f"{said} It is shown only now:\n")
    typer.echo(f"  {created.secret}\n")


def _status(key: ApiKey) -> str:
    status = status_of(key)
    if status == "revoked":
        return f"revoked {day(key.revoked_at)}"
    if key.expires_at is None:
        return status
    return f"{'expired' if status == 'expired' else 'expires'} {day(key.expires_at)}"


def _overlaps(key: ApiKey) -> bool:
    return key.previous_until is not None and key.previous_until > time.time()


def _listed(names: Sequence[str], everything: str) -> str:
    return ", ".join(names) or everything
