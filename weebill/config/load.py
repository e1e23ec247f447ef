"""Loads the settings of an installation: flags, then environment, then file, then defaults."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from weebill.catalog.load import Catalogue
from weebill.catalog.load import load as load_catalogue
from weebill.catalog.overlay import OverlayError
from weebill.config.checks import check
from weebill.config.environment import read_environment, variable_name
from weebill.config.invalid import Unfit
from weebill.config.large import LARGE, Large, choose_large, with_large
from weebill.config.named import settle
from weebill.config.paths import Home
from weebill.config.problems import ConfigError, KeyPath, Locate, Problem
from weebill.config.providers import FROM_ENVIRONMENT, complete_providers
from weebill.config.schema import DatabaseSettings, Settings
from weebill.config.secrets import PROXY, SECRET_LISTS, SECRETS, SECTION_SECRETS, resolve_secrets
from weebill.config.toml_lines import key_lines
from weebill.config.validate import validate
from weebill.config.warnings import warnings

MAX_FILE_BYTES = 8 * 1024 * 1024
_ERROR_LINE = re.compile(r"\(at line (\d+), column \d+\)")
# Of settings that are lists: a flag is given for each of its values.
_FLAGS: dict[KeyPath, str] = {("local", "models"): "--model"}
# Settings of a provider that are paths; like `file:` keys, relative ones start at the configuration file's folder.
_PROVIDER_FILES = ("ca_file", "client_cert", "client_key")


# Returns the names of the models in a folder.
Installed = Callable[[Path], Collection[str]]


def no_models(folder: Path) -> Collection[str]:
    """Returns no models, for a program without a store of them."""
    return ()


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of settings. `flags` are by path; `config` is the file named by `--config`.

    `installed` tells which models a folder has: settings may name these, too.
    """

    home: Home
    environment: Mapping[str, str]
    flags: Mapping[KeyPath, object]
    config: Path | None = None
    installed: Installed = no_models

    @classmethod
    def of_process(
        cls,
        home: Home | None = None,
        config: Path | None = None,
        flags: Mapping[KeyPath, object] | None = None,
        installed: Installed = no_models,
    ) -> Sources:
        """Returns the sources of this process: its environment, and its command line."""
        return cls(home or Home.from_environment(), dict(os.environ), flags or {}, config, installed)

    @property
    def file(self) -> Path:
        """The path of the configuration file, which need not exist."""
        if self.config is not None:
            return self.config.expanduser().absolute()
        if named := self.environment.get("WEEBILL_CONFIG"):
            return Path(named).expanduser().absolute()
        return self.home.config_file

    @property
    def file_is_named(self) -> bool:
        """True if the user named the file, so that it must exist."""
        return self.config is not None or bool(self.environment.get("WEEBILL_CONFIG"))


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, ready for use and as written.

    `settings` holds resolved secrets; `declared` has references (`env:NAME`) in their place. `origins` says where each
    setting that is not a default was given. `warnings` concern usable settings. `large` is the large tier of `auto` if
    the catalogue chose it, as nobody else did.
    """

    settings: Settings
    declared: Settings
    origins: Mapping[KeyPath, str]
    warnings: tuple[Problem, ...] = ()
    large: Large | None = None


def load(sources: Sources, fixed: Mapping[KeyPath, object] | None = None) -> Configuration:
    """Reads, checks and resolves all settings. Raises ConfigError with every problem found.

    `fixed` values take precedence over all sources: a running installation keeps what it cannot change.
    """
    table, lines = _read_file(sources)
    given, problems = read_environment(sources.environment, _referenced_variables(table))
    origins = {path: f"{sources.file}:{line}" for path, line in lines.items()}
    for values, name_origin in (
        (given, variable_name),
        (sources.flags, flag_name),
        (fixed or {}, lambda _: "the running installation"),
    ):
        for path, value in values.items():
            _put(table, path, value)
            origins[path] = name_origin(path)

    locate = _locator(origins, sources.file)
    unfit = Unfit(locate)
    problems += validate(table, Settings, unfit.locate)
    unfit.remove_from(table)
    settle(table)
    declared, found = complete_providers(
        _absolute(msgspec.convert(table, Settings), sources.file.parent),
        sources.environment,
        locate,
        _configured_quirks(table),
    )
    large = None if LARGE in origins else choose_large(declared)
    if large is not None:
        declared = with_large(declared, large)
        origins[LARGE] = large.why
    catalogue = _catalogue(sources.home)
    folder = sources.home.models if declared.local.models_dir is None else Path(declared.local.models_dir)
    found += check(declared, locate, catalogue, sources.installed(folder), names=not unfit.may_name_models)
    configured = _configured_providers(table)
    origins.update(
        {("providers", name, "api_key"): FROM_ENVIRONMENT for name in declared.providers if name not in configured}
    )
    settings, unresolved = resolve_secrets(declared, sources.environment, sources.file.parent, locate)
    problems += unfit.new_among((*found, *unresolved))
    if problems:
        raise ConfigError(problems)
    warned = tuple(warnings(declared, sources.file, locate, catalogue))
    return Configuration(settings, declared, origins, warned, large)


def load_database(sources: Sources) -> DatabaseSettings:
    """Returns where the ledger is, for commands that need nothing else: faults of other settings do not matter.

    Raises ConfigError.
    """
    table, lines = _read_file(sources)
    given, _ = read_environment(sources.environment)
    origins = {path: f"{sources.file}:{line}" for path, line in lines.items()}
    for path, value in given.items():
        _put(table, path, value)
        origins[path] = variable_name(path)
    locate = _locator(origins, sources.file)
    section = {"database": table["database"]} if "database" in table else {}
    if found := list(validate(section, Settings, locate)):
        raise ConfigError(found)
    settings, problems = resolve_secrets(
        msgspec.convert(section, Settings), sources.environment, sources.file.parent, locate
    )
    if problems:
        raise ConfigError(problems)
    return settings.database


def _catalogue(home: Home) -> Catalogue:
    try:
        return load_catalogue(home.catalogue)
    except OverlayError:  # who uses its prices says so
        return load_catalogue()


def flag_name(path: KeyPath) -> str:
    """Returns the flag of a setting: `--port` for `("server", "port")`."""
    return _FLAGS.get(path) or "--" + path[-1].replace("_", "-")


def _read_file(sources: Sources) -> tuple[dict[str, object], dict[KeyPath, int]]:
    file = sources.file
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError([Problem(str(file), f"larger than {MAX_FILE_BYTES} bytes")])
        text = data.decode()
        return tomllib.loads(text), key_lines(text)
    except FileNotFoundError as error:
        if sources.file_is_named:
            raise ConfigError([Problem(str(file), "no such file")]) from error
        return {}, {}
    except OSError as error:
        raise ConfigError([Problem(str(file), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(file), "not UTF-8 text")]) from error
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        line = _ERROR_LINE.search(message)
        raise ConfigError([Problem(f"{file}:{line[1]}" if line else str(file), f"not TOML: {message}")]) from error


def _referenced_variables(table: Mapping[str, object]) -> set[str]:
    """Returns the variables that secrets such as `api_key = "env:NAME"` mention, before types are checked."""
    entries = [entry for entry in _configured_providers(table).values() if isinstance(entry, dict)]
    keys = [entry.get(name) for entry in entries for name in (*SECRETS, PROXY)]
    for entry in entries:
        for name in SECRET_LISTS:
            listed = entry.get(name)
            keys += listed if isinstance(listed, list) else []
    for section, name in SECTION_SECRETS:
        found = table.get(section)
        keys.append(found.get(name) if isinstance(found, dict) else None)
    return {key.removeprefix("env:") for key in keys if isinstance(key, str) and key.startswith("env:")}


def _configured_providers(table: Mapping[str, object]) -> Mapping[str, object]:
    providers = table.get("providers")
    return providers if isinstance(providers, dict) else {}


def _configured_quirks(table: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    """Returns the quirks in the tables of providers, after types were checked."""
    entries = cast("Mapping[str, Mapping[str, Mapping[str, object]]]", _configured_providers(table))
    return {name: entry.get("quirks", {}) for name, entry in entries.items()}


def _put(table: dict[str, object], path: KeyPath, value: object) -> None:
    """Sets one value. If the file has no table there, that is left to be refused."""
    for name in path[:-1]:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        table = inner
    table[path[-1]] = value


def _locator(origins: Mapping[KeyPath, str], file: Path) -> Locate:
    def locate(path: KeyPath) -> str:
        for depth in range(len(path), 0, -1):
            if origin := origins.get(path[:depth]):
                return origin
        # `[a.b]` may be the only mention of `a`.
        inner = (origin for other, origin in origins.items() if other[: len(path)] == path)
        return next(inner, str(file))

    return locate


def _absolute(settings: Settings, folder: Path) -> Settings:
    """Returns settings with absolute paths."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else str(folder / Path(path).expanduser())

    replace = msgspec.structs.replace
    server, local = settings.server, settings.local
    providers = {
        name: replace(provider, **{field: absolute(getattr(provider, field)) for field in _PROVIDER_FILES})
        for name, provider in settings.providers.items()
    }
    return replace(
        settings,
        server=replace(server, tls_cert=absolute(server.tls_cert), tls_key=absolute(server.tls_key)),
        local=replace(local, models_dir=absolute(local.models_dir)),
        providers=providers,
    )
