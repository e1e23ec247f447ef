"""`weebill providers key`: works on the ledger, even if Weebill is not running."""

from __future__ import annotations

import getpass
import importlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import msgspec
import typer

from weebill.accounts.provider_keys import BadProviderKeyError, ProviderKey, new_key
from weebill.catalog.probe import Probe, ProbeResult
from weebill.cli.errors import FAILURE, USAGE, CommandError, warn
from weebill.cli.output import day, print_json, print_table
from weebill.config.kept import UnreachableProviderError, reachable_with
from weebill.config.load import Sources, load, load_database
from weebill.config.schema import Settings
from weebill.storage.opening import open_ledger
from weebill.storage.provider_keys import ProviderKeys
from weebill.storage.sealing import Vault

_PROBE_MODULE = "weebill.gateway.probe"
_WHOLE = "the installation"
_OPTIONS = {"key": "the key", "project_id": "--project", "fallback": "--fallback"}


def add(
    sources: Sources, provider: str, project: str | None, fallback: bool, test: bool, quiet: bool, as_json: bool
) -> None:
    """Reads a provider's key, tries it, and keeps it sealed."""
    settings = load(sources).settings
    secret = _read_secret(provider)
    try:
        reached = reachable_with(settings, provider, secret, sources.environment)
    except UnreachableProviderError as error:
        raise CommandError(str(error)) from error
    with _keys(sources) as keys:
        who = f"{getpass.getuser()}, on the command line"
        key = new_key(provider, project, secret, who, time.time(), fallback=fallback)
        if test:
            tested = _probe()(provider, reached)
            if not tested.ok:
                raise CommandError(f"{_said(provider, tested)}; the key was not kept", tested.hint)
        keys.add(key, secret)
    if quiet:
        typer.echo(key.id)
        return
    if as_json:
        print_json(_shown(key))
    else:
        typer.echo(f"Kept the key {key.hint} of {provider} for {project or _WHOLE} ({key.id})")
    configured = settings.providers.get(provider)
    if project is None and configured is not None and (configured.api_key or configured.api_keys):
        warn(f"the configuration has a key of {provider}, which comes first: this one waits until that is removed")


def list_keys(sources: Sources, provider: str | None, as_json: bool) -> None:
    """Prints the keys, without their secrets."""
    with _keys(sources) as keys:
        found = keys.all(provider)
    if as_json:
        print_json([_shown(key) for key in found])
    elif found:
        rows_ = ((key.id, key.provider, key.project_id or "all", key.hint, *_times(key), _status(key)) for key in found)
        print_table(("ID", "PROVIDER", "PROJECT", "KEY", "CREATED", "LAST USED", "STATUS"), rows_)
    else:
        typer.echo("There are no keys of providers in the ledger; `weebill providers key add NAME` keeps one")


def try_out(sources: Sources, key_id: str) -> None:
    """Calls the provider with a key."""
    settings = load(sources).settings
    with _keys(sources) as keys:
        key = keys.find(key_id)
        secret = keys.secret(key_id)
    try:
        reached = reachable_with(settings, key.provider, secret, sources.environment)
    except UnreachableProviderError as error:
        raise CommandError(str(error)) from error
    tested = _probe()(key.provider, reached)
    if not tested.ok:
        raise CommandError(_said(key.provider, tested), tested.hint, FAILURE)
    typer.echo(f"{key.provider} works with {key.hint}: it answered in {tested.latency_ms} ms")


def remove(sources: Sources, key_id: str) -> None:
    """Forgets a key."""
    with _keys(sources) as keys:
        key = keys.remove(key_id)
    typer.echo(f"Removed the key {key.hint} of {key.provider} ({key.id})")


def set_disabled(sources: Sources, key_id: str, disabled: bool) -> None:
    """Has a key not used any more, or used again."""
    with _keys(sources) as keys:
        key = keys.set_disabled(key_id, disabled)
    typer.echo(f"{'Disabled' if disabled else 'Enabled'} the key {key.hint} of {key.provider} ({key.id})")


@contextmanager
def _keys(sources: Sources) -> Iterator[ProviderKeys]:
    """Opens the keys. Raises CommandError for a bad option."""
    sources.home.create()
    try:
        with open_ledger(sources.home, load_database(sources)) as ledger:
            yield ProviderKeys(ledger, Vault(sources.home, os.environ))
    except BadProviderKeyError as error:
        raise CommandError(f"{_OPTIONS.get(error.param, error.param)}: {error}", exit_code=USAGE) from error


def _read_secret(provider: str) -> str:
    """Returns the key from a prompt that does not show it, or from the standard input; never from the arguments, which
    every user of the machine can see.
    """
    if sys.stdin.isatty():
        return getpass.getpass(f"Key of {provider}: ").strip()
    return sys.stdin.readline().strip()


def _probe() -> Probe[Settings]:
    return cast("Probe[Settings]", importlib.import_module(_PROBE_MODULE).probe)


def _said(provider: str, tested: ProbeResult) -> str:
    status = "" if tested.status is None else f" (status {tested.status})"
    return f"{provider} does not work with this key{status}: {tested.message}"


def _shown(key: ProviderKey) -> dict[str, object]:
    return {**msgspec.structs.asdict(key), "status": key.status}


def _times(key: ProviderKey) -> tuple[str, str]:
    return day(key.created_at), day(key.last_used_at)


def _status(key: ProviderKey) -> str:
    return f"{key.refusal} since {day(key.refused_at)}" if key.status == "refused" else key.status
