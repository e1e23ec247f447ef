"""`weebill keys`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import typer
from msgspec import UNSET

from weebill.accounts.api_key import ApiKey, KeyRole, KeyUse
from weebill.accounts.errors import BadKeyError
from weebill.accounts.keys import CreatedKey, Keys
from weebill.accounts.scopes import ScopeChanges, read_preferences, said_preferences
from weebill.accounts.shown import shown, status_of
from weebill.cli.errors import USAGE, CommandError, warn
from weebill.cli.output import NOTHING, day, print_table
from weebill.cli.times import moment, span_s
from weebill.config.load import Sources, load_database
from weebill.storage.keys import open_keys

_NEVER = "never"
_NANO = 1_000_000_000


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
}


def create(sources: Sources, name: str, role: KeyRole, given: Given, quiet: bool) -> None:
    """Creates a key and prints it; with `quiet`, prints the key alone."""
    with _keys(sources) as keys:
        created = keys.create(name, role, given.changes())
    if created.warning:
        warn(created.warning)
    _show_secret(created, f"Made key {created.key.name} ({created.key.id}, role {role}).", quiet)


def list_keys(sources: Sources, revoked: bool, quiet: bool, as_json: bool) -> None:
    """Prints the keys; with `quiet`, their ids."""
    with _keys(sources) as keys:
        found = [(key, use) for key, use in keys.used() if revoked or key.revoked_at is None]
    if quiet:
        for key, _ in found:
            typer.echo(key.id)
    elif as_json:
        _print_json([shown(key, use) for key, use in found])
    elif found:
        rows = (
            (
                key.id, key.name, key.role, key.hint, day(key.created_at), day(use.last_used_at), str(use.requests),
                _dollars(use), _status(key),
            )
            for key, use in found
        )  # fmt: skip
        headings = ("ID", "NAME", "ROLE", "KEY", "CREATED", "LAST USED", "REQUESTS", "COST", "STATUS")
        print_table(headings, rows)
    else:
        typer.echo("There are no keys; `weebill keys create NAME` makes one")


def show(sources: Sources, id_or_name: str, as_json: bool) -> None:
    """Prints a key's scopes and its use."""
    with _keys(sources) as keys:
        key, use = keys.find(id_or_name)
    if as_json:
        _print_json(shown(key, use))
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
        "cost": _dollars(use) + (f", and {use.unpriced} requests of unknown price" if use.unpriced else ""),
    }
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        typer.echo(f"{name:{width}}{value}")


def change(sources: Sources, id_or_name: str, given: Given) -> None:
    """Changes the scopes of a key."""
    if all(each is None for each in given):
        raise CommandError("nothing is to be changed", "`weebill keys set --help` shows what can be", USAGE)
    with _keys(sources) as keys:
        key = keys.set_scopes(id_or_name, given.changes())
    typer.echo(f"Changed {key.name} ({key.id})")


def rotate(sources: Sources, id_or_name: str, overlap: str, quiet: bool) -> None:
    """Gives a key another secret and prints it; with `quiet`, prints the secret alone."""
    with _keys(sources) as keys:
        rotated = keys.rotate(id_or_name, span_s(overlap, "--overlap"))
    key = rotated.key
    old = "ends now" if key.previous_until is None else f"is valid until {day(key.previous_until)}"
    _show_secret(rotated, f"Rotated {key.name} ({key.id}). The old secret {old}.", quiet)


def revoke(sources: Sources, id_or_name: str) -> None:
    """Revokes a key."""
    with _keys(sources) as keys:
        key = keys.revoke(id_or_name)
    typer.echo(f"Revoked {key.name} ({key.id})")


@contextmanager
def _keys(sources: Sources) -> Iterator[Keys]:
    """Opens the keys. Raises CommandError for a bad option."""
    sources.home.create()
    try:
        with open_keys(sources.home, load_database(sources)) as keys:
            yield keys
    except BadKeyError as error:
        option = _OPTIONS.get(error.param.partition(".")[0])
        if option is None:
            raise
        raise CommandError(f"{option}: {error}", exit_code=USAGE) from error


def _show_secret(created: CreatedKey, said: str, quiet: bool) -> None:
    if quiet:
        typer.echo(created.secret)
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


def _dollars(use: KeyUse) -> str:
    return f"${use.cost_nano / _NANO:.4f}"


def _print_json(value: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
