"""Divides changed settings into those that a running installation applies and those that await a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from weebill.config.environment import setting_types
from weebill.config.load import Configuration, Sources, load
from weebill.config.problems import KeyPath, dotted
from weebill.config.schema import Settings

# Sockets, processes, journals and models are set up once, at the start. All other settings are applied live.
_AT_START = (
    ("server", "host"),
    ("server", "port"),
    ("server", "workers"),
    ("metering", "segment_bytes"),
    ("metering", "journal_max_bytes"),
    ("redis", "url"),
    ("database", "url"),
    ("database", "grace_s"),
)
_LIVE = (("local", "keep_alive_s"), ("local", "most_keep_alive_s"))
AT_START: frozenset[KeyPath] = frozenset(
    path for path, _ in setting_types() if (path in _AT_START or path[0] == "local") and path not in _LIVE
)
# Another certificate is applied live; a change between TLS and no TLS is not.
_TLS: tuple[KeyPath, ...] = (("server", "tls_cert"), ("server", "tls_key"))


class Reloaded(NamedTuple):
    """The settings in force, and the names of changed settings that await a restart."""

    configuration: Configuration
    needs_restart: tuple[str, ...]


def reload(sources: Sources, running: Settings) -> Reloaded:
    """Reloads for an installation that runs with `running`. Raises ConfigError, and then nothing has changed."""
    wanted = load(sources)
    kept = {path: _get(running, path) for path in _awaiting_restart(running, wanted.settings)}
    if not kept:
        return Reloaded(wanted, ())
    # Checked as a whole again: an alias may name a model that only a restart would add.
    effective = load(sources, fixed=_plain(kept))
    return Reloaded(effective, tuple(sorted(map(dotted, kept))))


def _awaiting_restart(running: Settings, wanted: Settings) -> Iterator[KeyPath]:
    for path in AT_START:
        if _get(running, path) != _get(wanted, path):
            yield path
    for path in _TLS:
        if (_get(running, path) is None) != (_get(wanted, path) is None):
            yield path


def _get(settings: Settings, path: KeyPath) -> object:
    value: object = settings
    for name in path:
        value = getattr(value, name)
    return value


def _plain(values: Mapping[KeyPath, object]) -> dict[KeyPath, object]:
    return {path: list(value) if isinstance(value, tuple) else value for path, value in values.items()}
