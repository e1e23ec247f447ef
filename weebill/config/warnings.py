"""Warnings about settings that work, but are less safe than intended."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from weebill.config.problems import KeyPath, Problem, dotted
from weebill.config.schema import Settings
from weebill.config.secrets import MASK, PROXY, REDIS_URL, SECRET_LISTS, SECRETS, masked


def warnings(declared: Settings, file: Path) -> Iterator[Problem]:
    """Yields the warnings for settings as written in `file`, with references in place of secrets."""
    try:
        mode = file.stat().st_mode
    except OSError:  # missing or unreadable
        return
    literal = next(_literal_secrets(declared), None)
    if literal is not None and mode & (stat.S_IRGRP | stat.S_IROTH):
        what = (
            f"holds secrets such as `{dotted(literal)}` and others on this machine can read it: "
            f'`chmod 600 {file}`, or give them as "env:NAME" or "file:PATH"'
        )
        yield Problem(str(file), what)


def _literal_secrets(declared: Settings) -> Iterator[KeyPath]:
    """Yields the settings that hold a secret, not a reference."""
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
