"""The messages between the workers and the learner of `auto`: reports of the workers, and lessons.

1. A worker reports each decision of `auto`, and later the scores of its audit, in a `Report`.
2. A client's rating is a `Rate`, which is answered by the `Rated` decision.
3. Workers follow `TOPIC`, and are told a `Lesson` whenever there is a new one. `auto` and each of its like
   (`[auto.NAME]`) have lessons of their own.
4. `StandingQuestion` is answered by `Standing`s (`weebill.auto.standing`), `CurveQuestion` by a `Tradeoff`
   (`weebill.auto.tradeoff`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from math import inf
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from weebill.auto.intervals import Interval
from weebill.auto.trust import Verifier
from weebill.config.auto import AUTO, Tier
from weebill.process.questions import Position

TOPIC: Final = "auto"
Source = Literal["audit", "feedback", "check"]
"""The origin of a score: both tiers were asked, a client rated the answer, or it failed a check of the cascade."""


class Pair(Struct, frozen=True):
    """The models whose answers are compared, and the name of the features by which requests are described."""

    small: str
    large: str
    features: str


NOBODY: Final = Pair("", "", "")
"""The pair of the first lesson, by which a learner only says that it is there."""


class Decided(Struct, frozen=True, kw_only=True):
    """A decision of `auto`, or of the named one that `auto` says, that no rule made, once it has been answered.

    `tier` answered; with `escalated`, it did so in place of a smaller one whose answer failed a check. `probability` is
    that with which the request was drawn for an audit (`audited`), 0.0 if it could not be. `spent_nano` was spent on
    it, and `large_nano` would have been on the large tier alone; None is an unknown price. `signs` are those that
    the verifier saw of the small tier's answer, packed.
    """

    request_id: str
    key_id: str
    at: int
    tier: Tier
    features: bytes
    escalated: bool = False
    probability: float = 0.0
    audited: bool = False
    spent_nano: int | None = None
    large_nano: int | None = None
    signs: bytes = b""
    auto: str = AUTO


class Content(Struct, frozen=True):
    """The texts of an audit, which are kept only if the settings say so."""

    question: str
    small: str
    large: str


class Audited(Struct, frozen=True, kw_only=True):
    """The scores of the tiers' answers to one request, None if they could not be judged; `by` is how the small one was.

    `mid` is there if the middle tier was asked. `signs` are those of the small one, packed.
    """

    request_id: str
    small: float | None
    large: float | None
    by: str
    spent_nano: int | None = None
    content: Content | None = None
    signs: bytes = b""
    mid: float | None = None


class Report(Struct, frozen=True, tag=True):
    """The decisions and audits of a worker since its last report; answered by None once kept. May be repeated."""

    pair: Pair
    decided: tuple[Decided, ...] = ()
    audited: tuple[Audited, ...] = ()


class Rate(Struct, frozen=True, tag=True):
    """A client's rating of the answer to one of the requests of its key; answered by `Rated`, None if there is none."""

    request_id: str
    key_id: str
    score: float
    comment: str = ""


class Rated(Struct, frozen=True):
    """The tier whose answer was rated."""

    tier: Tier


class StandingQuestion(Struct, frozen=True, tag=True):
    """Asks for the `Standing` of each virtual model that has decided anything; answered by a list."""


class CurveQuestion(Struct, frozen=True, tag=True):
    """Asks for the `Tradeoff` of `auto`; answered by None as long as it has decided nothing."""

    auto: str = AUTO


LearnerQuestion = Report | Rate | StandingQuestion | CurveQuestion


class Lesson(Struct, frozen=True, kw_only=True):
    """The knowledge of `auto` about its pair, at a version of the learner `source`.

    `decisions` were made for the pair, or since its answers changed, and of these `made` audits, judged or not.
    `funded` is False while the budget for audits is spent. `posterior` is the encoded estimate of both tiers
    (`weebill.auto.posterior`), and `doubt` that about its gains (`weebill.auto.doubt`), b"" before there is one;
    `verifier` judges the small model's answers, the packaged one if None. `threshold` is for the gains that follow
    (`weebill.auto.trust`), with the doubt, None as long as the target's truth is not known. `gains` are quantiles of
    the newest requests' gains before an answer is seen, where quality is the target, with the doubt, from the least to
    the greatest, evenly spaced; empty before there are enough. `audits`, `quality` and `spend` are as in the
    `Standing`, for metrics.
    """

    source: str
    version: int
    pair: Pair
    decisions: int
    made: int = 0
    funded: bool = True
    posterior: bytes = b""
    doubt: bytes = b""
    verifier: Verifier | None = None
    threshold: float | None = None
    gains: tuple[float, ...] = ()
    audits: int = 0
    quality: Interval | None = None
    spend: float | None = None
    auto: str = AUTO


def mid_threshold(lesson: Lesson) -> float:
    """Returns the gain from which a middle tier answers: as many of the newest requests as the large tier does."""
    gains, threshold = lesson.gains, -inf if lesson.threshold is None else lesson.threshold
    below = bisect_left(gains, threshold)
    return gains[max(0, 2 * below - len(gains))] if below < len(gains) else threshold


_decode: Final = msgspec.msgpack.Decoder(Lesson).decode


class Lessons:
    """The newest lessons, as a worker knows them by following `TOPIC`. Belongs to one loop.

    While nothing is heard of the learner, the last lessons hold.
    """

    def __init__(self) -> None:
        self._position = Position()
        self._newest: dict[str, Lesson] = {}

    @property
    def heard(self) -> bool:
        """True if a learner has told anything yet."""
        return self._position != Position()

    def position(self) -> Position:
        """Returns how far lessons are known."""
        return self._position

    def of(self, auto: str) -> Lesson | None:
        """Returns the newest lesson of `auto`."""
        return self._newest.get(auto)

    def all(self) -> Collection[Lesson]:
        """Returns the newest lesson of each."""
        return self._newest.values()

    def hear(self, news: Raw) -> None:
        """Takes over a lesson. Raises msgspec.MsgspecError."""
        lesson = _decode(news)
        if lesson.source != self._position.source:  # another learner, which may know less
            self._newest = {}
        if lesson.pair != NOBODY:
            self._newest[lesson.auto] = lesson
        self._position = Position(lesson.source, lesson.version)
