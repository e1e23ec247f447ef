"""Properties of providers for the configuration and the command line: addresses, keys, and activity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import urlsplit

from weebill.catalog.schema import Option, Provider

_OPTION = re.compile(r"\{([a-z_]+)(-?)\}")
GLOBAL = "global"
_OF_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


class Activity(NamedTuple):
    """`active` if a provider can be called; `missing` are the variables to set if not, the key's first."""

    active: bool
    missing: tuple[str, ...] = ()


class MissingOptionError(ValueError):
    """The address needs a missing `option`."""

    def __init__(self, provider: Provider, option: Option) -> None:
        super().__init__(f"{provider.name} needs `{option.name}`: {option.what}")
        self.option = option


def base_url(provider: Provider, options: Mapping[str, str] | None = None) -> str:
    """Returns the address of the provider's API with options filled in. Raises MissingOptionError.

    `{location-}` is the location and a hyphen, or nothing for "global", as in the names of Google's hosts.
    """
    by_name = {option.name: option for option in provider.options}

    def fill(found: re.Match[str]) -> str:
        value = (options or {}).get(found[1]) or by_name[found[1]].default
        if not value:
            raise MissingOptionError(provider, by_name[found[1]])
        if found[2]:
            return "" if value == GLOBAL else f"{value}-"
        # Some variables, such as DATABRICKS_HOST, hold an address, of which only the host is wanted.
        return value.removeprefix("https://").rstrip("/")

    return _OPTION.sub(fill, provider.base_url)


def at_address(providers: Iterable[Provider], address: str) -> Provider | None:
    """Returns the provider that has the host of `address`; None if there is none.

    An address of this machine matches no provider: any server may be there.
    """
    host = _host(address)
    return next((each for each in providers if any(fnmatchcase(host, form) for form in _hosts(each))), None)


def _hosts(provider: Provider) -> tuple[str, ...]:
    """Returns the patterns of a provider's hosts; an option may be any part of a host's name, but not all of it."""
    form = _host(_OPTION.sub("*", provider.base_url))
    return provider.hosts if form == "*" or form in _OF_THIS_MACHINE else (form, *provider.hosts)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def options_of(provider: Provider, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the options from variables and defaults."""
    found = {option.name: _first_set(option.variables, environment) or option.default for option in provider.options}
    return {name: value for name, value in found.items() if value}


def activity(provider: Provider, environment: Mapping[str, str]) -> Activity:
    """Returns if the environment has all that calls need. A provider without a key is not active by that alone."""
    lacking = [
        tuple(variable for variable in group if not environment.get(variable, "").strip())
        for group in provider.credentials
    ]
    found = options_of(provider, environment)
    wanting = (each for each in provider.options if each.required and each.name not in found)
    options = tuple(each.variables[0] if each.variables else each.name for each in wanting)
    key = () if not lacking or () in lacking else lacking[0]
    return Activity(bool(lacking) and not key and not options, key + options)


def _first_set(variables: tuple[str, ...], environment: Mapping[str, str]) -> str:
    return next((value for name in variables if (value := environment.get(name, "").strip())), "")
