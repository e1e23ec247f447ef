"""The course of one virtual model: what is known of its present pair, and the newest lesson that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from weebill.auto.evidence import FEWEST
from weebill.auto.learning import Decided, Pair
from weebill.config.auto import AutoSettings
from weebill.learner.belief import Belief
from weebill.learner.spending import NANO, Spending
from weebill.learner.state import Knowledge
from weebill.process.questions import encode
from weebill.storage.outcomes import Outcome, OutcomeStore

# Working out a threshold takes some milliseconds for each hundred audits.
_REFIT_S: Final = 1.0
_REFIT_AUDITS: Final = 25
_REFIT_DECISIONS: Final = 200


class Course:
    """The course of `auto`, as far as the store knows it. Raises OutcomeError."""

    def __init__(self, auto: str, store: OutcomeStore, believe: Callable[[Pair], Belief]) -> None:
        self.auto = auto
        self.version = 0
        self.lesson = b""
        self.knowledge: Knowledge | None = None
        self._store = store
        self._believe = believe
        self._spending = Spending(store.spent(auto))
        self._changed = False
        self._fitted_at = 0.0
        self._fitted: tuple[int, int, AutoSettings | None] = (0, 0, None)
        self._decisions = 0
        pair = store.newest_pair(auto)
        if pair is not None:
            self._turn_to(pair)

    def add(self, pair: Pair, decided: Sequence[Decided], outcomes: Sequence[Outcome]) -> None:
        """Takes in what was just kept about a pair: decisions of this virtual model, and outcomes of any.

        An outcome of another one is believed here as well, as the models are the same; its audits do not count.
        """
        for each in outcomes:
            if each.auto == self.auto:
                self._spending.add(each.at, each.spent_nano or 0)
        if self.knowledge is not None and self.knowledge.pair == pair:
            self.knowledge.add(decided, outcomes)
        elif decided:  # not for late audits of models that are no longer asked
            self._turn_to(pair)  # what was just kept is read with the rest
        else:
            return
        self._decisions += len(decided)
        self._changed = True

    def refresh(self, settings: AutoSettings, source: str, version: int, now: float) -> bool:
        """Makes a lesson of that version if enough has happened; returns True if it did."""
        knowledge = self.knowledge
        # A clock that was set back must not hold it up.
        if knowledge is None or self._fitted_at <= now < self._fitted_at + _REFIT_S:
            return False
        audits, decisions, fitted_for = self._fitted
        due = knowledge.judged >= audits + _REFIT_AUDITS or self._decisions >= decisions + _REFIT_DECISIONS
        due = due or audits < FEWEST <= knowledge.judged
        if due or settings != fitted_for:
            knowledge.refit(settings)
            self._fitted = (knowledge.judged, self._decisions, settings)
        elif not self._changed:
            return False
        self._changed = False
        self._fitted_at = now
        self.version = version
        funded = self._spending.within_a_day(now) < settings.audits.budget_usd * NANO
        self.lesson = encode(knowledge.lesson(settings, source, version, funded=funded))
        return True

    def _turn_to(self, pair: Pair) -> None:
        """Recalls all that is known of a pair."""
        self.knowledge = Knowledge(
            self.auto,
            pair,
            self._store.count(self.auto, pair),
            self._store.decisions(self.auto, pair),
            self._store.outcomes(pair),
            lambda: self._believe(pair),
        )
        self._fitted = (-_REFIT_AUDITS, -_REFIT_DECISIONS, None)
        self._changed = True
