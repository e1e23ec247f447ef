"""`weebill providers`: lists providers and their terms, and tests one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

import msgspec
import typer

from weebill.catalog.load import Catalogue
from weebill.catalog.load import load as load_data
from weebill.catalog.overlay import FILE_NAME, OverlayError
from weebill.catalog.probe import Probe
from weebill.catalog.providers import Activity, activity
from weebill.catalog.schema import DataPolicy, Provider
from weebill.cli.errors import FAILURE, CommandError
from weebill.cli.output import NOTHING, print_json, print_table
from weebill.cli.refused_keys import refused_keys
from weebill.config.load import Sources, load
from weebill.config.paths import Home
from weebill.config.problems import did_you_mean
from weebill.config.schema import NOBODY, Settings

_TRAINS = {"unknown": "?", "free-tier": "free tier"}
_PROBE_MODULE = "weebill.gateway.probe"


def list_providers(sources: Sources, only_active: bool, as_json: bool) -> None:
    """Prints the providers, usable ones first."""
    settings, catalogue = load(sources).settings, load_catalogue(sources.home)
    states = {
        name: _activity(name, catalogue, settings, sources.environment)
        for name in sorted({*catalogue.providers, *settings.providers})
    }
    names = sorted(states, key=lambda name: not states[name].active)
    shown = [name for name in names if states[name].active or not only_active]
    served = _served(catalogue, settings)
    refused = refused_keys(sources.home, settings)
    if as_json:
        rows = [
            _described(name, catalogue, settings, states[name], served.get(name, 0))
            | {"refused_keys": [each._asdict() for each in refused if each.provider == name]}
            for name in shown
        ]
        print_json(rows)
    elif shown:
        rows_ = [_row(name, catalogue, settings, states[name], served.get(name, 0)) for name in shown]
        print_table(("PROVIDER", "CATALOG", "ACTIVE", "SPEAKS", "MODELS", "TRAINS", "KEEPS", "REGION"), rows_)
    else:
        typer.echo("No provider is active; `weebill providers` says which variables they want")
    if refused and not as_json:
        typer.echo()
        keys = [(each.provider, each.key, each.model or "all", each.why, f"{each.again_s:.0f} s") for each in refused]
        print_table(("PROVIDER", "KEY", "FOR", "WHY", "TRIED AGAIN IN"), keys)


def probe_provider(sources: Sources, name: str, as_json: bool) -> None:
    """Calls the provider for one token. Raises CommandError with a remedy if it fails."""
    settings, catalogue = load(sources).settings, load_catalogue(sources.home)
    known = sorted({*catalogue.providers, *settings.providers})
    if name not in known:
        raise CommandError(
            f"there is no provider {name!r}{did_you_mean(name, known)}", "`weebill providers` lists them"
        )
    state = _activity(name, catalogue, settings, sources.environment)
    if not state.active:
        wanted, table = " and ".join(state.missing), f"put [providers.{name}] into {sources.file}"
        if not wanted:
            raise CommandError(f"{name} is not configured", table)
        raise CommandError(f"{name} cannot be called without {wanted}", f"set {wanted}, or {table}")
    result = _probe()(name, settings)
    if as_json:
        print_json(result)
        if not result.ok:
            raise typer.Exit(FAILURE)
    elif result.ok:
        typer.echo(f"{name} works: it answered in {result.latency_ms} ms")
    else:
        status = "" if result.status is None else f" with status {result.status}"
        raise CommandError(f"{name} does not work{status}: {result.message}", result.hint)


def load_catalogue(home: Home) -> Catalogue:
    """Returns the catalogue with this installation's prices. Raises CommandError."""
    path = home.root / FILE_NAME
    try:
        return load_data(path)
    except OverlayError as error:
        raise CommandError(str(error), f"remove {path}; `weebill catalog refresh` makes it anew") from error


def active_providers(settings: Settings) -> frozenset[str]:
    """Returns the providers in use: configured, or activated because their key is in the environment.

    A section that has a catalogue name, but is marked as another provider, does not count.
    """
    return frozenset(name for name, each in settings.providers.items() if each.catalog != NOBODY)


def keeps(data: DataPolicy) -> str:
    """Returns how long the provider keeps requests: `30 days`."""
    if data.retention_days is None:
        return "?"
    return f"{data.retention_days} days" if data.retention_days else "nothing"


def trains(data: DataPolicy) -> str:
    """Returns if the provider may train on requests: `no`, `free tier`."""
    return _TRAINS.get(data.trains, data.trains)


def _probe() -> Probe[Settings]:
    return cast("Probe[Settings]", importlib.import_module(_PROBE_MODULE).probe)


def _activity(name: str, catalogue: Catalogue, settings: Settings, environment: Mapping[str, str]) -> Activity:
    provider = catalogue.providers.get(name)
    if provider is None or name in settings.providers:
        return Activity(True)
    return Activity(False, activity(provider, environment).missing)


def _served(catalogue: Catalogue, settings: Settings) -> dict[str, int]:
    """Returns the number of models that each provider is configured to serve, or else has in the catalogue."""
    known: dict[str, set[str]] = {}
    for model in catalogue.models.values():
        for offer in model.offers:
            known.setdefault(offer.provider, set()).add(offer.name)
    configured = {
        name: set(each.models) or known.get(each.identity(name), set()) for name, each in settings.providers.items()
    }
    return {name: len(models) for name, models in (known | configured).items()}


def identity(name: str, settings: Settings) -> str:
    """Returns the catalogue's id of a provider that may be configured; its own name if it has none."""
    configured = settings.providers.get(name)
    return name if configured is None else configured.identity(name)


def _row(name: str, catalogue: Catalogue, settings: Settings, state: Activity, models: int) -> tuple[str, ...]:
    provider = catalogue.providers.get(identity(name, settings))
    data = provider.data if provider else DataPolicy()
    return (
        name,
        provider.id if provider else NOTHING,
        _active(state),
        _dialect(provider, name, settings),
        str(models) if models else NOTHING,
        trains(data),
        keeps(data),
        data.region or "?",
    )


def _active(state: Activity) -> str:
    if state.active:
        return "yes"
    return f"set {' and '.join(state.missing)}" if state.missing else "if configured"


def _dialect(provider: Provider | None, name: str, settings: Settings) -> str:
    if configured := settings.providers.get(name):
        return configured.dialect
    return provider.dialect if provider else ""


def _described(name: str, catalogue: Catalogue, settings: Settings, state: Activity, models: int) -> dict[str, object]:
    provider = catalogue.providers.get(identity(name, settings))
    facts = cast("dict[str, object]", msgspec.to_builtins(provider)) if provider else {"name": name}
    said = {"id": name, "catalog": provider.id if provider else None, "dialect": _dialect(provider, name, settings)}
    return facts | said | {"active": state.active, "missing": state.missing, "models": models}
