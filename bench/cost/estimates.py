"""How likely each model is to be right, estimated for every prompt by models that have not seen it.

Two logistic models over hashed words and pairs of words, five folds. The router that Weebill ships knows more; what it
is measured by is its own evaluation. Here it is enough that the estimates are honest and the same for every policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.cost.data import Floats, Prompts
from weebill.auto.estimator.text import BUCKETS, ngrams, token_hash, tokens

FOLDS = 5
_RIDGE = 1.0
_STEPS = 150


@dataclass(frozen=True)
class Rows:
    """Sparse rows of unit length: those of row `i` are `columns[starts[i]:starts[i + 1]]`."""

    columns: NDArray[np.int64]
    values: Floats
    starts: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        lengths = np.diff(self.starts)[chosen]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths) + np.repeat(self.starts[chosen], lengths)
        return Rows(self.columns[within], self.values[within], starts)

    def times(self, weights: Floats) -> Floats:
        """(rows,)"""
        return np.add.reduceat(self.values * weights[self.columns], self.starts[:-1])

    def transposed_times(self, amounts: Floats) -> Floats:
        """(BUCKETS,)"""
        spread = np.repeat(amounts, np.diff(self.starts))
        return np.bincount(self.columns, self.values * spread, BUCKETS).astype(np.float64, copy=False)


def out_of_fold(prompts: Prompts, seed: int = 0) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """The chance of the small and of the large model for each prompt, and the prompt's fold."""
    rows = _rows(prompts.texts)
    count = len(prompts.texts)
    fold = np.random.default_rng(seed).permutation(count) % FOLDS
    small, large = np.empty(count), np.empty(count)
    for held_out in range(FOLDS):
        train, test = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        seen, unseen = rows.take(train), rows.take(test)
        for chances, right in ((small, prompts.small), (large, prompts.large)):
            weights, bias = _fit(seen, right[train])
            chances[test] = 1 / (1 + np.exp(-unseen.times(weights) - bias))
    return small, large, fold


def _rows(texts: tuple[str, ...]) -> Rows:
    """Term frequency by inverse document frequency; prompts alone are looked at, not whether they were answered."""
    found = [ngrams(np.array([token_hash(token) for token in tokens(text.lower())], np.uint32)) for text in texts]
    columns = np.concatenate([buckets for buckets, _ in found])
    starts = np.concatenate(([0], np.cumsum([len(buckets) for buckets, _ in found])))
    rarity = np.log((1 + len(texts)) / (1 + np.bincount(columns, minlength=BUCKETS))) + 1
    values = np.concatenate([weights for _, weights in found]).astype(np.float64) * rarity[columns]
    lengths = np.sqrt(np.add.reduceat(values * values, starts[:-1]))
    return Rows(columns, values / np.repeat(lengths, np.diff(starts)), starts)


def _fit(rows: Rows, right: Floats) -> tuple[Floats, float]:
    """Weights and bias of a logistic model with a ridge, by accelerated gradient descent.

    Source: Nesterov, 1983. A row has unit length, and with the bias the square root of two.
    """
    step = 1 / (0.5 * len(right) + _RIDGE)
    weights, ahead = np.zeros(BUCKETS), np.zeros(BUCKETS)
    bias = ahead_bias = 0.0
    for number in range(_STEPS):
        excess = 1 / (1 + np.exp(-rows.times(ahead) - ahead_bias)) - right
        moved = ahead - step * (rows.transposed_times(excess) + _RIDGE * ahead)
        moved_bias = ahead_bias - step * float(excess.sum())
        momentum = number / (number + 3)
        ahead, ahead_bias = moved + momentum * (moved - weights), moved_bias + momentum * (moved_bias - bias)
        weights, bias = moved, moved_bias
    return weights, bias
