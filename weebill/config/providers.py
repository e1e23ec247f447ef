"""Completes the configured providers from the catalogue and the environment: addresses, keys, options, quirks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from weebill.catalog import providers as known_providers
from weebill.catalog.load import providers as catalogue
from weebill.catalog.schema import Provider, Quirks
from weebill.config.problems import Locate, Problem, did_you_mean
from weebill.config.proxies import variable_for
from weebill.config.schema import NOBODY, ProviderSettings, Settings

FROM_ENVIRONMENT = "the environment"
_AWS_SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable


def complete_providers(
    settings: Settings, environment: Mapping[str, str], locate: Locate, quirks: Mapping[str, Mapping[str, object]]
) -> tuple[Settings, list[Problem]]:
    """Returns settings whose known providers are completed from the catalogue and the environment.

    `quirks` are the configured ones, by the provider's name; they override the catalogue's. With `catalog.activate`,
    providers whose keys are in the environment are added, unless a configured one has taken the key.
    """
    completed: dict[str, ProviderSettings] = {}
    problems: list[Problem] = []
    taken: set[str] = set()
    for name, provider in settings.providers.items():
        if provider.catalog and provider.catalog != NOBODY and provider.catalog not in catalogue():
            problems.append(_unknown(name, provider, locate))
            continue
        known = _identified(name, provider)
        if known is None or (not provider.catalog and known.id != name):
            completed[name] = _plain(provider, known, quirks.get(name, {}))
            continue
        completed[name] = from_catalogue(name, provider, known, environment, quirks.get(name, {}))
        problems += _missing(name, completed[name], known, locate)
        if not has_key(provider) and has_key(completed[name]):
            taken.add(known.id)
    if settings.catalog.activate:
        for name, known in catalogue().items():
            if name not in completed and name not in taken and known_providers.activity(known, environment).active:
                completed[name] = from_catalogue(name, ProviderSettings(), known, environment, {})
    providers = {name: proxied(provider, environment) for name, provider in completed.items()}
    return msgspec.structs.replace(settings, providers=providers), problems


def proxied(provider: ProviderSettings, environment: Mapping[str, str]) -> ProviderSettings:
    """Refers a provider without a proxy setting to the environment's proxy."""
    variable = None if provider.proxy is not None else variable_for(provider.base_url, environment)
    return provider if variable is None else msgspec.structs.replace(provider, proxy=f"env:{variable}")


def _identified(name: str, provider: ProviderSettings) -> Provider | None:
    """Returns the catalogue's provider: by `catalog`, by its name, or by its address."""
    if provider.catalog:
        return catalogue().get(provider.catalog)
    return catalogue().get(name) or known_providers.at_address(catalogue().values(), provider.base_url)


def _unknown(name: str, provider: ProviderSettings, locate: Locate) -> Problem:
    nearest = did_you_mean(provider.catalog, [*catalogue(), NOBODY])
    what = f"`providers.{name}.catalog` names `{provider.catalog}`, which the catalogue does not have{nearest}"
    return Problem(locate(("providers", name, "catalog")), what)


def _plain(provider: ProviderSettings, known: Provider | None, quirks: Mapping[str, object]) -> ProviderSettings:
    """Completes a provider that gives its own address; `known` is the catalogue's at that address.

    One that speaks Mistral's dialect, for example, gets Mistral's quirks; OpenAI's dialect is everybody's.
    """
    dialect = provider.dialect or "openai"
    author = catalogue().get(dialect) if known is None and dialect != "openai" else known
    return msgspec.structs.replace(
        provider,
        catalog=provider.catalog if known is None else known.id,
        dialect=dialect,
        base_url=provider.base_url.rstrip("/"),
        quirks=_quirks(author, quirks) if author is not None else provider.quirks,
    )


def _quirks(known: Provider, own: Mapping[str, object]) -> Quirks:
    """Returns the catalogue's quirks, overridden by the section's own."""
    return msgspec.convert({**cast("dict[str, object]", msgspec.to_builtins(known.quirks)), **own}, Quirks)


def from_catalogue(
    name: str,
    provider: ProviderSettings,
    known: Provider,
    environment: Mapping[str, str],
    quirks: Mapping[str, object],
    *,
    keyed: bool = True,
) -> ProviderSettings:
    """Returns a provider of the catalogue with what its section does not say; with the environment's key if `keyed`.

    The address is "" if an option that it needs is missing.
    """
    options = {**known_providers.options_of(known, environment), **provider.options}
    base_url = provider.base_url
    if not base_url:
        try:
            base_url = known_providers.base_url(known, options)
        except known_providers.MissingOptionError:
            base_url = ""  # reported by `_missing`
    return msgspec.structs.replace(
        provider,
        catalog=known.id,
        dialect=provider.dialect or known.dialect,
        base_url=base_url.rstrip("/"),
        options=options,
        quirks=_quirks(known, quirks),
        **(_key_in(known, environment) if keyed and not has_key(provider) and _is_there(name, provider, known) else {}),
    )


def _is_there(name: str, provider: ProviderSettings, known: Provider) -> bool:
    """True if the vendor's usual key may be sent to the provider's address: the vendor's, or a stand-in with
    its name.
    """
    if not provider.base_url or name == known.id:
        return True
    return known_providers.at_address((known,), provider.base_url) is not None


def has_key(provider: ProviderSettings) -> bool:
    """True if a provider has a key."""
    return provider.api_key is not None or bool(provider.api_keys) or provider.access_key_id is not None


def _key_in(known: Provider, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns references to the first complete group of variables."""
    for group in known.credentials:
        if all(environment.get(variable, "").strip() for variable in group):
            if len(group) == 1:
                return {"api_key": f"env:{group[0]}"}
            keys = {"access_key_id": f"env:{group[0]}", "secret_access_key": f"env:{group[1]}"}
            if environment.get(_AWS_SESSION_TOKEN, "").strip():
                keys["session_token"] = f"env:{_AWS_SESSION_TOKEN}"
            return keys
    return {}


def _missing(name: str, provider: ProviderSettings, known: Provider, locate: Locate) -> Iterator[Problem]:
    """Yields the missing settings of a known provider. With a given address, it may be a stand-in that needs no key."""
    path = ("providers", name)
    for option in known.options:
        if option.required and option.name not in provider.options and f"{{{option.name}" in known.base_url:
            if provider.base_url:
                continue
            variable = f", or set {option.variables[0]}" if option.variables else ""
            what = f"`providers.{name}.options.{option.name}` is missing: {option.what}{variable}"
            yield Problem(locate((*path, "options")), what)
    if known.credentials and not has_key(provider) and _is_there(name, provider, known):
        variable = known.credentials[0][0]
        what = f'`providers.{name}.api_key` is missing; give `api_key = "env:{variable}"` and set that variable'
        yield Problem(locate((*path, "api_key")), what)
