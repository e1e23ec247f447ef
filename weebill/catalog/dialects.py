"""The dialects that can be configured: built-in ones, and those that other packages add."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import get_args

from weebill.catalog.schema import Dialect

ENTRY_POINTS = "weebill.dialects"
BUILT_IN: frozenset[str] = frozenset(get_args(Dialect))


def dialects() -> frozenset[str]:
    """Returns every valid value of `providers.NAME.dialect`."""
    return BUILT_IN | {entry.name for entry in entry_points(group=ENTRY_POINTS)}
