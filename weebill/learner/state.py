"""The knowledge of one pair of models: its newest decisions, their audits, and what follows from these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from weebill.auto.evidence import FEWEST, LARGE_ALONE, Audits, Choice, choose, quality, recency
from weebill.auto.intervals import Interval
from weebill.auto.learning import Decided, Lesson, Pair
from weebill.auto.standing import Standing
from weebill.config.auto import AutoSettings
from weebill.learner.belief import Belief
from weebill.storage.outcomes import MAX_DECISIONS, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FOLDS: Final = 5
_DAY_S: Final = 86_400
_NANO: Final = 1e9
# Gains of the newest requests, for targets that are shares of requests.
_RANKED: Final = 2000
_FEWEST_RANKED: Final = 100
_QUANTILES: Final = 65


class Knowledge:
    """The knowledge of `pair`, of which `total` decisions were ever made."""

    def __init__(
        self,
        pair: Pair,
        total: int,
        decisions: Iterable[Decided],
        outcomes: Sequence[Outcome],
        believe: Callable[[], Belief],
    ) -> None:
        """`believe` returns the belief without any outcome."""
        self.pair = pair
        self._total = total
        self._decided = {each.request_id: each for each in decisions}
        self._audits: dict[str, Outcome] = {}
        self._ratings: dict[str, float] = {}
        self._belief = believe()
        self._choice: Choice = LARGE_ALONE
        self._gains: tuple[float, ...] = ()
        self._keep(outcomes)

    @property
    def judged(self) -> int:
        """The number of audits that were judged."""
        return sum(1 for _ in self._judged())

    def add(self, decisions: Iterable[Decided], outcomes: Sequence[Outcome], withdrawn: Sequence[Outcome] = ()) -> None:
        """Takes in what is new, and takes out what it replaces."""
        for old in withdrawn:
            self._belief.forget(old)
        for each in decisions:
            if each.request_id not in self._decided:
                self._decided[each.request_id] = each
                self._total += 1
        self._keep(outcomes)
        for stale in list(islice(self._decided, max(0, len(self._decided) - MAX_DECISIONS))):
            del self._decided[stale]
            self._audits.pop(stale, None)
            self._ratings.pop(stale, None)

    def refit(self, settings: AutoSettings) -> None:
        """Works out the threshold and the quantiles of gains anew."""
        name, target = settings.target.chosen
        judged = list(self._judged())
        if name == "quality":
            weights = recency(self._ages(judged))
            self._choice = choose(self._cross_fitted(judged), _audits(judged), weights, target)
        newest = list(self._decided.values())[-_RANKED:]
        if len(newest) >= _FEWEST_RANKED:
            rows = [each.features for each in newest]
            gains = self._belief.doubted_gains(rows) if name == "quality" else self._belief.gains(rows)
            self._gains = tuple(np.quantile(gains, np.linspace(0, 1, _QUANTILES)).tolist())

    def lesson(self, settings: AutoSettings, source: str, version: int, now: float) -> Lesson:
        """Returns what the workers have to know."""
        standing = self.standing(settings)
        known = len(self._gains) > 0 and self.judged >= FEWEST
        spent = sum(each.spent_nano or 0 for each in self._audits.values() if each.at >= now - _DAY_S)
        return Lesson(
            source=source,
            version=version,
            pair=self.pair,
            decisions=self._total,
            made=len(self._audits),
            funded=spent < settings.audits.budget_usd * _NANO,
            posterior=self._belief.encoded(),
            doubt=self._belief.doubt(),
            threshold=float(self._choice.threshold) if known else None,
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
        )

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        self._belief.learn(outcomes)
        for each in outcomes:
            if each.request_id in self._decided:
                if each.source == "audit":
                    self._audits[each.request_id] = each
                elif each.source == "feedback":
                    self._ratings[each.request_id] = _known(each.small, each.large)

    def _judged(self) -> Iterator[Outcome]:
        for each in self._audits.values():
            if each.small is not None and each.large is not None and each.probability:
                yield each

    def _quality(self, judged: Sequence[Outcome]) -> Interval | None:
        """Audits that could not be judged are taken for the same as the others."""
        drawn = sum(1 / each.probability for each in self._decided.values() if each.audited and each.probability)
        known = sum(1 / each.probability for each in judged if each.probability)
        if not drawn:
            return None
        open_to_audits = sum(1 for each in self._decided.values() if each.probability)
        all_large = all(each.tier == "large" for each in self._decided.values())
        requests = max(len(judged), round(open_to_audits * known / drawn))
        found = quality(_audits(judged), requests, all_large=all_large)
        return None if found is None else Interval(*(min(1.0, max(0.0, each)) for each in found))

    def _ages(self, judged: Sequence[Outcome]) -> Floats:
        """Returns the number of requests that came after each audit."""
        ages = {request_id: float(age) for age, request_id in enumerate(reversed(self._decided))}
        return np.array([ages[each.request_id] for each in judged])

    def _cross_fitted(self, judged: Sequence[Outcome]) -> Floats:
        """Returns the doubted gain of each audit, as expected without it."""
        fold = np.array([crc32(each.request_id.encode()) % _FOLDS for each in judged])
        gains = np.zeros(len(judged))
        for number in range(_FOLDS):
            [members] = np.nonzero(fold == number)
            if len(members):
                held_out = [judged[int(at)] for at in members]
                gains[members] = self._belief.doubted_gains_without(held_out)
        return gains


def _audits(judged: Sequence[Outcome]) -> Audits:
    return Audits(
        np.array([_known(each.small) for each in judged]),
        np.array([_known(each.large) for each in judged]),
        np.array([each.tier == "small" for each in judged], bool),
        np.array([each.probability or 1.0 for each in judged]),
    )


def _known(*scores: float | None) -> float:
    return next((each for each in scores if each is not None), 0.0)
