"""The modules of `weebill`, each parsed once for all tests that look at its text."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """`imported` are the names of modules or of what they hold, imported lazily or not, at run time or for types;
    `texts` is every text that stands as a statement, by its line: docstrings, and those of attributes.
    """

    imported: frozenset[str]
    texts: tuple[tuple[int, str], ...]


@cache
def source_of(path: Path) -> Source:
    """Reads a module. Raises AssertionError where it imports relatively."""
    return source(path.read_text(), str(path))


def source(text: str, name: str = "a module") -> Source:
    """Reads the text of a module."""
    imported, texts = set(), []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            texts.append((node.lineno, node.value.value))
    return Source(frozenset(imported), tuple(texts))
