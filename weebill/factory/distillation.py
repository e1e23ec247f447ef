"""Distils the static embedding: a vector for each piece, so that their weighted mean is close to the teacher's vector.

Each piece starts at the teacher's own vector for it alone, as in model2vec. A ridge regression then moves the vectors,
as little as needed, so that the texts' means come close to the teacher's vectors of the texts. Frequent pieces weigh
less: a / (a + p), with p a piece's share of all pieces (smooth inverse frequency, Arora et al., 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.artefact import Embedding
from weebill.auto.estimator.extra import sparse
from weebill.auto.estimator.features import Report, features, no_report
from weebill.factory.teacher import Teacher

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]

DIMENSIONS = 256
SMOOTHING = 1e-3
RIDGE = 0.1
ITERATIONS = 30


@dataclass(frozen=True)
class Lesson:
    """The teacher's vectors: of each piece by itself (V, 384), and of some texts (N, 384)."""

    vocabulary: tuple[str, ...]
    pieces: Floats
    texts: tuple[str, ...]
    vectors: Floats

    def of(self, texts: Sequence[str]) -> Lesson:
        """Returns the lesson on these texts alone, which must be among its own."""
        at = {text: row for row, text in enumerate(self.texts)}
        return Lesson(self.vocabulary, self.pieces, tuple(texts), self.vectors[[at[text] for text in texts]])


def lesson(teacher: Teacher, texts: Sequence[str], report: Report = no_report) -> Lesson:
    """Asks the teacher; takes minutes for thousands of texts."""
    distinct = tuple(dict.fromkeys(texts))
    return Lesson(teacher.vocabulary, teacher.encode_pieces(report), distinct, teacher.encode(distinct, report))


def distil(learned: Lesson, report: Report = no_report) -> Embedding:
    """Returns the static embedding. Raises ExtraMissingError without SciPy."""
    counts = features(learned.texts, learned.vocabulary).pieces
    frequency = np.asarray(counts.sum(axis=0)).ravel() + 0.5
    weight = (SMOOTHING / (SMOOTHING + frequency / frequency.sum())).astype(np.float32)
    total = np.asarray(counts @ weight).ravel()
    shares = (sparse().diags(1 / np.where(total > 0, total, 1)) @ counts @ sparse().diags(weight)).tocsr()
    shares = shares.astype(np.float32)

    start = learned.pieces / np.linalg.norm(learned.pieces, axis=1, keepdims=True)
    start = start - start.mean(0)
    vectors = start + _ridge(shares, learned.vectors - shares @ start, report)
    # The directions in which texts differ most: a rotation, so cosines stay the same.
    means = shares @ vectors
    _, _, directions = np.linalg.svd(means.T @ means)
    vectors = vectors @ directions[:DIMENSIONS].T
    # A rarely seen piece must not stretch the scale of a dimension for all others.
    scale = np.quantile(np.abs(vectors), 0.9999, axis=0).astype(np.float32) / 127
    rows = np.clip(np.rint(vectors / scale), -127, 127).astype(np.int8)
    return Embedding(learned.vocabulary, rows, scale, weight)


def _ridge(design: csr_matrix, wanted: Floats, report: Report) -> Floats:
    """Returns the D that minimises |design D - wanted|^2 + RIDGE |D|^2, by conjugate gradients on all columns
    at once.
    """
    transposed = design.T.tocsr()
    residual = transposed @ wanted
    found: Floats = np.zeros_like(residual)
    direction = residual.copy()
    left = (residual * residual).sum(0)
    for iteration in range(ITERATIONS):
        turned = transposed @ (design @ direction) + np.float32(RIDGE) * direction
        step = left / np.maximum((direction * turned).sum(0), 1e-12)
        found += step * direction
        residual -= step * turned
        now = (residual * residual).sum(0)
        direction = residual + (now / np.maximum(left, 1e-12)) * direction
        left = now
        report("Distilling", iteration + 1, ITERATIONS)
    return found
