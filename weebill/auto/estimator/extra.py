"""SciPy, which only training needs, from the extra `train`."""

from __future__ import annotations

import importlib
from types import ModuleType


class ExtraMissingError(Exception):
    """A library of an optional extra is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"training the router needs {library}, which is not installed")


def sparse() -> ModuleType:
    """`scipy.sparse`. Raises ExtraMissingError."""
    return _import("scipy.sparse")


def optimize() -> ModuleType:
    """`scipy.optimize`. Raises ExtraMissingError."""
    return _import("scipy.optimize")


def special() -> ModuleType:
    """`scipy.special`. Raises ExtraMissingError."""
    return _import("scipy.special")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExtraMissingError(name.partition(".")[0]) from error
