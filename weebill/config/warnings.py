"""Warnings about settings that work, but less well than intended: secrets that others can read, targets that cannot be
kept.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from weebill.catalog.load import Catalogue
from weebill.catalog.pricing import weighed
from weebill.config.auto import path_of
from weebill.config.offers import price_of
from weebill.config.problems import KeyPath, Locate, Problem, dotted
from weebill.config.schema import Settings
from weebill.config.secrets import MASK, PROXY, SECRET_LISTS, SECRETS, SECTION_SECRETS, masked


def warnings(declared: Settings, file: Path, locate: Locate, catalogue: Catalogue) -> Iterator[Problem]:
    """Yields the warnings for settings as written in `file`, with references in place of secrets."""
    yield from _readable_secrets(declared, file)
    yield from _unreachable_spend(declared, locate, catalogue)


def _unreachable_spend(declared: Settings, locate: Locate, catalogue: Catalogue) -> Iterator[Problem]:
    """Yields a warning for each virtual model whose small tier alone costs more than it may spend."""
    for name, auto in declared.autos.items():
        spend, tiers = auto.target.spend, auto.tiers
        small, large = (price_of(tiers[tier], declared, catalogue) for tier in ("small", "large"))
        if spend is None or small is None or large is None or weighed(small) < spend * weighed(large):
            continue
        share = weighed(small) / weighed(large)
        path = (*path_of(name), "target", "spend")
        what = (
            f"`{dotted(path)} = {spend:g}` cannot be kept: `{tiers['small']}` alone costs {share:.2f} of "
            f"`{tiers['large']}`, so it answers all that no rule decides"
        )
        yield Problem(locate(path), what)


def _readable_secrets(declared: Settings, file: Path) -> Iterator[Problem]:
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
    for section, name in SECTION_SECRETS:
        if _is_literal(getattr(getattr(declared, section), name)):
            yield section, name


def _is_literal(value: str | None) -> bool:
    return bool(value) and masked(str(value)) == MASK
