"""What works, but not as safely as its writer may believe."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from weebill.config.problems import KeyPath, Problem, dotted
from weebill.config.schema import Settings
from weebill.config.secrets import MASK, PROXY, REDIS_URL, SECRET_LISTS, SECRETS, masked


def warnings(declared: Settings, file: Path) -> Iterator[Problem]:
    """Of settings as they were written, references in the place of secrets, into `file`."""
    try:
        mode = file.stat().st_mode
    except OSError:  # there is none, or nobody knows
        return
    literal = next(_literal_secrets(declared), None)
    if literal is not None and mode & (stat.S_IRGRP | stat.S_IROTH):
        what = (
            f"holds secrets such as `{dotted(literal)}` and others on this machine can read it: "
            f'`chmod 600 {file}`, or give them as "env:NAME" or "file:PATH"'
        )
        yield Problem(str(file), what)


def _literal_secrets(declared: Settings) -> Iterator[KeyPath]:
    """The settings that hold a secret rather than say where it is."""
    for name, provider in declared.providers.items():
        for field in (*SECRETS, PROXY):
            if _is_literal(getattr(provider, field)):
                yield "providers", name, field
        for field in SECRET_LISTS:
            if any(map(_is_literal, getattr(provider, field))):
                yield "providers", name, field
    if _is_literal(declared.redis.url):
        yield REDIS_URL


def _is_literal(value: str | None) -> bool:
    return bool(value) and masked(str(value)) == MASK
