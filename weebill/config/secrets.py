"""The secrets of providers and services: a literal, `env:NAME`, or `file:PATH`. The values live only in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from weebill.config.problems import KeyPath, Locate, Problem
from weebill.config.proxies import NONE, proxy_problem, with_scheme
from weebill.config.schema import Settings
from weebill.config.section import Section

MAX_SECRET_BYTES = 65_536
MASK = "********"
SECRETS = ("api_key", "access_key_id", "secret_access_key", "session_token")
SECRET_LISTS = ("api_keys",)
PROXY = "proxy"
SECTION_SECRETS: Final[tuple[KeyPath, ...]] = (
    *(("redis", "url"), ("database", "url")),  # addresses with passwords
    *(("stripe", "secret_key"), ("stripe", "webhook_secret")),
    *(("openid", "client_secret"), ("mail", "password")),
)
"""Secrets that are settings of a section of their own."""
REFERENCES: Final = ("env:", "file:")
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_DATABASE_SCHEMES = ("postgresql", "postgres")


class SecretError(Exception):
    """The key is missing or invalid; the message completes "`providers.x.api_key` ..."."""


def resolve_secrets(
    settings: Settings, environment: Mapping[str, str], folder: Path, locate: Locate
) -> tuple[Settings, list[Problem]]:
    """Returns settings with references replaced by secrets; relative paths start at `folder`."""
    providers = {}
    problems = []
    for name, provider in settings.providers.items():
        secrets: dict[str, str | None] = {}
        for field in SECRETS:
            try:
                reference = getattr(provider, field)
                secrets[field] = None if reference is None else _resolve(reference, environment, folder)
            except SecretError as error:
                problems.append(Problem(locate(("providers", name, field)), f"`providers.{name}.{field}` {error}"))
        keys: list[str] = []
        for position, reference in enumerate(provider.api_keys, 1):
            try:
                keys.append(_resolve(reference, environment, folder))
            except SecretError as error:
                what = f"`providers.{name}.api_keys` (item {position}) {error}"
                problems.append(Problem(locate(("providers", name, "api_keys")), what))
        try:
            secrets[PROXY] = None if provider.proxy is None else _proxy_url(provider.proxy, environment, folder)
        except SecretError as error:
            problems.append(Problem(locate(("providers", name, PROXY)), f"`providers.{name}.{PROXY}` {error}"))
        providers[name] = msgspec.structs.replace(provider, **secrets, api_keys=tuple(keys))
    sections: dict[str, Section] = {}
    for section, field in SECTION_SECRETS:
        present: Section = sections.get(section) or getattr(settings, section)
        written = getattr(present, field)
        if written is None:
            continue
        try:
            secret = _FORMS.get(section, str)(_resolve(written, environment, folder))
            sections[section] = msgspec.structs.replace(present, **{field: secret})
        except SecretError as error:
            problems.append(Problem(locate((section, field)), f"`{section}.{field}` {error}"))
    return msgspec.structs.replace(settings, providers=providers, **sections), problems


def masked(reference: str) -> str:
    """Returns the part of an `api_key` setting that may be shown: a reference, or a mask for a literal."""
    return reference if reference in NONE or reference.startswith(REFERENCES) else MASK


def _resolve(reference: str, environment: Mapping[str, str], folder: Path) -> str:
    if reference.startswith("env:"):
        variable = reference.removeprefix("env:")
        key = environment.get(variable, "").strip()
        if not key:
            raise SecretError(f"refers to the environment variable {variable}, which is not set")
    elif reference.startswith("file:"):
        key = _read(folder / Path(reference.removeprefix("file:")).expanduser())
    else:
        key = reference
    # It becomes a header value; other characters would break or rewrite the request.
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SecretError("must be printable ASCII without spaces, and not empty")
    return key


def _proxy_url(reference: str, environment: Mapping[str, str], folder: Path) -> str:
    """Returns a proxy's address, which may hold a password and is never quoted; "" for none. Raises SecretError."""
    url = "" if reference in NONE else _resolve(reference, environment, folder)
    if url in NONE:
        return ""
    url = with_scheme(url)
    if problem := proxy_problem(url):
        whence = f"refers to {reference}, which " if reference.startswith(REFERENCES) else ""
        raise SecretError(f"{whence}{problem}")
    return url


def _redis_url(url: str) -> str:
    """Returns a Redis's address, which may hold a password and is never quoted. Raises SecretError if it is invalid."""
    url = url or ""
    try:
        parts = urlsplit(url)
        where = parts.path if parts.scheme == "unix" else parts.hostname and parts.port != 0
    except ValueError:
        where = ""
    if not where or parts.scheme not in _REDIS_SCHEMES:
        raise SecretError('must be like "redis://host:6379/0", "rediss://..." for TLS, or "unix:///path/redis.sock"')
    if parts.query and not _options_fit(url):
        raise SecretError("has options behind its `?` that redis-py does not take")
    return url


def _database_url(url: str) -> str:
    """Returns a database's address, which may hold a password and is never quoted. Raises SecretError."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in _DATABASE_SCHEMES and parts.port != 0
    except ValueError:
        # Of several hosts, each has a port: `host1:5432,host2:5432`. The driver reads that.
        fits = url.startswith(tuple(f"{scheme}://" for scheme in _DATABASE_SCHEMES)) and "," in url
    if not fits:
        raise SecretError('must be like "postgresql://user:password@host:5432/weebill"; SQLite is used without it')
    return url


_FORMS: Final[Mapping[str, Callable[[str], str]]] = {"redis": _redis_url, "database": _database_url}
"""Of the secrets that are addresses, the functions that return them, or raise SecretError."""


def _options_fit(url: str) -> bool:
    """True if redis-py accepts the address and its options; nothing is connected."""
    try:
        pool = import_module("redis").ConnectionPool.from_url(url)
        pool.connection_class(**pool.connection_kwargs)
    except ImportError:  # reported elsewhere
        return True
    except Exception:  # of many kinds, some of which quote the address
        return False
    return True


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SecretError(f"refers to the file {path}, which cannot be read: {reason}") from error
