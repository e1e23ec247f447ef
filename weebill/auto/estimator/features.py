"""The features of many texts as matrices, for training; each row equals what `Estimator` computes for one text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.extra import sparse
from weebill.auto.estimator.text import BUCKETS, SURFACE, ngrams, surface, visible
from weebill.auto.estimator.wordpiece import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

Report = Callable[[str, int, int], None]  # the name of the step, and how much of how much is done


def no_report(what: str, done: int, total: int) -> None:
    """Reports nothing."""


@dataclass(frozen=True)
class Features:
    """The features of N texts: `ngrams` (N, B) of 1 + log(count), `pieces` (N, V) of counts, `surface` (N, S)."""

    ngrams: csr_matrix
    pieces: csr_matrix
    surface: NDArray[np.float32]

    def take(self, which: NDArray[np.intp]) -> Features:
        return Features(self.ngrams[which], self.pieces[which], self.surface[which])


def features(texts: Sequence[str], vocabulary: Sequence[str]) -> Features:
    """Returns the features of each text."""
    words = Words(vocabulary)
    grams, pieces = _Matrix(BUCKETS), _Matrix(len(vocabulary))
    counted = np.empty((len(texts), len(SURFACE)), np.float32)
    for at, text in enumerate(texts):
        seen = visible(text)
        hashes, rows = words.read(seen)
        if len(hashes):
            grams.add(*ngrams(hashes))
        else:
            grams.add(np.empty(0, np.uint32), np.empty(0, np.float32))
        pieces.add(*_counted(rows))
        counted[at] = surface(seen, len(hashes))
    return Features(grams.matrix(), pieces.matrix(), counted)


def _counted(rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    unique, counts = np.unique(rows, return_counts=True)
    return unique, counts.astype(np.float32)


class _Matrix:
    """A sparse matrix that is built row by row."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._ends = [0]
        self._at: list[NDArray[np.integer]] = []
        self._values: list[NDArray[np.float32]] = []

    def add(self, at: NDArray[np.integer], values: NDArray[np.float32]) -> None:
        self._at.append(at)
        self._values.append(values)
        self._ends.append(self._ends[-1] + len(at))

    def matrix(self) -> csr_matrix:
        at = np.concatenate(self._at).astype(np.int32)
        return sparse().csr_matrix((np.concatenate(self._values), at, self._ends), (len(self._at), self._columns))
