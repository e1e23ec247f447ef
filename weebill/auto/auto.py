"""`auto` in a worker: its rules, its estimator, its checks, and a threshold that follows the traffic.

1. Rules: private requests stay on this machine, high stakes go to the largest tier that they may.
2. Ability: a request that the small tier is known to fail at (`weebill.auto.profiles`), or that touches health, law,
   lost money or safety, goes to the largest tier, too.
3. The gain of the large tier is estimated from the text: for `share` and `spend`, by the packaged estimator as long as
   nothing was learnt.
4. A gain of at least the threshold goes to the large tier; the decision says which tier answers a failed check.
   `quality` is held to audited truth: gain and threshold are the learner's, and until they are known, the large tier
   answers.
5. The small tier's answer must deserve the `Trust` that comes with the decision (`weebill.auto.trust`).
6. The outcome moves the threshold of `share` and `spend`, so that they are kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Mapping
from math import inf
from pathlib import Path
from typing import Protocol

from weebill.auto.cascade.checks import Checks
from weebill.auto.cascade.function import UnusableFunctionError, load_function
from weebill.auto.decision import ADVICE, Decision, Gain, TierChances, by_ability, by_gain, by_rule
from weebill.auto.learning import Lesson, mid_threshold
from weebill.auto.profiles import Profile, chance_of
from weebill.auto.rules import Rules, Subject
from weebill.auto.texts import question
from weebill.auto.threshold import Observed, Threshold
from weebill.auto.traits import Traits, traits
from weebill.auto.trust import Expected, Trust, Verifier, packaged
from weebill.config.auto import AutoSettings, Tier
from weebill.wire.conversation import Conversation

_LOCAL_ONLY = "local_only"
_NOT_KNOWN = "quality not yet known"
_LARGE_ALONE = "no other keeps the quality"

NewestLesson = Callable[[], Lesson | None]
"""Returns the newest lesson for the present pair of models, None if there is none."""


class Estimator(Protocol):
    """Estimates the chances of each tier to answer a text well; implemented by
    `weebill.auto.estimator.estimator.Estimator`.
    """

    def estimate(self, text: str) -> TierChances: ...


class Learner(Protocol):
    """Describes requests for the learner, and applies what it found; implemented by `weebill.auto.learnt.Learnt`."""

    name: str
    """The name of the features."""

    def describe(self, asked: Conversation) -> bytes:
        """Returns the features of a request."""

    def expect(self, features: bytes, lesson: Lesson) -> Expected:
        """Returns what the lesson expects of a request."""


def no_lesson() -> None:
    """Returns no lesson, for an `auto` without a learner."""


class AutoUnavailableError(Exception):
    """`auto` cannot be served as configured; the message is for everybody, its cause for the operator."""


class Auto:
    """Decides on the tier of requests. Belongs to one thread."""

    def __init__(
        self,
        settings: AutoSettings,
        estimator: Estimator,
        checks: Checks,
        threshold: Threshold | None,
        learner: Learner,
        lesson: NewestLesson = no_lesson,
    ) -> None:
        """`threshold` is for the targets `share` and `spend`."""
        self.models: Mapping[Tier, str] = settings.tiers
        self.checks = checks
        self.profile: Profile | None = None
        """The profile of the smallest tier's model; without one, nothing is known of what it can do."""
        self._settings = settings
        self._tiers = tuple(self.models)
        self._estimator = estimator
        self.threshold = threshold
        self._learner = learner
        self._lesson = lesson
        self._private = Rules("private", settings.private)
        self._high_stakes = Rules("high_stakes", settings.high_stakes)

    @property
    def features(self) -> str:
        """The name of the features by which requests are described."""
        return self._learner.name

    def decide(
        self, subject: Subject, local: frozenset[Tier], local_only: bool, able: Container[Tier] | None = None
    ) -> Decision:
        """Returns the tier for a request. `local` are the tiers on this machine; `local_only` requests must stay there.

        `able` are the tiers that can take the request, at least one; None for all of them.
        """
        tiers = self._tiers if able is None else tuple([tier for tier in self._tiers if tier in able])
        private = self._private.match(subject) or (_LOCAL_ONLY if local_only else "")
        decision = by_rule(tiers, local, private, self._high_stakes.match(subject))
        if decision is not None:
            return decision
        decision = by_ability(tiers, local, private, self._cannot(subject.conversation))
        if decision is not None:
            return decision
        features = self._learner.describe(subject.conversation)
        lesson, chances = self._lesson(), None
        if self.threshold is None:
            gain, trust = self._of_quality(features, lesson)
        else:
            chances = self._estimator.estimate(question(subject.conversation))
            gain, trust = self._of_rank(self.threshold.value, chances, features, lesson)
        decision = by_gain(tiers, local, private, gain)
        trusted = trust if decision.tier == self._tiers[0] and decision.larger is not None else None
        return decision._replace(chances=chances, features=features, trust=trusted)

    def _cannot(self, asked: Conversation) -> str:
        """Returns the reason why the smallest tier must not answer, "" if it may."""
        if not self._settings.abilities or self.profile is None:
            return ""
        found: Traits = traits(asked)
        return ADVICE if found.advice else chance_of(self.profile, found).cannot

    def _of_quality(self, features: bytes, lesson: Lesson | None) -> tuple[Gain, Trust | None]:
        """Returns the gain that was learnt with the threshold that keeps the quality, and the trust that follows."""
        if lesson is None or lesson.threshold is None:
            return Gain(0.0, -inf, -inf, _NOT_KNOWN), None
        if lesson.threshold == -inf:
            return Gain(0.0, -inf, -inf, _LARGE_ALONE), None
        verifier = self._verifier(lesson)
        small, large, doubt = self._learner.expect(features, lesson)
        gain = large + doubt - verifier.before(small)
        trust = Trust(small, large + doubt - lesson.threshold, verifier)
        return Gain(gain, lesson.threshold, mid_threshold(lesson)), trust

    def _of_rank(
        self, threshold: float, chances: TierChances, features: bytes, lesson: Lesson | None
    ) -> tuple[Gain, Trust]:
        """Returns the rank of the gain, and the trust: by what was learnt, or by the packaged estimate before."""
        least = self._settings.cascade.least_chance
        if lesson is None or not lesson.posterior:
            return Gain.of_rank(chances.gain, threshold), Trust(chances.compact, least, packaged())
        verifier = self._verifier(lesson)
        small, large, _ = self._learner.expect(features, lesson)
        trust = Trust(small, least, verifier)
        if not lesson.gains:  # too few requests to rank this one among
            return Gain.of_rank(chances.gain, threshold), trust
        rank = bisect_right(lesson.gains, large - verifier.before(small)) / len(lesson.gains)
        return Gain.of_rank(rank, threshold), trust

    def _verifier(self, lesson: Lesson) -> Verifier:
        """Returns the lesson's verifier; the packaged one, which reaches for nothing, if no answer will be judged."""
        return (lesson.verifier if self.checks.verifies else None) or packaged()

    def observe(self, decision: Decision, answered: Tier, cost_nano: int | None, large_cost_nano: int | None) -> None:
        """Reports the outcome of a decision; `answered` is the tier whose answer the client got."""
        if decision.chances is not None and self.threshold is not None:
            self.threshold.observe(Observed(answered == self._tiers[-1], cost_nano, large_cost_nano))


def load_auto(
    settings: AutoSettings, cost_ratio: float | None, learned: Path | None = None, lesson: NewestLesson = no_lesson
) -> Auto:
    """Returns `auto` with the estimator in `learned`, or the packaged one. Takes about a tenth of a second.

    `cost_ratio` is the small tier's price divided by the large tier's, None if unknown. Raises AutoUnavailableError.
    """
    if settings.target.spend is not None and cost_ratio is None:
        message = f"`auto.target.spend` needs the price of `{settings.large}`, which neither catalogue nor overlay has"
        raise AutoUnavailableError(message)
    try:
        from weebill.auto.estimator.artefact import ArtefactError
        from weebill.auto.estimator.estimator import Estimator
        from weebill.auto.learnt import Learnt
    except ImportError as error:
        raise AutoUnavailableError("`auto` needs NumPy: `pip install numpy`") from error
    try:
        function = load_function(settings.cascade.function) if "function" in settings.cascade.checks else None
        router = Estimator.load(learned)
        learner = Learnt.load(router.embedder())
    except UnusableFunctionError as error:
        raise AutoUnavailableError(f"`auto.cascade.function`: {error}") from error.__cause__
    except (OSError, ArtefactError) as error:
        raise AutoUnavailableError("the learned router cannot be loaded") from error
    name, value = settings.target.chosen
    threshold = None if name == "quality" else Threshold(name, value, cost_ratio or 0.0)
    return Auto(settings, router, Checks(settings.cascade, function), threshold, learner, lesson)
