"""Pairs of models with their outcomes: the tasks that the prior is made from, and that adaptation is measured on.

A pair's outcomes are those of one file, or of all files of a source together: like the traffic of a gateway, such a
mixture has tasks of several kinds. Of the many pairs that a file has, a few are drawn, as they have prompts in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.embedding import Embedder
from weebill.auto.estimator.features import Report
from weebill.auto.place import read
from weebill.factory.scores import Scores, shingles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PAIRS, PAIRS_OF_MIXTURE = 4, 12
GAP = 0.1  # between the means of a pair: with less, there is nothing to gain
WEAK_MEAN = (0.2, 0.8)  # of a small model: outside, one tier is for all requests
PAIRS_OF_A_LARGE_MODEL = 3
ROWS_IN_MIXTURE = 800
KINDS_OF_MIXTURE = 5


@dataclass(frozen=True)
class Texts:
    """The reading of N prompts: vectors (N, E), marks (N, S), and each one's shingles."""

    vectors: Floats
    marks: Floats
    shingles: tuple[frozenset[int], ...]


@dataclass(frozen=True)
class Pair:
    """The outcomes (N, 2) of a small and a large model. `name` is a file's, or the source's for a `mixture`."""

    name: str
    source: str
    mixture: bool
    models: tuple[str, str]
    outcomes: Floats
    texts: Texts


def texts_of(sets: Sequence[Scores], embedder: Embedder, report: Report) -> list[Texts]:
    """Reads the prompts of each file."""
    found = []
    for at, each in enumerate(sets):
        vectors, marks = zip(*(read(embedder, prompt) for prompt in each.prompts), strict=True)
        found.append(Texts(np.array(vectors), np.array(marks), tuple(map(shingles, each.prompts))))
        report("reading", at + 1, len(sets))
    return found


def pairs(sets: Sequence[Scores], texts: Sequence[Texts]) -> Iterator[Pair]:
    """Yields the pairs of each file and of each mixture."""
    both = sorted(zip(sets, texts, strict=True), key=lambda each: (each[0].source, -len(each[0].models), each[0].name))
    for source, group in groupby(both, key=lambda each: each[0].source):
        files = list(group)
        for scores, of in files:
            yield from _drawn(scores.name, source, False, scores.models, scores.scores, of, PAIRS)
        yield from _mixture(source, files)


def _mixture(source: str, files: list[tuple[Scores, Texts]]) -> Iterator[Pair]:
    """Yields the pairs of models that were scored on most files, or on a single one with several kinds of tasks."""
    taken: list[tuple[Scores, Texts]] = []
    for scores, of in files:
        if len(scores.models) * 2 >= len(files[0][0].models) and all(
            set(scores.prompts).isdisjoint(other.prompts) for other, _ in taken
        ):
            taken.append((scores, of))
    if len(taken) == 1 and taken[0][0].kinds < KINDS_OF_MIXTURE:
        return
    models = tuple(sorted(set.intersection(*(set(scores.models) for scores, _ in taken))))
    most = ROWS_IN_MIXTURE if len(taken) > 1 else len(taken[0][0].prompts)
    outcomes = np.concatenate(
        [scores.scores[:most, [scores.models.index(model) for model in models]] for scores, _ in taken]
    )
    texts = Texts(
        np.concatenate([of.vectors[:most] for _, of in taken]),
        np.concatenate([of.marks[:most] for _, of in taken]),
        tuple(each for _, of in taken for each in of.shingles[:most]),
    )
    yield from _drawn(source, source, True, models, outcomes, texts, PAIRS_OF_MIXTURE)


def _drawn(
    name: str, source: str, mixture: bool, models: tuple[str, ...], scores: Floats, texts: Texts, most: int
) -> Iterator[Pair]:
    mean = np.nanmean(scores, 0)
    low, high = WEAK_MEAN
    weak, strong = np.nonzero((np.subtract.outer(mean, mean).T >= GAP) & ((mean >= low) & (mean <= high))[:, None])
    used = np.zeros((2, len(models)), int)
    for at in np.random.default_rng(3).permutation(len(weak)):
        one, other = int(weak[at]), int(strong[at])
        if used[0].sum() < most and not used[0, one] and used[1, other] < PAIRS_OF_A_LARGE_MODEL:
            used[0, one] += 1
            used[1, other] += 1
            outcomes = scores[:, [one, other]]
            known = np.flatnonzero(~np.isnan(outcomes).any(1))
            of = Texts(texts.vectors[known], texts.marks[known], tuple(texts.shingles[row] for row in known))
            yield Pair(name, source, mixture, (models[one], models[other]), outcomes[known], of)
