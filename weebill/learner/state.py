"""The knowledge of one pair of models: its newest decisions, their audits, and what follows from these."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from weebill.auto.cascade.signs import Signs, unpacked
from weebill.auto.curve import tradeoff
from weebill.auto.drift import Watch
from weebill.auto.evidence import FEWEST, LARGE_ALONE, Audits, Choice, choose, quality, recency
from weebill.auto.intervals import Interval
from weebill.auto.learning import Decided, Lesson, Pair
from weebill.auto.standing import Standing
from weebill.auto.tradeoff import Tradeoff
from weebill.auto.trust import Expectations, fitted, gains, packaged
from weebill.config.auto import AutoSettings
from weebill.learner.belief import Belief
from weebill.learner.costs import costs
from weebill.storage.outcomes import MAX_DECISIONS, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FOLDS: Final = 5
# Gains of the newest requests, for targets that are shares of requests.
_RANKED: Final = 2000
_FEWEST_RANKED: Final = 100
_QUANTILES: Final = 65
# Audits of a curve: older ones would weigh nothing.
_DRAWN: Final = 2000
# After a change, what was learnt before counts as if so many outcomes had come since: a quarter.
_FORGOTTEN: Final = 7000

log = logging.getLogger(__name__)


class Knowledge:
    """The knowledge that `auto` has of `pair`, about which it has ever made `total` decisions."""

    def __init__(
        self,
        auto: str,
        pair: Pair,
        total: int,
        decisions: Iterable[Decided],
        outcomes: Sequence[Outcome],
        believe: Callable[[], Belief],
    ) -> None:
        """`outcomes` may be of others, too; `believe` returns the belief without any of them."""
        self.auto = auto
        self.pair = pair
        self._total = total
        self._decided = {each.request_id: each for each in decisions}
        self._audits: dict[str, Outcome] = {}
        self._ratings: dict[str, float] = {}
        self._belief = believe()
        self._watch = Watch()
        self._changed_at = 0  # the number of decisions before the last change that was noticed
        self._choice: Choice = LARGE_ALONE
        self._known = False
        self._verifier = packaged()
        self._gains: tuple[float, ...] = ()
        alarms = [at for at, each in enumerate(self._decided.values(), 1) if self._alarms(each)]
        # An outcome was heard of after the changes that are before its decision; one without, before all of them.
        number = {request_id: at for at, request_id in enumerate(self._decided, 1)}
        changes = [bisect_left(alarms, number.get(each.request_id, 0)) for each in outcomes]
        self._keep([each for each, before in zip(outcomes, changes, strict=True) if not before])
        for count, at in enumerate(alarms, 1):
            self._change(total - len(self._decided) + at)
            self._keep([each for each, before in zip(outcomes, changes, strict=True) if before == count])

    @property
    def judged(self) -> int:
        """The number of audits that were judged."""
        return sum(1 for _ in self._judged())

    @property
    def _since_change(self) -> int:
        """The number of decisions since the last change that was noticed, or ever."""
        return self._total - self._changed_at

    def add(self, decisions: Iterable[Decided], outcomes: Sequence[Outcome]) -> None:
        """Takes in what is new; another rating of the same answer replaces the first."""
        for each in decisions:
            if each.request_id not in self._decided:
                self._decided[each.request_id] = each
                self._total += 1
                if self._alarms(each):
                    self._change(self._total)
        self._keep(outcomes)
        for stale in list(islice(self._decided, max(0, len(self._decided) - MAX_DECISIONS))):
            del self._decided[stale]
            self._audits.pop(stale, None)
            self._ratings.pop(stale, None)

    def _alarms(self, decided: Decided) -> bool:
        """Watches the small tier's answers; True if they have changed."""
        signs = unpacked(decided.signs)
        return signs is not None and self._watch.add(signs, decided.key_id)

    def _change(self, number: int) -> None:
        """Begins anew after the decision `number`: the large tier answers, and all is audited, until there are enough
        audits again; what was learnt before counts little.
        """
        self._changed_at = number
        self._belief.age(_FORGOTTEN)
        self._choice, self._known = LARGE_ALONE, False
        log.warning("the small model's answers have changed: `auto` learns anew what they are worth")

    def refit(self, settings: AutoSettings) -> None:
        """Works out the threshold and the quantiles of gains anew."""
        name, target = settings.target.chosen
        judged = self._fresh()
        self._known = len(judged) >= FEWEST
        audits, expected = _audits(judged), self._cross_fitted(judged)
        signs = _signs(judged, settings)
        self._verifier = fitted(packaged(), expected.small, signs, audits.small)
        if name == "quality":
            self._choice = choose(gains(expected, signs, self._verifier), audits, recency(self._ages(judged)), target)
        newest = list(self._decided.values())[-_RANKED:]
        if len(newest) >= _FEWEST_RANKED:
            expected = self._belief.expect([each.features for each in newest])
            before = expected.large - np.array([self._verifier.before(each) for each in expected.small.tolist()])
            before += expected.doubt if name == "quality" else 0.0
            self._gains = tuple(np.quantile(before, np.linspace(0, 1, _QUANTILES)).tolist())

    def lesson(self, settings: AutoSettings, source: str, version: int, *, funded: bool) -> Lesson:
        """Returns what the workers have to know; `funded` is False while the budget for audits is spent."""
        standing = self.standing(settings)
        return Lesson(
            source=source,
            version=version,
            auto=self.auto,
            pair=self.pair,
            decisions=self._since_change,
            made=int((self._ages(self._audits.values()) < self._since_change).sum()),
            funded=funded,
            posterior=self._belief.encoded(),
            doubt=self._belief.doubt(),
            verifier=self._verifier,
            threshold=float(self._choice.threshold) if self._known else None,
            gains=self._gains,
            audits=standing.audits,
            quality=standing.quality,
            spend=standing.spend,
        )

    def standing(self, settings: AutoSettings) -> Standing:
        """Returns the standing over the decisions that are kept."""
        name, target = settings.target.chosen
        decided = list(self._decided.values())
        priced = [(each.spent_nano, each.large_nano) for each in decided if each.spent_nano is not None]
        alone = sum(large for _, large in priced if large is not None)
        spent = sum(nano for nano, large in priced if large is not None)
        auditing = sum(each.spent_nano or 0 for each in self._audits.values())
        judged = list(self._judged())
        return Standing(
            auto=self.auto,
            pair=self.pair,
            target=f"{name} = {target:g}",
            decisions=self._total,
            newest=len(decided),
            audits=len(judged),
            unjudged=len(self._audits) - len(judged),
            fewest=FEWEST,
            quality=self._quality(judged),
            large_share=sum(each.tier == "large" for each in decided) / max(1, len(decided)),
            spend=(spent + auditing) / alone if alone else None,
            audits_spend=auditing / alone if alone else None,
            ratings=len(self._ratings),
            mean_rating=sum(self._ratings.values()) / len(self._ratings) if self._ratings else None,
            threshold=float(self._choice.threshold) if np.isfinite(self._choice.threshold) else None,
            since_change=self._since_change if self._changed_at else None,
        )

    def tradeoff(self, settings: AutoSettings) -> Tradeoff:
        """Returns the curve over all thresholds, by the newest audits."""
        judged = self._fresh()[-_DRAWN:]
        weights, prices = recency(self._ages(judged)), costs(judged, self._decided)
        threshold = float(self._choice.threshold)
        audits, expected = _audits(judged), gains(self._cross_fitted(judged), _signs(judged, settings), self._verifier)
        return tradeoff(self.standing(settings), settings.target, expected, audits, weights, prices, threshold)

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        self._belief.learn(outcomes)
        for each in outcomes:
            if each.request_id in self._decided:
                if each.source == "audit":
                    self._audits[each.request_id] = each
                elif each.source == "feedback":
                    self._ratings[each.request_id] = _known(each.small, each.mid, each.large)

    def _judged(self) -> Iterator[Outcome]:
        for each in self._audits.values():
            if each.tier == "mid" and each.mid is None:
                continue
            if each.small is not None and each.large is not None and each.probability:
                yield each

    def _fresh(self) -> list[Outcome]:
        """Returns the judged audits since the last change."""
        judged = list(self._judged())
        return [each for each, age in zip(judged, self._ages(judged), strict=True) if age < self._since_change]

    def _quality(self, judged: Sequence[Outcome]) -> Interval | None:
        """Audits that could not be judged are taken for the same as the others."""
        drawn = sum(1 / each.probability for each in self._decided.values() if each.audited and each.probability)
        known = sum(1 / each.probability for each in judged if each.probability)
        if not drawn:
            return None
        open_to_audits = sum(1 for each in self._decided.values() if each.probability)
        all_large = all(each.tier == "large" for each in self._decided.values())
        found = quality(_answers(judged), open_to_audits, judged=min(1.0, known / drawn), all_large=all_large)
        return None if found is None else Interval(*(min(1.0, max(0.0, each)) for each in found))

    def _ages(self, audits: Collection[Outcome]) -> Floats:
        """Returns the number of requests that came after each audit."""
        ages = {request_id: float(age) for age, request_id in enumerate(reversed(self._decided))}
        return np.array([ages[each.request_id] for each in audits])

    def _cross_fitted(self, judged: Sequence[Outcome]) -> Expectations:
        """Returns what is expected of the requests of N audits, as if these had not been made."""
        fold = np.array([crc32(each.request_id.encode()) % _FOLDS for each in judged])
        expected = np.zeros((len(Expectations._fields), len(judged)))
        for number in range(_FOLDS):
            [members] = np.nonzero(fold == number)
            if len(members):
                held_out = [judged[int(at)] for at in members]
                expected[:, members] = self._belief.expect_without(held_out)
        return Expectations(*expected)


def _audits(judged: Sequence[Outcome]) -> Audits:
    """Returns the audits as those of two tiers: the small model was asked wherever the middle one was."""
    return Audits(
        np.array([_known(each.small) for each in judged]),
        np.array([_known(each.large) for each in judged]),
        np.array([each.tier == "small" for each in judged], bool),
        np.array([each.probability or 1.0 for each in judged]),
    )


def _answers(judged: Sequence[Outcome]) -> Audits:
    """Returns the audits with the scores of what clients got of a smaller tier, be it the middle one."""
    scores = [each.mid if each.tier == "mid" else each.small for each in judged]
    return _audits(judged)._replace(
        small=np.array([_known(each) for each in scores]),
        kept_small=np.array([each.tier != "large" for each in judged], bool),
    )


def _signs(judged: Sequence[Outcome], settings: AutoSettings) -> list[Signs | None]:
    """Returns the signs by which the verifier judges; None where it does not look, whatever it saw before."""
    verifies = "verifier" in settings.cascade.checks
    return [unpacked(each.signs) if verifies else None for each in judged]


def _known(*scores: float | None) -> float:
    return next((each for each in scores if each is not None), 0.0)
