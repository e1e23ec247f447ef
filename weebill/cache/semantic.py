"""Semantic search: the nearest earlier question by cosine, among those that differ only in their last message.

Static embeddings see the words of a text, hardly their order, and are least sure about what matters most: numbers,
names, negations, symbols. So two texts must agree in those before their vectors are compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    Embed = Callable[[str], Vector]
    """Returns a text's unit vector, always of the same dimension."""

MAX_NEIGHBOURS: Final = 256
"""The most questions remembered that differ only in their last message."""

_FIRST_ROWS: Final = 4
# Parts with a digit; negations; names, recognised by capitals within a sentence; and signs other than plain
# punctuation.
_TELLING: Final = re.compile(
    r"\w*\d\w*"
    r"|\b(?:not?|never|without|except|unless|neither|nor|cannot)\b|n['’]t\b"
    r"|(?<=[\w,;] )(?!I\b)[A-Z]\w*"
    r"|[^\w\s.,;:!?'\"“”‘’]"
)


def telling(text: str) -> tuple[str, ...]:
    """Returns the parts that must be the same, in the same order, in two texts of the same meaning.

    >>> telling("Why does Rust not compile on ARM64?")
    ('rust', 'not', 'arm64')
    """
    return tuple(found.group().lower() for found in _TELLING.finditer(text))


class _Neighbours:
    """The questions that differ only in their wording: keys and vectors, row by row."""

    __slots__ = ("keys", "replace", "vectors")

    def __init__(self, vectors: Vector) -> None:
        self.keys: list[bytes] = []
        self.vectors = vectors
        self.replace = 0


class SemanticIndex:
    """Finds the key of an earlier question of the same meaning.

    `threshold` is the least cosine at which two questions count as one. The index holds only keys and vectors; `remove`
    must be called when a recording is dropped.
    """

    def __init__(self, embed: Embed, threshold: float) -> None:
        self.embed = embed
        self.threshold = threshold
        self._numpy: ModuleType = import_module("numpy")
        self._groups: dict[tuple[bytes, tuple[str, ...]], _Neighbours] = {}
        self._group_of: dict[bytes, tuple[bytes, tuple[str, ...]]] = {}

    def __len__(self) -> int:
        return len(self._group_of)

    def find(self, rest: bytes, said: str, vector: Vector) -> bytes | None:
        """Returns the key of the nearest question with the same `rest`; None if none is near enough."""
        group = self._groups.get((rest, telling(said)))
        if group is None:
            return None
        similarity = group.vectors[: len(group.keys)] @ vector
        nearest = int(similarity.argmax())
        return group.keys[nearest] if similarity[nearest] >= self.threshold else None

    def add(self, rest: bytes, said: str, key: bytes, vector: Vector) -> None:
        """Adds a question; if too many differ only in their wording, it replaces another."""
        self.remove(key)
        where = (rest, telling(said))
        group = self._groups.get(where)
        if group is None:
            empty: Vector = self._numpy.empty((_FIRST_ROWS, len(vector)), self._numpy.float32)
            group = self._groups[where] = _Neighbours(empty)
        row = len(group.keys)
        if row == MAX_NEIGHBOURS:
            row = group.replace
            group.replace = (row + 1) % MAX_NEIGHBOURS
            del self._group_of[group.keys[row]]
            group.keys[row] = key
        else:
            group.keys.append(key)
            if row == len(group.vectors):
                group.vectors = self._numpy.concatenate((group.vectors, self._numpy.empty_like(group.vectors)))
        group.vectors[row] = vector
        self._group_of[key] = where

    def remove(self, key: bytes) -> None:
        """Drops a question."""
        where = self._group_of.pop(key, None)
        if where is None:
            return
        group = self._groups[where]
        row = group.keys.index(key)
        last = group.keys.pop()
        if last != key:
            group.keys[row] = last
            group.vectors[row] = group.vectors[len(group.keys)]
        if not group.keys:
            del self._groups[where]
