"""One virtual model in a worker, `auto` or a named one: its tiers, as the router knows them, and its decisions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from weebill.apis.base import Api
from weebill.apis.completions import COMPLETIONS
from weebill.auto.auto import Auto, AutoUnavailableError, load_auto
from weebill.auto.decision import Decision
from weebill.auto.learning import Lesson, Pair
from weebill.auto.profiles import Profile, find
from weebill.auto.rules import Subject
from weebill.auto.texts import texts
from weebill.auto.threshold import Threshold
from weebill.catalog.pricing import cost_nano as list_nano
from weebill.catalog.pricing import weighed
from weebill.config.auto import AutoSettings, Tier
from weebill.config.routing import Preferences
from weebill.gateway.audits import Audit, Audits, can_audit
from weebill.gateway.selected import Selected
from weebill.providers.registry import relay
from weebill.routing.deployments import Deployment
from weebill.routing.requirements import Requirements
from weebill.routing.router import Router, RouteRequest
from weebill.wire.errors import ApiError
from weebill.wire.reply import Usage

_STAYS: Final = (Preferences(local_only=True),)

log = logging.getLogger(__name__)


class ServedAuto:
    """The virtual model `name`. Without `audits`, nothing is learnt."""

    def __init__(
        self, name: str, settings: AutoSettings, router: Router, learned: Path | None, audits: Audits | None
    ) -> None:
        """`learned` is the router that this installation trained, None for the packaged one."""
        self.name = name
        self.models: Mapping[Tier, str] = settings.tiers
        self._settings = settings
        self._router = router
        self._audits = audits
        self._pair: Pair | None = None
        self._auto: Auto | None = None
        self._problem = ""
        try:
            self._auto = load_auto(settings, self._cost_ratio(), learned, self._lesson)
        except AutoUnavailableError as error:
            self._problem = str(error)
            log.error("`%s` cannot be served: %s", name, self._problem, extra={"cause": repr(error.__cause__)})

    @property
    def threshold(self) -> Threshold | None:
        """The threshold of a target for share or spend; None if there is no such target."""
        return None if self._auto is None else self._auto.threshold

    def follow_models(self, profiles: Sequence[Profile]) -> None:
        """Takes over which models are behind the names of the tiers; `profiles` were measured here."""
        pair = self._found_pair()
        if self._auto is not None and (pair != self._pair or self._auto.profile is None):
            self._auto.profile = None if pair is None else find(pair.small, "small" in self._local(), profiles)
        self._pair = pair

    def decide(self, asked: RouteRequest, needs: Requirements, api: Api) -> Decision:
        """Decides on the tier. Raises ApiError: 400 as routing does, 503 if it cannot be served."""
        if self._auto is None:
            raise ApiError(503, f"`{self.name}` cannot be served: {self._problem}.", code="auto_unavailable")
        subject = Subject(needs.read, api.name, asked.key_id, asked.key_name)
        refused = needs.asked
        if not isinstance(refused, ApiError):
            return self._auto.decide(subject, self._local(), self._local_only(asked))
        # The request cannot be translated, so only tiers that speak the client's API can take it.
        able = self._having(partial(_passes, api.native))
        if not able:
            raise refused
        # No rule can find private text in what cannot be read.
        stays = self._local_only(asked) or (bool(self._settings.private) and not any(texts(needs.read)))
        decision = self._auto.decide(subject, self._local(), stays, able)
        return decision._replace(larger=None)  # an answer that cannot be read cannot be checked

    def decided(self, selected: Selected, decision: Decision, model: str = "") -> Selected:
        """Applies the decision; a request that must stay on this machine is in no experiment, and the tier of an arm is
        taken as it is.
        """
        falls = self._settings.on_large_down == "small" and not selected.arm
        smaller = decision.smaller if falls else None
        return selected._replace(
            model=model or self.models[decision.tier],
            decision=decision,
            auto=self.name,
            preferences=(*selected.preferences, *(_STAYS if decision.stays else ())),
            larger="" if decision.larger is None else self.models[decision.larger],
            smaller="" if smaller is None else self.models[smaller],
            checks=None if self._auto is None or decision.larger is None else self._auto.checks or None,
            shadow=None if decision.stays else selected.shadow,
        )

    def audit(self, decision: Decision, asked: RouteRequest, api: Api) -> Audit | None:
        """Draws the request for an audit; None if nothing is to be learnt from it."""
        if self._audits is None or self._auto is None or self._pair is None:
            return None
        if not decision.features:
            return None
        tiers: set[Tier] = {"small", decision.tier, "large"}
        # A private request never leaves this machine, nor does an audit of it.
        allowed = not decision.stays or tiers - {decision.tier} <= self._local()
        readable = not isinstance(asked.needs.asked, ApiError) and can_audit(api.native, asked.call)
        models = {tier: model for tier, model in self.models.items() if tier in tiers}
        audit = Audit(self.name, self._settings, self._auto.checks, self._pair, models)
        return self._audits.draw(audit, possible=allowed and readable)

    def observe(self, decision: Decision, answered: Tier, cost_nano: int | None, usage: Usage) -> int | None:
        """Reports the outcome of a decision; returns the cost of the large tier alone, if it is known."""
        if self._auto is None:
            return None
        price = self._first("large").capabilities.price
        large_nano = None if price is None else list_nano(price, usage)
        self._auto.observe(decision, answered, cost_nano, large_nano)
        return large_nano

    def _lesson(self) -> Lesson | None:
        return None if self._audits is None else self._audits.lesson(self.name, self._pair)

    def _local(self) -> frozenset[Tier]:
        """Returns the tiers that this machine serves."""
        return self._having(_is_local)

    def _having(self, sign: Callable[[Deployment], bool]) -> frozenset[Tier]:
        """Returns the tiers that any deployment with the property serves."""
        route = self._router.directory.route
        return frozenset(
            tier for tier, name in self.models.items() if any(sign(each.deployment) for each in route(name).candidates)
        )

    def _local_only(self, asked: RouteRequest) -> bool:
        """True if the request, its key or a rule wants it to stay on this machine."""
        return self._router.resolve_preferences(self._router.directory.route(self.models["small"]), asked).local_only

    def _found_pair(self) -> Pair | None:
        """Returns the models behind the names of the tiers."""
        if self._auto is None:
            return None
        try:
            return Pair(self._first("small").key, self._first("large").key, self._auto.features)
        except ApiError:
            return None

    def _first(self, tier: Tier) -> Deployment:
        return self._router.directory.route(self.models[tier]).first

    def _cost_ratio(self) -> float | None:
        """Returns the small tier's price divided by the large tier's; None if either is unknown."""
        try:
            small, large = (self._first(tier).capabilities.price for tier in ("small", "large"))
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
