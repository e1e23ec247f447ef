"""Selects the model for names that configuration alone does not decide: `auto`, and models in an experiment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from weebill.apis.base import Api
from weebill.apis.completions import COMPLETIONS
from weebill.auto.auto import Auto, AutoUnavailableError, load_auto
from weebill.auto.cascade.checks import Checks
from weebill.auto.decision import Decision
from weebill.auto.experiments import Experiment, Experiments
from weebill.auto.learning import Lesson, Pair
from weebill.auto.profiles import Profile, ProfileError, find, read_own
from weebill.auto.rules import Subject
from weebill.auto.texts import texts
from weebill.auto.threshold import Threshold
from weebill.catalog.pricing import cost_nano as list_nano
from weebill.catalog.pricing import weighed
from weebill.config.auto import AUTO, AutoSettings, Tier
from weebill.config.routing import Preferences
from weebill.gateway.audits import Audit, Audits, can_audit
from weebill.providers.registry import relay
from weebill.routing.deployments import Deployment
from weebill.routing.directory import SUFFIXES
from weebill.routing.requirements import Requirements
from weebill.routing.router import Router, RouteRequest
from weebill.routing.sticky import conversation_key
from weebill.wire.errors import ApiError
from weebill.wire.reply import Usage

UNAVAILABLE: Final = "unavailable"
"""The reason for asking another tier when there was no answer."""
_STAYS: Final = (Preferences(local_only=True),)
_SUFFIXED: Final = frozenset(f"{AUTO}:{suffix}" for suffix in SUFFIXES)

log = logging.getLogger(__name__)


class Selected(NamedTuple):
    """The model that answers a request.

    `model` is the name to route by, and `demands` are the preferences of the name that it replaces. With a `decision`,
    `model` is its tier's, and an answer that fails one of `checks` is made anew by `larger`; `smaller` answers if the
    tier is down, "" if it must not. `arm` is the arm of the experiment, `shadow` the experiment whose candidate gets a
    copy. `audit` is there if `auto` learns from the request.
    """

    model: str
    preferences: tuple[Preferences, ...] = ()
    decision: Decision | None = None
    larger: str = ""
    smaller: str = ""
    checks: Checks | None = None
    arm: str = ""
    shadow: Experiment | None = None
    demands: tuple[Preferences, ...] = ()
    audit: Audit | None = None

    def note(self, failed: str = "", *, fallen: bool = False) -> str:
        """Returns the part of the route header about the selection.

        `failed` is the check that the smaller tier failed; `fallen` if a smaller tier answers as the other cannot.
        """
        note = ""
        if self.decision is not None:
            note = f";auto:{self.decision.tier}"
            if failed:
                note += f"->{self.decision.larger}(check={failed})"
            elif not fallen:
                note += f"({self.decision.why})"
            if fallen:
                note += f"->{self.decision.smaller}({UNAVAILABLE})"
        return note + (f";experiment={self.arm}" if self.arm else "")


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
        self._pair: Pair | None = None
        self._experiments = experiments
        self._learned = learned
        self._measured = measured
        self._measured_at: dict[Path, int] | None = None
        self._profiles: tuple[Profile, ...] = ()
        self._settings: AutoSettings | None = None
        self._trained_at: int | None = None
        self._auto: Auto | None = None
        self._problem = ""
        self._models: Mapping[Tier, str] = {}
        self._rules_private = False
        self._falls = False
        self.names: frozenset[str] = frozenset()
        self.refresh()

    def configure(self, settings: AutoSettings) -> None:
        """Applies settings. May be called in another thread, as loading a router takes a moment."""
        trained_at = self._learned.stat().st_mtime_ns if self._learned.exists() else None
        measured_at = {file: file.stat().st_mtime_ns for file in self._measured.glob("*.json")}
        if (settings, trained_at, measured_at) == (self._settings, self._trained_at, self._measured_at):
            return  # keeps what the threshold has learned
        models, auto, problem = settings.tiers, None, ""
        if models:
            try:
                learned = None if trained_at is None else self._learned
                auto = load_auto(settings, self._cost_ratio(models), learned, self._lesson)
            except AutoUnavailableError as error:
                problem = str(error)
                log.error("`auto` cannot be served: %s", problem, extra={"cause": repr(error.__cause__)})
        self._settings, self._trained_at, self._measured_at = settings, trained_at, measured_at
        self._profiles = self._own_profiles()
        self._models, self._auto, self._problem = models, auto, problem
        self._rules_private = bool(settings.private)
        self._falls = settings.on_large_down == "small"
        if self._audits is not None:
            self._audits.settings = settings

    def refresh(self) -> None:
        """Follows settings and experiments; cheap enough for several calls a second."""
        names = {*self._experiments.running, *self._experiments.promoted}
        if self._models:
            names |= {AUTO, *_SUFFIXED}
            self._follow_models()
        if names != self.names:
            self.names = frozenset(names)

    def compares(self, name: str) -> bool:
        """True if a running experiment concerns the name, or a tier that it may lead to."""
        running = self._experiments.running
        if not running:
            return False
        of_auto = (AUTO, *self._models.values()) if name == AUTO or name in _SUFFIXED else ()
        return name in running or any(each in running for each in of_auto)

    @property
    def checks(self) -> Checks | None:
        """The checks of the small tier's answers; None if `auto` cannot be served."""
        return None if self._auto is None else self._auto.checks

    @property
    def threshold(self) -> Threshold | None:
        """The threshold of a target for share or spend; None if there is no such target."""
        return None if self._auto is None else self._auto.threshold

    @property
    def promotions(self) -> tuple[str, ...]:
        """The promotions, as `model=candidate`."""
        return tuple(f"{model}={candidate}" for model, candidate in sorted(self._experiments.promoted.items()))

    def select(self, asked: RouteRequest, api: Api) -> Selected:
        """Selects the model. Raises ApiError: 400 as routing does, 503 if `auto` cannot be served."""
        if asked.call.model in _SUFFIXED:
            suffix = asked.call.model.removeprefix(AUTO)
            chosen = self.select(asked.with_model(AUTO), api)
            # The suffix sorts the deployments of a tier; it does not pick the tier.
            larger, smaller = (name and name + suffix for name in (chosen.larger, chosen.smaller))
            return chosen._replace(model=chosen.model + suffix, larger=larger, smaller=smaller)
        needs = asked.needs
        name = asked.call.model
        decision = self._decide(asked, needs, api) if name == AUTO and self._models else None
        if decision is not None and decision.stays:
            return self._decided(Selected(""), decision)
        conversation = conversation_key(asked.key_id, needs.opening)
        selected = self._placed(name, conversation)
        if selected.model != AUTO or not self._models:
            return selected
        decision = decision or self._decide(asked, needs, api)
        # The preferences of an alias of `auto` hold for all of its tiers.
        selected = selected._replace(preferences=selected.demands, demands=())
        if selected.arm or decision.stays:
            return self._decided(selected, decision)
        model = self._models[decision.tier]
        placed = self._placed(model, conversation)
        # If the tier was promoted to `auto` itself, the tier's own model is meant.
        placed = placed._replace(preferences=selected.preferences)
        decided = self._decided(placed, decision, model if placed.model == AUTO else placed.model)
        learns = decided.model == model and not decided.arm
        return decided._replace(audit=self._audit(decision, asked, api)) if learns else decided

    def _audit(self, decision: Decision, asked: RouteRequest, api: Api) -> Audit | None:
        """Draws the request for an audit; None if nothing is to be learnt from it."""
        if self._audits is None or self._pair is None or not decision.features or decision.tier == "mid":
            return None
        other: Tier = "large" if decision.tier == "small" else "small"
        # A private request never leaves this machine, nor does an audit of it.
        allowed = not decision.stays or other in self._local()
        readable = not isinstance(asked.needs.asked, ApiError) and can_audit(api.native, asked.call)
        models = self._models
        return self._audits.draw(self._pair, models[other], models["large"], possible=allowed and readable)

    def _lesson(self) -> Lesson | None:
        return None if self._audits is None else self._audits.lesson(self._pair)

    def _decide(self, asked: RouteRequest, needs: Requirements, api: Api) -> Decision:
        if self._auto is None:
            raise ApiError(503, f"`auto` cannot be served: {self._problem}.", code="auto_unavailable")
        subject = Subject(needs.read, api.name, asked.key_id, asked.key_name)
        refused = needs.asked
        if not isinstance(refused, ApiError):
            return self._auto.decide(subject, self._local(), self._local_only(asked))
        # The request cannot be translated, so only tiers that speak the client's API can take it.
        able = self._having(partial(_passes, api.native))
        if not able:
            raise refused
        # No rule can find private text in what cannot be read.
        stays = self._local_only(asked) or (self._rules_private and not any(texts(needs.read)))
        decision = self._auto.decide(subject, self._local(), stays, able)
        return decision._replace(larger=None)  # an answer that cannot be read cannot be checked

    def _decided(self, selected: Selected, decision: Decision, model: str = "") -> Selected:
        """Applies the decision; a request that must stay on this machine is in no experiment, and the tier of an arm is
        taken as it is.
        """
        checks = None if self._auto is None or decision.larger is None else self._auto.checks
        smaller = decision.smaller if self._falls and not selected.arm else None
        return selected._replace(
            model=model or self._models[decision.tier],
            decision=decision,
            preferences=(*selected.preferences, *(_STAYS if decision.stays else ())),
            larger="" if decision.larger is None else self._models[decision.larger],
            smaller="" if smaller is None else self._models[smaller],
            checks=checks or None,
            shadow=None if decision.stays else selected.shadow,
        )

    def observe(self, selected: Selected, answered: Tier, cost_nano: int | None, usage: Usage) -> int | None:
        """Reports the outcome of a decision to `auto`; returns the cost of the large tier alone, if it is known."""
        if self._auto is None or selected.decision is None:
            return None
        price = self._first(self._models["large"]).capabilities.price
        large_nano = None if price is None else list_nano(price, usage)
        self._auto.observe(selected.decision, answered, cost_nano, large_nano)
        return large_nano

    def _placed(self, name: str, conversation: bytes) -> Selected:
        """Applies experiments and promotions to a name."""
        model = self._experiments.promoted.get(name, name)
        experiment = self._experiments.running.get(name)
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
        if name == AUTO or name not in directory:
            return ()
        return tuple(
            Preferences(
                data_collection=each.data_collection, zdr=each.zdr, local_only=each.local_only, regions=each.regions
            )
            for each in directory.route(name).preferences
        )

    def _local(self) -> frozenset[Tier]:
        """Returns the tiers that this machine serves."""
        return self._having(_is_local)

    def _having(self, sign: Callable[[Deployment], bool]) -> frozenset[Tier]:
        """Returns the tiers that any deployment with the property serves."""
        route = self._router.directory.route
        return frozenset(
            tier for tier, name in self._models.items() if any(sign(each.deployment) for each in route(name).candidates)
        )

    def _local_only(self, asked: RouteRequest) -> bool:
        """True if the request, its key or a rule wants it to stay on this machine."""
        return self._router.resolve_preferences(self._router.directory.route(self._models["small"]), asked).local_only

    def _own_profiles(self) -> tuple[Profile, ...]:
        """Returns the profiles that this installation measured; those it had, if they cannot be read now."""
        try:
            return read_own(self._measured)
        except (OSError, ProfileError) as error:
            log.error("measured profiles are not taken over: %s", error)
            return self._profiles

    def _follow_models(self) -> None:
        """Takes over which models are behind the names of the tiers."""
        pair = self._pair_of(self._models)
        if self._auto is not None and (pair != self._pair or self._auto.profile is None):
            self._auto.profile = None if pair is None else find(pair.small, "small" in self._local(), self._profiles)
        self._pair = pair

    def _pair_of(self, models: Mapping[Tier, str]) -> Pair | None:
        """Returns the models behind the names of the tiers."""
        if self._auto is None:
            return None
        try:
            return Pair(self._first(models["small"]).key, self._first(models["large"]).key, self._auto.features)
        except ApiError:
            return None

    def _first(self, model: str) -> Deployment:
        return self._router.directory.route(model).first

    def _cost_ratio(self, models: Mapping[Tier, str]) -> float | None:
        """Returns the small tier's price divided by the large tier's; None if either is unknown."""
        try:
            small, large = (self._first(models[tier]).capabilities.price for tier in ("small", "large"))
        except ApiError:
            return None
        if small is None or large is None:
            return None
        dearest = weighed(large)
        return weighed(small) / dearest if dearest else None


def _is_local(deployment: Deployment) -> bool:
    return deployment.capabilities.local


def _passes(native: str, deployment: Deployment) -> bool:
    """True if requests of the API `native` can be relayed to the deployment unchanged."""
    if native == COMPLETIONS.native and not deployment.target.quirks.completions:
        return False
    spoken = (deployment.dialect, *(() if deployment.upstream is None else deployment.upstream.dialects))
    return any(relay(native, dialect) is not None for dialect in spoken)
