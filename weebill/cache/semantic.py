"""Which earlier question means nearly the same: nearest neighbour by cosine, among those that differ in nothing else.

Static embeddings see which words a text has, hardly their order, and are least sure where it matters most: numbers,
names, negations, symbols. So what two texts have of those must be the same before their vectors are compared.
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
    """A text's direction: a vector of length 1, always of the same dimension."""

MAX_NEIGHBOURS: Final = 256
"""How many questions that differ in nothing else are remembered."""

_FIRST_ROWS: Final = 4
# What has a digit; words that turn a meaning round; names, as far as capitals within a sentence tell them; and
# whatever is no letter and no plain punctuation.
_TELLING: Final = re.compile(
    r"\w*\d\w*"
    r"|\b(?:not?|never|without|except|unless|neither|nor|cannot)\b|n['’]t\b"
    r"|(?<=[\w,;] )(?!I\b)[A-Z]\w*"
    r"|[^\w\s.,;:!?'\"“”‘’]"
)


def telling(text: str) -> tuple[str, ...]:
    """What must be the same, and in the same order, in two texts that mean the same.

    >>> telling("Why does Rust not compile on ARM64?")
    ('rust', 'not', 'arm64')
    """
    return tuple(found.group().lower() for found in _TELLING.finditer(text))


class _Neighbours:
    """Questions that differ in their wording alone: row by row, keys and vectors."""

    __slots__ = ("keys", "replace", "vectors")

    def __init__(self, vectors: Vector) -> None:
        self.keys: list[bytes] = []
        self.vectors = vectors
        self.replace = 0


class SemanticIndex:
    """Finds the key of a question that was asked before in other words.

    `threshold` is the least cosine at which two questions count as one. The index holds keys and vectors, nothing
    else: who forgets a recording says so by `remove`.
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
        """The key of the nearest question with the same `rest`; None if none is near enough."""
        group = self._groups.get((rest, telling(said)))
        if group is None:
            return None
        similarity = group.vectors[: len(group.keys)] @ vector
        nearest = int(similarity.argmax())
        return group.keys[nearest] if similarity[nearest] >= self.threshold else None

    def add(self, rest: bytes, said: str, key: bytes, vector: Vector) -> None:
        """Remember a question; of too many that differ in nothing else, it takes the place of another."""
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
        """Forget a question."""
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
