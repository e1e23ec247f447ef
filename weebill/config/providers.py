"""What the catalogue and the environment add to the configured providers: addresses, keys, options, quirks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from weebill.catalog import providers as known_providers
from weebill.catalog.load import providers as catalogue
from weebill.catalog.schema import Provider
from weebill.config.problems import Locate, Problem
from weebill.config.proxies import variable_for
from weebill.config.schema import ProviderSettings, QuirkSettings, Settings

FROM_ENVIRONMENT = "the environment"
_AWS_SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable


def complete_providers(
    settings: Settings, environment: Mapping[str, str], locate: Locate
) -> tuple[Settings, list[Problem]]:
    """Settings whose known providers have all that the catalogue and the environment say of them.

    With `catalog.activate`, those whose keys are in the environment are added.
    """
    completed: dict[str, ProviderSettings] = {}
    problems: list[Problem] = []
    for name, provider in settings.providers.items():
        known = catalogue().get(name)
        if known is None:
            completed[name] = _plain(provider)
            continue
        completed[name] = _completed(provider, known, environment)
        problems += _missing(name, completed[name], known, locate)
    if settings.catalog.activate:
        for name, known in catalogue().items():
            if name not in completed and known_providers.activity(known, environment).active:
                completed[name] = _completed(ProviderSettings(), known, environment)
    proxied = {name: _proxied(provider, environment) for name, provider in completed.items()}
    return msgspec.structs.replace(settings, providers=proxied), problems


def _proxied(provider: ProviderSettings, environment: Mapping[str, str]) -> ProviderSettings:
    """One that says nothing of a proxy, with a reference to the environment's."""
    variable = None if provider.proxy is not None else variable_for(provider.base_url, environment)
    return provider if variable is None else msgspec.structs.replace(provider, proxy=f"env:{variable}")


def _plain(provider: ProviderSettings) -> ProviderSettings:
    """A provider that the catalogue does not know.

    One that speaks Mistral's dialect, say, has Mistral's quirks; OpenAI's dialect is everybody's.
    """
    dialect = provider.dialect or "openai"
    author = catalogue().get(dialect) if dialect != "openai" else None
    return msgspec.structs.replace(
        provider,
        dialect=dialect,
        base_url=provider.base_url.rstrip("/"),
        quirks=provider.quirks or (_quirks(author) if author else None),
    )


def _quirks(known: Provider) -> QuirkSettings:
    return msgspec.convert(msgspec.to_builtins(known.quirks), QuirkSettings)


def _completed(provider: ProviderSettings, known: Provider, environment: Mapping[str, str]) -> ProviderSettings:
    options = {**known_providers.options_of(known, environment), **provider.options}
    base_url = provider.base_url
    if not base_url:
        try:
            base_url = known_providers.base_url(known, options)
        except known_providers.MissingOptionError:
            base_url = ""  # reported by `_missing`
    return msgspec.structs.replace(
        provider,
        dialect=provider.dialect or known.dialect,
        base_url=base_url.rstrip("/"),
        options=options,
        quirks=provider.quirks or _quirks(known),
        **({} if _has_key(provider) else _key_in(known, environment)),
    )


def _has_key(provider: ProviderSettings) -> bool:
    return provider.api_key is not None or bool(provider.api_keys) or provider.access_key_id is not None


def _key_in(known: Provider, environment: Mapping[str, str]) -> dict[str, str]:
    """References to the first group of variables that is complete."""
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
    """What a known provider still needs. Where its address was given, it may be a stand-in that needs no key."""
    path = ("providers", name)
    for option in known.options:
        if option.required and option.name not in provider.options and f"{{{option.name}" in known.base_url:
            if provider.base_url:
                continue
            variable = f", or set {option.variables[0]}" if option.variables else ""
            what = f"`providers.{name}.options.{option.name}` is missing: {option.what}{variable}"
            yield Problem(locate((*path, "options")), what)
    if known.credentials and not _has_key(provider):
        variable = known.credentials[0][0]
        what = f'`providers.{name}.api_key` is missing; give `api_key = "env:{variable}"` and set that variable'
        yield Problem(locate((*path, "api_key")), what)
