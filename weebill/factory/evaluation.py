"""Evaluates how well routers trained by `fitting` would route requests that they have not seen.

A prompt that occurs twice is never on both sides. Weights, idf, standardisation, calibration and quantiles are learned
on the training side; so is the embedding if the teacher's lesson is given, else the packaged one is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.artefact import Card, Embedding
from weebill.auto.estimator.estimator import Estimator
from weebill.auto.estimator.features import Report, no_report
from weebill.factory.distillation import Lesson, distil
from weebill.factory.fitting import fit
from weebill.factory.measures import Measures, measure
from weebill.factory.rows import Rows, folds, together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Positions = NDArray[np.intp]

FOLDS = 5
DRAWS = 5  # of a few rows, as the chance of one draw outweighs the effect to be measured
MIN_TO_LEARN = 500
_CARD = Card(name="evaluation", made="", licence="", data=[], recipe="", tiers=["compact", "large"], rows=0)


@dataclass(frozen=True)
class Split:
    """The rows to train on, and the rows to route."""

    train: Rows
    test: Rows


@dataclass(frozen=True)
class EvaluationPlan:
    """One figure to be measured: the routed rows, the training rows, and the splits.

    If `pooled`, the splits' test sides are parts of one whole and their rows are ranked together; else each split is
    measured by itself, and the mean of the figures is reported.
    """

    routed: str
    learned_from: str
    splits: tuple[Split, ...]
    pooled: bool = True


@dataclass(frozen=True)
class Result:
    """The result of a plan; `gain`, `weak` and `strong` are of all routed rows, for a plot."""

    routed: str
    learned_from: str
    measures: Measures
    gain: Floats
    weak: Floats
    strong: Floats


def plans(sets: Sequence[Rows], few: int | None) -> Iterator[EvaluationPlan]:
    """Yields the plans: each set by cross-validation, from `few` rows, on new domains, and from the other sets.

    Only rows with the outcomes of all tiers are routed; a set that has none is learned from alone.
    """
    return (plan for plan in _plans(sets, few) if any(len(split.test.paired()) for split in plan.splits))


def _plans(sets: Sequence[Rows], few: int | None) -> Iterator[EvaluationPlan]:
    large = [rows for rows in sets if len(rows) >= MIN_TO_LEARN]
    for rows in large:
        yield EvaluationPlan(rows.name, f"itself, {FOLDS} folds", tuple(_splits(rows, folds(rows.prompts, FOLDS))))
        if few is not None and len(rows) >= 2 * few:
            yield EvaluationPlan(rows.name, f"{few} of its rows", tuple(_draws(rows, few)), pooled=False)
        if len(set(rows.domains)) >= FOLDS:
            splits = tuple(_splits(rows, folds(rows.domains, FOLDS)))
            yield EvaluationPlan(rows.name, f"its other domains, {FOLDS} folds", splits, pooled=False)
    for rows in sets:
        for other in large:
            if other is not rows:
                yield EvaluationPlan(rows.name, other.name, (Split(_without(other, rows), rows),))
    if len(large) > 1:
        whole = together(large, "all")
        for rows in large:
            fold, of_whole = folds(rows.prompts, FOLDS), folds(whole.prompts, FOLDS)
            splits = tuple(
                Split(whole.take(np.flatnonzero(of_whole != each)), rows.take(np.flatnonzero(fold == each)))
                for each in range(FOLDS)
            )
            yield EvaluationPlan(rows.name, f"all sets, {FOLDS} folds", splits)
        for rows in sets:
            if rows not in large:
                yield EvaluationPlan(rows.name, "all large sets", (Split(_without(whole, rows), rows),))


def evaluate(
    plan: EvaluationPlan, embedding: Embedding, taught: Lesson | None = None, report: Report = no_report
) -> Result:
    """Trains and routes as planned. Raises MeasureError, FittingError, ExtraMissingError."""
    gains, measured = [], []
    splits = [Split(split.train, split.test.paired()) for split in plan.splits]
    for at, split in enumerate(splits):
        gain = _route(split, embedding, taught)
        gains.append(gain)
        if not plan.pooled:
            measured.append(measure(gain, split.test.weak, split.test.strong, seed=at))
        report(f"{plan.routed} from {plan.learned_from}", at + 1, len(splits))
    gain = np.concatenate(gains)
    weak = np.concatenate([split.test.weak for split in splits])
    strong = np.concatenate([split.test.strong for split in splits])
    measures = measure(gain, weak, strong) if plan.pooled else Measures.mean(measured)
    return Result(plan.routed, plan.learned_from, measures, gain, weak, strong)


def as_it_is(router: Estimator, rows: Rows) -> Result:
    """Measures an existing router on rows that it may have learned from. Raises MeasureError."""
    rows = rows.paired()
    gain = gains_of(router, rows.prompts)
    return Result(rows.name, router.card.name, measure(gain, rows.weak, rows.strong), gain, rows.weak, rows.strong)


def gains_of(router: Estimator, prompts: Sequence[str]) -> Floats:
    """Returns the merit of each prompt, which `Chances.gain` ranks, without the ties at the ends of that scale."""
    return np.array([router.merit(prompt) for prompt in prompts])


def _route(split: Split, embedding: Embedding, taught: Lesson | None) -> Floats:
    if taught is not None:
        embedding = distil(taught.of(tuple(dict.fromkeys(split.train.prompts))))
    return gains_of(Estimator(fit(split.train, embedding, _CARD)), split.test.prompts)


def _splits(rows: Rows, fold: Positions) -> Iterator[Split]:
    for each in np.unique(fold):
        yield Split(rows.take(np.flatnonzero(fold != each)), rows.take(np.flatnonzero(fold == each)))


def _draws(rows: Rows, few: int) -> Iterator[Split]:
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(rows))
        train = rows.take(np.sort(order[:few]))
        yield Split(train, _without(rows.take(np.sort(order[few:])), train))


def _without(rows: Rows, others: Rows) -> Rows:
    """Returns the rows whose prompts are not among the others'."""
    prompts = set(others.prompts)
    return rows.take(np.array([at for at, prompt in enumerate(rows.prompts) if prompt not in prompts], np.intp))
