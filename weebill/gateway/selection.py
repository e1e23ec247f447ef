"""Selects the model for names that configuration alone does not decide: `auto` and its like, and models in an
experiment.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from weebill.apis.base import Api
from weebill.auto.experiments import Experiments
from weebill.auto.profiles import Profile, ProfileError, read_own
from weebill.auto.threshold import Threshold
from weebill.config.auto import AutoSettings, Tier
from weebill.config.routing import Preferences
from weebill.gateway.audits import Audits
from weebill.gateway.selected import Selected
from weebill.gateway.served_auto import ServedAuto
from weebill.routing.directory import SUFFIXES
from weebill.routing.router import Router, RouteRequest
from weebill.routing.sticky import conversation_key
from weebill.wire.reply import Usage

log = logging.getLogger(__name__)


class Selector:
    """Selects models for the names in `names`; all others are as configured.

    `learned` is the path of a router that this installation trained; if there is none, the packaged one decides.
    `measured` is the folder of the profiles that it measured.
    """

    def __init__(
        self, router: Router, experiments: Experiments, learned: Path, measured: Path, audits: Audits | None = None
    ) -> None:
        """Without `audits`, nothing is learnt."""
        self._router = router
        self._audits = audits
        self._experiments = experiments
        self._learned = learned
        self._measured = measured
        self._measured_at: dict[Path, int] | None = None
        self._profiles: tuple[Profile, ...] = ()
        self._settings: Mapping[str, AutoSettings] | None = None
        self._trained_at: int | None = None
        self._autos: Mapping[str, ServedAuto] = {}
        self._suffixed: Mapping[str, str] = {}
        self.names: frozenset[str] = frozenset()
        self.refresh()

    def configure(self, settings: Mapping[str, AutoSettings]) -> None:
        """Applies the settings of each virtual model. May be called in another thread, as loading a router takes a
        moment.
        """
        trained_at = self._learned.stat().st_mtime_ns if self._learned.exists() else None
        measured_at = {file: file.stat().st_mtime_ns for file in self._measured.glob("*.json")}
        # Those that stay the same keep what their threshold has learned.
        kept = self._settings if (trained_at, measured_at) == (self._trained_at, self._measured_at) else None
        learned = None if trained_at is None else self._learned
        self._profiles = self._own_profiles()
        self._autos = {
            name: self._autos[name]
            if kept is not None and kept.get(name) == each
            else ServedAuto(name, each, self._router, learned, self._audits)
            for name, each in settings.items()
        }
        self._suffixed = {f"{name}:{suffix}": name for name in settings for suffix in SUFFIXES}
        self._settings, self._trained_at, self._measured_at = dict(settings), trained_at, measured_at

    def refresh(self) -> None:
        """Follows settings and experiments; cheap enough for several calls a second."""
        autos = self._autos
        names = {*self._experiments.running, *self._experiments.promoted, *autos, *self._suffixed}
        for each in autos.values():
            each.follow_models(self._profiles)
        if names != self.names:
            self.names = frozenset(names)

    def compares(self, name: str) -> bool:
        """True if a running experiment concerns the name, or a tier that it may lead to."""
        running = self._experiments.running
        if not running:
            return False
        auto = self._autos.get(self._suffixed.get(name, name))
        of_auto = () if auto is None else (auto.name, *auto.models.values())
        return name in running or any(each in running for each in of_auto)

    def is_auto(self, name: str) -> bool:
        """True if the name is that of a virtual model."""
        return name in self._autos

    @property
    def thresholds(self) -> Mapping[str, Threshold]:
        """The thresholds of the virtual models with a target for share or spend, by name."""
        return {name: each.threshold for name, each in self._autos.items() if each.threshold is not None}

    @property
    def promotions(self) -> tuple[str, ...]:
        """The promotions, as `model=candidate`."""
        return tuple(f"{model}={candidate}" for model, candidate in sorted(self._experiments.promoted.items()))

    def select(self, asked: RouteRequest, api: Api) -> Selected:
        """Selects the model. Raises ApiError: 400 as routing does, 503 if `auto` cannot be served."""
        if (base := self._suffixed.get(asked.call.model)) is not None:
            suffix = asked.call.model.removeprefix(base)
            chosen = self.select(asked.with_model(base), api)
            # The suffix sorts the deployments of a tier; it does not pick the tier.
            larger, smaller = (name and name + suffix for name in (chosen.larger, chosen.smaller))
            return chosen._replace(model=chosen.model + suffix, larger=larger, smaller=smaller)
        needs = asked.needs
        name = asked.call.model
        auto = self._autos.get(name)
        decision = None if auto is None else auto.decide(asked, needs, api)
        if auto is not None and decision is not None and decision.stays:
            return auto.decided(Selected(""), decision)
        conversation = conversation_key(asked.key_id, needs.opening)
        selected = self._placed(name, conversation, stays=asked.stays)
        if selected.model != name or auto is None:
            auto, decision = self._autos.get(selected.model), None
        if auto is None:
            return selected
        decision = decision or auto.decide(asked, needs, api)
        # The preferences of an alias of `auto` hold for all of its tiers.
        selected = selected._replace(preferences=selected.demands, demands=())
        if selected.arm or decision.stays:
            return auto.decided(selected, decision)
        model = auto.models[decision.tier]
        placed = self._placed(model, conversation, stays=asked.stays)
        # If the tier was promoted to `auto` itself, the tier's own model is meant.
        placed = placed._replace(preferences=selected.preferences)
        decided = auto.decided(placed, decision, model if placed.model in self._autos else placed.model)
        learns = decided.model == model and not decided.arm
        return decided._replace(audit=auto.audit(decision, asked, api)) if learns else decided

    def observe(self, selected: Selected, answered: Tier, cost_nano: int | None, usage: Usage) -> int | None:
        """Reports the outcome of a decision to `auto`; returns the cost of the large tier alone, if it is known."""
        auto = self._autos.get(selected.auto)
        if auto is None or selected.decision is None:
            return None
        return auto.observe(selected.decision, answered, cost_nano, usage)

    def _placed(self, name: str, conversation: bytes, *, stays: bool) -> Selected:
        """Applies experiments and promotions to a name; a request that stays on this machine is in no experiment."""
        model = self._experiments.promoted.get(name, name)
        experiment = None if stays else self._experiments.running.get(name)
        demands = () if experiment is None and model == name else self._demands(name)
        if experiment is None:
            return Selected(model, demands=demands)
        drawn = experiment.draws(conversation)
        if experiment.shadow:
            if not drawn:
                return Selected(model, demands=demands)
            return Selected(model, arm=experiment.arm("control"), shadow=experiment, demands=demands)
        return Selected(
            experiment.candidate if drawn else model,
            arm=experiment.arm("candidate" if drawn else "control"),
            demands=demands,
        )

    def _demands(self, name: str) -> tuple[Preferences, ...]:
        """Returns the preferences of an alias that limit where its requests go; experiments keep to them."""
        directory = self._router.directory
        # The rules of `auto` keep requests here one by one; the preferences of its alias are for when no tier is
        # chosen.
        if name in self._autos or name not in directory:
            return ()
        return tuple(
            Preferences(
                data_collection=each.data_collection, zdr=each.zdr, local_only=each.local_only, regions=each.regions
            )
            for each in directory.route(name).preferences
        )

    def _own_profiles(self) -> tuple[Profile, ...]:
        """Returns the profiles that this installation measured; those it had, if they cannot be read now."""
        try:
            return read_own(self._measured)
        except (OSError, ProfileError) as error:
            log.error("measured profiles are not taken over: %s", error)
            return self._profiles
