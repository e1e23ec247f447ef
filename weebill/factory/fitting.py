"""Fits a router to recorded outcomes: two logistic regressions whose logits are averaged, then calibrated.

One sees hashed n-grams (tf-idf, unit length), which know many particular things; the other sees the text's place in the
embedding and its surface, which carry over to unseen tasks. Both are linear, and so is their mean: a router is one
weight for each bucket, piece and surface feature, and needs no matrix product at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.artefact import Card, Embedding, Model
from weebill.auto.estimator.estimate import merit
from weebill.auto.estimator.extra import optimize, sparse
from weebill.auto.estimator.features import Features, features
from weebill.auto.estimator.text import OPTIONS, standardised
from weebill.factory.rows import Rows, folds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]

# Chosen by cross-validation on MMLU's and GSM8K's outcomes; the results move by less than 0.005 APGR around them.
NGRAM_RIDGE, DENSE_RIDGE = 1 / 0.5, 1 / 0.1
EMBEDDING_SCALE, SURFACE_SCALE, PRODUCT_SCALE = 1.5, 0.1, 0.06
MIN_ROWS_OF_NGRAM = 2  # an n-gram of one row alone says nothing about the others
CALIBRATION_FOLDS = 3
CALIBRATION_RIDGE = 1.0  # towards unchanged logits: a few rows must not reverse them
QUANTILES = 257
MIN_ROWS = 50


class FittingError(ValueError):
    """Nothing can be learned from the rows."""


@dataclass(frozen=True)
class _Weights:
    """The parameters of a `Model` before calibration: `idf` (B,), and weights for T tiers."""

    idf: Floats
    ngrams: Floats
    pieces: Floats
    surface_mean: NDArray[np.float32]
    surface_scale: NDArray[np.float32]
    surface: Floats
    bias: Floats

    def logits(self, seen: Features, piece_weight: Floats) -> Floats:
        """Returns (N, T) logits."""
        logits: Floats = _unit(seen.ngrams @ sparse().diags(self.idf)) @ self.ngrams
        logits = logits + _mean(seen.pieces, piece_weight) @ self.pieces
        return logits + standardised(seen.surface, self.surface_mean, self.surface_scale) @ self.surface + self.bias


def fit(rows: Rows, embedding: Embedding, card: Card, seen: Features | None = None) -> Model:
    """Returns a calibrated router. `seen` are the rows' features, if known.

    Raises FittingError if nothing can be learned from the rows, ExtraMissingError without SciPy.
    """
    if len(rows) < MIN_ROWS:
        raise FittingError(f"{len(rows)} rows are too few to learn from: it takes at least {MIN_ROWS}")
    for tier, outcomes in zip(rows.tiers, rows.outcomes.T, strict=True):
        if not _known(outcomes).any():
            raise FittingError(f"no row has an outcome of the {tier} tier")
    paired = rows.paired()
    if len(paired) == len(rows) and np.ptp(paired.strong - paired.weak) == 0:
        raise FittingError("the tiers differ by the same amount on every row, so there is nothing to tell apart")
    seen = seen or features(rows.prompts, embedding.vocabulary)
    vectors: Floats = embedding.rows.astype(np.float64) * embedding.scale
    piece_weight: Floats = embedding.weight.astype(np.float64)

    def weights(which: NDArray[np.intp]) -> _Weights:
        return _fit(seen.take(which), rows.outcomes[which], vectors, piece_weight)

    fold = folds(rows.prompts, CALIBRATION_FOLDS)
    held_out = np.zeros_like(rows.outcomes)
    for each in range(CALIBRATION_FOLDS):
        inside, outside = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        held_out[outside] = weights(inside).logits(seen.take(outside), piece_weight)
    calibration = np.stack(
        [
            _calibrate(logits[known], wanted[known])
            for logits, wanted, known in zip(held_out.T, rows.outcomes.T, _known(rows.outcomes).T, strict=True)
        ],
        1,
    )
    chances = _logistic(held_out * calibration[0] + calibration[1])
    final = weights(np.arange(len(rows)))
    options = (seen.surface[:, OPTIONS] > 0).tolist()
    merits = [merit(*each) for each in zip(chances[:, 0].tolist(), chances[:, -1].tolist(), options, strict=True)]
    quantiles = np.quantile(merits, np.linspace(0, 1, QUANTILES))
    return Model(
        card=card,
        vocabulary=embedding.vocabulary,
        ngrams=np.column_stack((final.idf, final.idf[:, None] * final.ngrams)).astype(np.float32),
        pieces=np.column_stack((piece_weight, piece_weight[:, None] * final.pieces)).astype(np.float32),
        surface_mean=final.surface_mean,
        surface_scale=final.surface_scale,
        surface=final.surface.astype(np.float32),
        bias=final.bias.astype(np.float32),
        calibration=calibration.astype(np.float32),
        quantiles=quantiles.astype(np.float32),
    )


def _fit(seen: Features, outcomes: Floats, vectors: Floats, piece_weight: Floats) -> _Weights:
    rows_with = np.bincount(seen.ngrams.indices, minlength=seen.ngrams.shape[1])
    idf = np.where(rows_with >= MIN_ROWS_OF_NGRAM, np.log((1 + len(outcomes)) / (1 + rows_with)) + 1, 0.0)
    grams = _unit(seen.ngrams @ sparse().diags(idf))
    # A few rows have few n-grams; those without weight need not be fitted.
    used = np.flatnonzero(idf)
    gram_weights = np.zeros((len(idf), outcomes.shape[1]))
    gram_weights[used], gram_bias = _regress(grams[:, used], outcomes, NGRAM_RIDGE)

    mean = seen.surface.mean(0, dtype=float).astype(np.float32)
    scale = (seen.surface.std(0, dtype=float) + 1e-6).astype(np.float32)
    place, marks = _mean(seen.pieces, piece_weight) @ vectors, standardised(seen.surface, mean, scale)
    scales = np.repeat(
        (EMBEDDING_SCALE, SURFACE_SCALE, PRODUCT_SCALE),
        (place.shape[1], len(mean), marks.shape[1] - len(mean)),
    )
    dense = np.hstack((place, marks))
    middle = dense.mean(0)  # so that only differences between texts are penalised
    dense_weights, dense_bias = _regress((dense - middle) * scales, outcomes, DENSE_RIDGE)
    dense_weights *= scales[:, None]
    of_place, of_marks = np.split(dense_weights, [place.shape[1]])
    return _Weights(
        idf=idf,
        ngrams=gram_weights / 2,
        pieces=vectors @ of_place / 2,
        surface_mean=mean,
        surface_scale=scale,
        surface=of_marks / 2,
        bias=(gram_bias + dense_bias - middle @ dense_weights) / 2,
    )


def _regress(rows: csr_matrix | Floats, outcomes: Floats, ridge: float) -> tuple[Floats, Floats]:
    """Returns weights (F, T) and biases (T,) of a ridge-penalised logistic regression for each column of outcomes in
    0..1, on the rows of which it is known.
    """
    minimize = optimize().minimize
    weights, biases = [], []
    for column, known in zip(outcomes.T, _known(outcomes).T, strict=True):
        every = bool(known.all())

        def loss(
            parameters: Floats,
            wanted: Floats = column if every else column[known],
            seen: csr_matrix | Floats = rows if every else rows[known],
        ) -> tuple[float, Floats]:
            inner = parameters[:-1]
            logits = seen @ inner + parameters[-1]
            wrong = _logistic(logits) - wanted
            value = np.logaddexp(0, logits).sum() - wanted @ logits + ridge / 2 * (inner @ inner)
            return float(value), np.append(seen.T @ wrong + ridge * inner, wrong.sum())

        found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
        weights.append(found[:-1])
        biases.append(found[-1])
    return np.array(weights).T, np.array(biases)


def _calibrate(logits: Floats, wanted: Floats) -> Floats:
    """Returns scale and shift of the logits (Platt, 1999), by Newton's method on a convex loss."""
    design = np.column_stack((logits, np.ones_like(logits)))
    start = found = np.array([1.0, 0.0])
    for _ in range(50):
        chance = _logistic(design @ found)
        gradient = design.T @ (chance - wanted) + CALIBRATION_RIDGE * (found - start)
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + CALIBRATION_RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    return found


def _known(outcomes: Floats) -> NDArray[np.bool_]:
    return ~np.isnan(outcomes)


def _unit(rows: csr_matrix) -> csr_matrix:
    norm = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return (sparse().diags(1 / np.where(norm > 0, norm, 1)) @ rows).tocsr()


def _mean(pieces: csr_matrix, weight: Floats) -> csr_matrix:
    """Returns rows that sum to one: each piece's share of its text."""
    total = np.asarray(pieces @ weight).ravel()
    return (sparse().diags(1 / np.where(total > 0, total, 1)) @ pieces @ sparse().diags(weight)).tocsr()


def _logistic(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
