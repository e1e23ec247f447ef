"""Fits the packaged verifier (`weebill.auto.trust`) to graded answers of a model, and measures one.

A logistic regression whose intercept is each source's own: how often the model is right on a source is not what the
verifier is for, but which of its answers there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from weebill.auto.cascade.signs import Signs, read_signs
from weebill.auto.intervals import Interval
from weebill.auto.logistic import regression
from weebill.auto.trust import Verifier, fitted
from weebill.wire.conversation import Conversation, Text, Turn
from weebill.wire.reply import Choice, Reply, Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The precision of the prior of a weight, at 0: few answers of few kinds say little about all kinds.
_PULL: Final = 20.0
_PULL_SOURCE: Final = 0.1
_SPLITS: Final = 40
_RESAMPLES: Final = 1000


class Graded(Struct, frozen=True):
    """An answer to a question of `source`, with OpenAI's `logprobs.content`; `right` is its score, 0 to 1."""

    source: str
    question: str
    right: float
    logprobs: tuple[msgspec.Raw, ...]


class Seen(NamedTuple):
    """The answers of one source that have signs: these (N, K), and the scores (N,)."""

    source: str
    signs: Floats
    scores: Floats


class Found(NamedTuple):
    """The verifier's figures on one source: the area under the ROC curve with an interval, as it is, and after `audits`
    of the source itself, on the other answers.
    """

    source: str
    answers: int
    right: float
    alone: Interval
    audits: int
    adapted: float


def read_graded(paths: Sequence[Path]) -> list[Seen]:
    """Returns the answers in files of JSON lines, by source. Raises OSError, msgspec.MsgspecError."""
    decode = msgspec.json.Decoder(Graded).decode
    by_source: dict[str, list[tuple[Signs, float]]] = {}
    for path in paths:
        for line in path.read_bytes().splitlines():
            graded = decode(line)
            if (signs := _signs(graded)) is not None:
                by_source.setdefault(graded.source, []).append((signs, graded.right))
    return [
        Seen(source, np.array([signs for signs, _ in rows]), np.array([right for _, right in rows]))
        for source, rows in sorted(by_source.items())
    ]


def first_verifier(sources: Sequence[Seen]) -> Verifier:
    """Returns the verifier that fits all sources; each has its own intercept."""
    signs, scores = np.concatenate([each.signs for each in sources]), np.concatenate([each.scores for each in sources])
    usual, spread = signs.mean(0), signs.std(0) + 1e-6
    of_source = np.repeat(np.eye(len(sources)), [len(each.scores) for each in sources], axis=0)
    columns = np.hstack([(signs - usual) / spread, of_source])
    width = signs.shape[1]
    pull = np.repeat((_PULL, _PULL_SOURCE), (width, len(sources)))
    nothing = np.zeros(columns.shape[1])
    weights = regression(columns, scores, np.zeros(len(scores)), nothing, pull)
    return Verifier(_rounded(usual), _rounded(spread), _rounded(weights[:width]))


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 4).tolist())


def measure(sources: Sequence[Seen], verifier: Verifier | None, seed: int = 0) -> Iterator[Found]:
    """Yields the figures of a verifier on each source; None is one fitted to all others."""
    for each in sources:
        others = [other for other in sources if other.source != each.source]
        taken = verifier or first_verifier(others)
        generator = np.random.default_rng(seed)
        audits = len(each.scores) // 2
        shifts = np.array([taken.shift(row) for row in each.signs.tolist()])
        adapted = [_adapted(each, taken, generator.permutation(len(each.scores)), audits) for _ in range(_SPLITS)]
        yield Found(
            each.source,
            len(each.scores),
            float(each.scores.mean()),
            _interval(shifts, each.scores, generator),
            audits,
            float(np.nanmean(adapted)),
        )


def auc(ranked: Floats, scores: Floats) -> float:
    """Returns the area under the ROC curve: the chance that an answer with a higher score ranks higher than one with a
    lower one, ties counting half; NaN if all scores are alike.
    """
    above = np.sign(ranked[:, None] - ranked[None, :]) / 2 + 0.5
    better = scores[:, None] > scores[None, :]
    return float(above[better].mean()) if better.any() else float("nan")


def _adapted(source: Seen, verifier: Verifier, order: NDArray[np.int_], audits: int) -> float:
    """Returns the area on the rest after the first `audits` of the order have been learnt."""
    seen, rest = order[:audits], order[audits:]
    before = np.full(audits, source.scores[seen].mean())
    learnt = fitted(verifier, before, source.signs[seen].tolist(), source.scores[seen])
    return auc(np.array([learnt.shift(row) for row in source.signs[rest].tolist()]), source.scores[rest])


def _interval(ranked: Floats, scores: Floats, generator: np.random.Generator) -> Interval:
    """Returns the area with a 95 % interval by the bootstrap."""
    drawn = (generator.integers(0, len(scores), len(scores)) for _ in range(_RESAMPLES))
    low, high = np.nanquantile([auc(ranked[rows], scores[rows]) for rows in drawn], (0.025, 0.975))
    return Interval(auc(ranked, scores), float(low), float(high))


def _signs(graded: Graded) -> Signs | None:
    asked = Conversation(turns=(Turn("user", (Text(graded.question),)),))
    return read_signs(asked, Reply("", "", (Choice((), "stop", logprobs=graded.logprobs),), Usage()))
