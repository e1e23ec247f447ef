"""Suggestions for names that are unknown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from weebill.catalog.load import providers as catalogue
from weebill.config.environment import setting_types
from weebill.config.problems import KeyPath, did_you_mean, dotted
from weebill.config.schema import ProviderSettings

_NEAR = 0.75


def known_provider(name: str) -> str:
    """Returns the catalogue's provider with nearly this name, or with it among the words of its title; else ""."""
    lower = name.lower()
    if lower in catalogue():
        return lower
    near = difflib.get_close_matches(lower, catalogue(), n=1, cutoff=_NEAR)
    if near:
        return near[0]
    titled = (known.id for known in catalogue().values() if lower in known.name.lower().split())
    return next(titled, "")


def instead_of(path: KeyPath, value: object, fields: Mapping[str, object]) -> str:
    """Returns a clause with the likely setting for the unknown `path`, beside which there could be `fields`."""
    name = path[-1]
    if isinstance(value, Mapping) and (provider := _provider_table(path, value)):
        return f"; did you mean [providers.{provider}]?"
    if len(path) == 1 and not isinstance(value, Mapping) and (provider := _keyed_by(name)):
        return f'; did you mean `api_key = "env:{name.upper()}"` in [providers.{provider}]?'
    elsewhere = [dotted(other) for other, _ in setting_types() if other[-1] == name]
    if elsewhere:
        return f"; did you mean `{elsewhere[0]}`?"
    if path[0] != "providers" and name in ProviderSettings.__struct_fields__:
        return f"; did you mean `{name}` in [providers.NAME]?"
    return did_you_mean(name, fields)


def _provider_table(path: KeyPath, value: Mapping[str, object]) -> str:
    """Returns the provider that a top-level table is about: by its name, or as the only one in a misspelt
    `providers`.
    """
    if len(path) > 1:
        return ""
    name = path[0].lower()
    if name in catalogue():
        return name
    if difflib.get_close_matches(name, ("providers",), cutoff=_NEAR) and len(value) == 1:
        [(inner, section)] = value.items()
        return inner if isinstance(section, Mapping) else ""
    near = difflib.get_close_matches(name, catalogue(), n=1, cutoff=_NEAR)
    return near[0] if near and not set(value).isdisjoint(ProviderSettings.__struct_fields__) else ""


def _keyed_by(name: str) -> str:
    """Returns the provider whose key is in the environment variable of this name."""
    wanted = name.upper()
    for known in catalogue().values():
        if any(wanted in group for group in known.credentials):
            return known.id
    return ""
