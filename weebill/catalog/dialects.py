"""Which dialects can be configured: the built-in ones, and those that other packages add."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import get_args

from weebill.catalog.schema import Dialect

ENTRY_POINTS = "weebill.dialects"
BUILT_IN: frozenset[str] = frozenset(get_args(Dialect))


def dialects() -> frozenset[str]:
    """Every name that `providers.NAME.dialect` may have."""
    return BUILT_IN | {entry.name for entry in entry_points(group=ENTRY_POINTS)}
