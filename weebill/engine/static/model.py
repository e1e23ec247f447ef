"""A model of static vectors: the vector of a text is the mean of those of its tokens, made to have the length 1.

As the library model2vec computes it (https://github.com/MinishLab/model2vec, `model2vec/model.py`), but that a text is
never cut short, and all texts of a request are summed at once. A text without a known token has the vector 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from weebill.engine.static.tokens import Tokens
from weebill.models.errors import ModelFormatError
from weebill.models.safetensors import Place
from weebill.models.static.layout import TOKENIZER, read_vectors

Floats = NDArray[np.float32]
Numbers = NDArray[np.generic]
Integers = NDArray[np.int64]

_TYPES: Final = dict(
    (
        *(("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2"), ("I8", "|i1")),
        *(("I64", "<i8"), ("I32", "<i4"), ("U64", "<u8"), ("U32", "<u4"), ("U16", "<u2")),
    )
)
# Texts that are summed at once: the rows of short ones stay in the processor's cache.
_AT_ONCE: Final = 32
# Rows that are looked at together.
_CHECKED: Final = 4096
# Words that are known, and those that hardly any vocabulary knows.
_ODD_TEXTS: Final = ("", "hello world", "Straße, 123!", "\U0010fffd", "鳥 птица طائر", "a" * 200 + "!")


class StaticModel:
    """The vectors of a vocabulary, and the tokenizer that takes texts apart."""

    def __init__(self, tokens: Tokens, table: Numbers, weights: Floats | None, mapping: Integers | None) -> None:
        self.tokens = tokens
        self._table = table
        self._weights = weights
        self._mapping = mapping

    @classmethod
    def open(cls, weights: Path, tokenizer: Path) -> Self:
        """Reads a model's files. Raises ModelFormatError or OSError."""
        found = read_vectors(weights)
        tokens = Tokens.open(tokenizer)
        table = _mapped(found.table)
        if found.widened:
            with np.errstate(over="ignore"):  # `fault` tells of it
                table = table.astype(np.float32)
        mapping = None if found.mapping is None else _mapped(found.mapping).astype(np.int64)
        factors = None if found.weights is None else _mapped(found.weights).astype(np.float32)
        rows = min(len(each) for each in (table if mapping is None else mapping, factors) if each is not None)
        if rows < tokens.count:
            raise ModelFormatError(f"{weights} is for {rows:,} tokens, and {tokenizer} has {tokens.count:,}.")
        if mapping is not None and not 0 <= mapping.min() <= mapping.max() < len(table):
            raise ModelFormatError(f"The mapping in {weights} names rows beyond its {len(table):,}.")
        return cls(tokens, table, factors, mapping)

    def fault(self) -> str:
        """Returns why the model cannot be served, "" if it can.

        Its numbers have to be finite, the length of each vector as well, and its tokenizer must be able to take apart
        any text.
        """
        for first in range(0, len(self._table), _CHECKED):
            rows = self._table[first : first + _CHECKED].astype(np.float32)
            with np.errstate(over="ignore"):
                if not np.isfinite(np.linalg.norm(rows, axis=1)).all():
                    return "it has vectors that are not finite"
        if self._weights is not None and not np.isfinite(self._weights).all():
            return "it has weights of tokens that are not finite"
        try:
            tokens = self.tokens.of(_ODD_TEXTS)
        except BaseException as error:  # the library panics in a way of its own
            return f"its {TOKENIZER} cannot take every text apart: {error}"
        return "" if np.isfinite(self.vectors(tokens)).all() else "it makes vectors that are not finite"

    def vectors(self, texts: Sequence[Sequence[int]]) -> Floats:
        """Returns a row for each text in tokens."""
        return np.concatenate([self._some(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)])

    def _some(self, texts: Sequence[Sequence[int]]) -> Floats:
        unknown = self.tokens.unknown
        known = [[token for token in each if token != unknown] for each in texts]
        sums = np.zeros((len(known), self._table.shape[1]), np.float32)
        counts = np.fromiter(map(len, known), np.int64, len(known))
        (full,) = counts.nonzero()
        if not len(full):
            return sums
        flat = np.fromiter((token for each in known for token in each), np.int64, int(counts.sum()))
        rows = self._table[flat if self._mapping is None else self._mapping[flat]].astype(np.float32, copy=False)
        if self._weights is not None:
            rows = rows * self._weights[flat][:, None]
        # Of texts with tokens alone: an empty stretch would be taken for its first row.
        starts = np.concatenate(([0], np.cumsum(counts[full])[:-1]))
        sums[full] = np.add.reduceat(rows, starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        sums /= lengths
        return sums


def _mapped(place: Place) -> Numbers:
    """Returns a tensor that stays in its file: the system reads what is used, and hosts share it."""
    return np.asarray(np.memmap(place.path, _TYPES[place.dtype], "r", place.begin, place.shape))
