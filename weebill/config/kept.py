"""Puts the keys that are given through the API into settings, beside those of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from weebill.catalog.load import providers as catalogue
from weebill.config.problems import did_you_mean
from weebill.config.providers import from_catalogue, has_key, proxied
from weebill.config.schema import ProviderSettings, Settings
from weebill.config.secrets import resolve_secrets

_NO_KEYS: Final[dict[str, object]] = {
    "api_key": None,
    "api_keys": (),
    "access_key_id": None,
    "secret_access_key": None,
    "session_token": None,
}


class UnreachableProviderError(Exception):
    """A provider is not known, or its address needs an option that the configuration has not."""


def with_keys(
    settings: Settings, keys: Mapping[str, Sequence[str]], environment: Mapping[str, str], *, instead: bool = False
) -> Settings:
    """Returns settings in which these providers have these keys; providers of the catalogue are added for it.

    A key of the configuration comes first, unless these are taken `instead`. Providers that are not known, or lack an
    option that their address needs, are left out.
    """
    providers = dict(settings.providers)
    for name, secrets in keys.items():
        provider = providers.get(name) or provider_of(name, environment)
        if provider is None or not secrets or (has_key(provider) and not instead):
            continue
        own: dict[str, object] = {"api_key": secrets[0]} if len(secrets) == 1 else {"api_keys": tuple(secrets)}
        providers[name] = msgspec.structs.replace(provider, **{**_NO_KEYS, **own})
    return msgspec.structs.replace(settings, providers=providers)


def provider_of(name: str, environment: Mapping[str, str]) -> ProviderSettings | None:
    """Returns the settings of a provider of the catalogue, without a key; None if there is none, or its address needs
    an option that the environment has not.
    """
    known = catalogue().get(name)
    if known is None:
        return None
    provider = from_catalogue(name, ProviderSettings(), known, environment, {}, keyed=False)
    if not provider.base_url:
        return None
    alone = Settings(providers={name: proxied(provider, environment)})
    resolved, problems = resolve_secrets(alone, environment, Path(), lambda path: name)
    return provider if problems else resolved.providers[name]


def reachable_with(settings: Settings, provider: str, secret: str, environment: Mapping[str, str]) -> Settings:
    """Returns the settings by which a provider is called with a key. Raises UnreachableProviderError."""
    found = with_keys(settings, {provider: (secret,)}, environment, instead=True)
    if provider in found.providers:
        return found
    known = catalogue().get(provider)
    if known is None:
        nearest = did_you_mean(provider, [*catalogue(), *settings.providers])
        raise UnreachableProviderError(f"There is no provider {provider!r}{nearest} (`weebill providers` lists them)")
    options = ", ".join(option.name for option in known.options if option.required)
    raise UnreachableProviderError(
        f"{provider} needs {options}, which is not a key: set it in `[providers.{provider}.options]` first."
    )
