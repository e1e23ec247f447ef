"""The names of models and the deployments that serve each, computed once for each configuration.

A name is one of these:

- the catalogue's (`openai/gpt-4o-mini`): one deployment of each provider that serves that model;
- an upstream's own (`gpt-4o-mini`): the providers that call it so, then all others that serve the model;
- pinned to a provider (`acme/gpt-4o-mini`);
- an alias (`mini`) for one or several of these.

A name that is both the catalogue's and pinned is the catalogue's, but the provider that it names comes first.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from weebill.catalog.load import Catalogue, load
from weebill.catalog.schema import Model, Offer
from weebill.config.auto import AutoSettings
from weebill.config.routing import WILDCARD, AliasSettings, Policy, Preferences
from weebill.config.schema import Settings
from weebill.process.messages import EngineState
from weebill.routing.candidates import Candidate
from weebill.routing.deployments import LOCAL, Deployment, deployments
from weebill.routing.filters import Filter, limiting
from weebill.routing.model_list import card_of
from weebill.routing.patterns import Matched, Patterns
from weebill.routing.server_news import Servers
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelCard

VIRTUAL_OWNER: Final = "weebill"
_SAYS_NOTHING: Final = Preferences()
_MAX_STEPS: Final = 8  # pattern matches that lead from a name to a known one
_MAX_MATCHED: Final = 1024
_MAX_COMPARED: Final = 128
# Suffixes of a name, which sort the deployments that serve it.
SUFFIXES: Final[Mapping[str, Preferences]] = {
    "floor": Preferences(sort="price"),
    "nitro": Preferences(sort="throughput"),
    "fast": Preferences(sort="latency"),
    # Ollama's word for what has no other: its clients add it to names.
    "latest": _SAYS_NOTHING,
}
_LATEST: Final = ":latest"


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """The candidates that serve a name, in the order of the configuration; there is at least one.

    `preferences` are those of the aliases that led here, the outermost first; `policy` is None for the configured one.
    `limits` are the capability filters that may remove any of the candidates.
    """

    name: str
    candidates: tuple[Candidate, ...]
    policy: Policy | None = None
    preferences: tuple[Preferences, ...] = ()
    limits: tuple[Filter, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", limiting(each.deployment for each in self.candidates))

    @property
    def first(self) -> Deployment:
        """The deployment that comes first in the configuration."""
        return self.candidates[0].deployment


class Directory:
    """The names of one configuration. Immutable: a change of configuration, of an engine or of a server makes
    a new one.
    """

    def __init__(
        self,
        settings: Settings,
        engines: Iterable[EngineState],
        created: int,
        catalogue: Catalogue | None = None,
        servers: Servers | None = None,
    ) -> None:
        """`created` is Unix time, shown in the list of models; the packaged `catalogue` is the default. `servers` are
        the states of those that are watched.
        """
        self._routes: dict[str, ModelRoute] = {}
        self._cards: dict[str, ModelCard] = {}
        engines = tuple(engines)
        self._silent = frozenset(f"{LOCAL}/{engine.model}" for engine in engines if not engine.answers)
        listed = {} if servers is None else servers.models
        self._away = frozenset() if servers is None else frozenset(servers.away)
        found = tuple(deployments(settings, engines, catalogue or load(), listed))
        self._name(tuple(each for each, _, _ in found))
        self.deployments: Mapping[str, Deployment] = {each.key: each for each, _, _ in found}
        self.providers = frozenset(each.provider for each, _, _ in found)
        for deployment, model, offer in found:
            settled = settings.providers.get(deployment.provider)
            self._show(deployment, model, offer, created, chosen=settled is not None and bool(settled.models))
        autos = {name: _of_auto(each) for name, each in settings.autos.items()}
        short = {alias: each.model for each in engines for alias in each.aliases if alias not in self._routes}
        aliases = {**short, **settings.aliases, **autos}
        self._autos = frozenset(autos)
        self._patterns = Patterns(aliases.items())
        self._matched: dict[str, ModelRoute] = {}  # names that match a pattern, added when they are asked for
        models, self._cards = self._cards, {}
        for alias in aliases:
            if WILDCARD in alias:
                continue
            self._alias(alias, aliases, models, created)
        # Names that the user has chosen come first.
        self._cards = {**self._cards, **{name: card for name, card in models.items() if name not in self._cards}}

    def route(self, name: str, fallbacks: Sequence[str] = ()) -> ModelRoute:
        """Returns the route of `name`, continued by those of the known `fallbacks`. Raises ApiError 404 for an unknown
        name.
        """
        route = self._routes.get(name) or self._otherwise(name)
        if not fallbacks:
            return route
        others = [found for each in fallbacks if (found := self._find(each)) is not None]
        return _in_turn(name, (route, *others)) if others else route

    def __contains__(self, name: str) -> bool:
        return name in self._routes

    def serves(self, name: str) -> bool:
        """True if the name is known."""
        return self._find(name) is not None

    def keeps_route(self, name: str) -> bool:
        """True if the name has a route that is kept, so that the same one is returned each time."""
        return name in self._routes or name in self._matched

    def resolve_pattern(self, name: str) -> str:
        """Returns the name that patterns lead to, or that `:latest` follows; the name itself if there is none, or if it
        is an alias for several.
        """
        bare = name.removesuffix(_LATEST)
        if name not in self._routes and bare in self._routes:
            return bare
        seen = {name}
        while name not in self._routes:
            found = self._patterns.match(name)
            if found is None or not isinstance(found.target, str) or found.target in seen:
                break
            name = found.target
            seen.add(name)
        return name

    def pattern(self, name: str) -> Matched | None:
        """Returns the pattern that a name matches; None if the name is known by itself, or matches none."""
        return None if name in self._routes else self._patterns.match(name)

    def resolve(self, name: str) -> Deployment:
        """Returns the first deployment that serves `name`. Raises ApiError 404 for an unknown name."""
        return self.route(name).first

    def cards(self) -> tuple[ModelCard, ...]:
        """Returns the list of models: aliases first, then each model under its configured name and the catalogue's."""
        return tuple(self._cards.values())

    def card(self, name: str) -> ModelCard:
        """Returns the entry of `name`, pinned names included. Raises ApiError 404 for an unknown name."""
        deployment = self.resolve(name)
        known = self._cards.get(name) or self._cards.get(deployment.model)
        if known is not None:
            return msgspec.structs.replace(known, id=name)
        return ModelCard(name, next(iter(self._cards.values())).created, deployment.provider)

    def available(self) -> dict[str, bool]:
        """Returns, for each model, True if it can be called now."""
        return {name: self._is_available(name) for name in self._cards}

    def any_available(self) -> bool:
        """True if any model can be called now."""
        return any(self._is_available(name) for name in self._cards)

    def _is_available(self, name: str) -> bool:
        return any(self._answers(each.deployment) for each in self._routes[name].candidates)

    def _answers(self, deployment: Deployment) -> bool:
        away = deployment.provider in self._away or deployment.key in self._silent
        return deployment.upstream is not None and not away

    def _name(self, found: Sequence[Deployment]) -> None:
        """Gives the deployments all their names, except for aliases."""
        of_model: dict[str, list[Deployment]] = {}
        of_name: dict[str, list[Deployment]] = {}
        for deployment in found:
            of_name.setdefault(deployment.model, []).append(deployment)
            if deployment.capabilities.canonical:
                of_model.setdefault(deployment.capabilities.canonical, []).append(deployment)
        pinned = {deployment.key: deployment for deployment in found}
        for name, serving in of_model.items():
            self._routes[name] = ModelRoute(name, _ranked(_one_each(serving, [pinned[name]] if name in pinned else [])))
        for name, known in of_name.items():
            if name not in self._routes:
                # A different model of the same name at another provider is not meant.
                canonical = known[0].capabilities.canonical
                same = [each for each in known if each.capabilities.canonical in ("", canonical)]
                self._routes[name] = ModelRoute(name, _ranked(_one_each(of_model.get(canonical, ()), same)))
        for name, deployment in pinned.items():
            self._routes.setdefault(name, ModelRoute(name, _ranked([[deployment]])))

    def _show(
        self, deployment: Deployment, model: Model | None, offer: Offer | None, created: int, *, chosen: bool
    ) -> None:
        """Adds a deployment to the list of models; `chosen` if the configuration names it."""
        names = [deployment.model] if chosen or model is None else []
        if model is not None:
            names.append(model.id)
        for shown in names:
            if shown not in self._cards:
                known = deployment.capabilities
                self._cards[shown] = card_of(shown, deployment.provider, created, model, offer, known)

    def _alias(
        self,
        alias: str,
        aliases: Mapping[str, str | AliasSettings],
        models: Mapping[str, ModelCard],
        created: int,
    ) -> None:
        route = self._follow(alias, aliases)
        if route is None:
            return
        self._routes[alias] = route
        first = route.first
        shown = first.capabilities.canonical or first.model
        known = models.get(shown) or ModelCard(shown, created, VIRTUAL_OWNER)
        # An alias of one model has that model's author; an alias of several, or of an unknown model, has Weebill's
        # name.
        owner = known.owned_by if first.capabilities.canonical and alias not in self._autos else VIRTUAL_OWNER
        self._cards[alias] = msgspec.structs.replace(known, id=alias, owned_by=owner)

    def _follow(self, name: str, aliases: Mapping[str, str | AliasSettings]) -> ModelRoute | None:
        """Returns the route of a name or an alias; None if it leads to nothing. Loops are excluded by the
        configuration's checks.
        """
        alias = aliases.get(name)
        if alias is None:
            return self._routes.get(name)
        return _leading(name, alias, partial(self._follow, aliases=aliases))

    def _match(self, name: str, seen: tuple[str, ...] = ()) -> ModelRoute | None:
        """Returns the route of a name by patterns; None if there is none. `seen` are the names on the way, which ends
        loops.
        """
        if name in seen or len(seen) == _MAX_STEPS:
            return None
        found = self._patterns.match(name)
        return None if found is None else _leading(name, found.target, partial(self._known, seen=(*seen, name)))

    def _known(self, name: str, seen: tuple[str, ...]) -> ModelRoute | None:
        return self._routes.get(name) or self._suffixed(name, seen) or self._match(name, seen)

    def _otherwise(self, name: str) -> ModelRoute:
        """Returns the route of a name that is not known by itself. Raises ApiError 404."""
        route = self._find(name)
        if route is None:
            raise ApiError(
                404,
                f"The model '{name}' does not exist{self._nearest(name)}. GET /v1/models lists those that do.",
                code="model_not_found",
                param="model",
            )
        return route

    def _find(self, name: str) -> ModelRoute | None:
        """Returns the route of a name; None if there is none."""
        route = self._routes.get(name) or self._matched.get(name) or self._suffixed(name)
        if route is not None:
            return route
        route = self._match(name)
        if route is None:
            return None
        if len(self._matched) >= _MAX_MATCHED:
            self._matched.clear()
        self._matched[name] = route
        return route

    def _suffixed(self, name: str, seen: tuple[str, ...] = ()) -> ModelRoute | None:
        """Returns the route of a name with a suffix; None if it has none."""
        base, _, suffix = name.rpartition(":")
        preferences = SUFFIXES.get(suffix)
        if preferences is None:
            return None
        route = self._routes.get(base) or self._match(base, seen)
        if route is None:
            return None
        said = () if preferences is _SAYS_NOTHING else (preferences,)
        return ModelRoute(name, route.candidates, route.policy, (*route.preferences, *said))

    def _nearest(self, name: str) -> str:
        """Returns a clause with similar names. The number of comparisons is bounded."""
        wanted = name[:_MAX_COMPARED].lower()
        bare = wanted.rpartition("/")[2]
        alike = (known for known in self._routes if known[:2].lower() == wanted[:2] or bare in known.lower())
        candidates = {known.lower(): known for known in islice(alike, _MAX_COMPARED)}
        near = difflib.get_close_matches(wanted, candidates, n=3, cutoff=0.6)
        return f"; did you mean {' or '.join(repr(candidates[each]) for each in near)}?" if near else ""


def _leading(name: str, alias: str | AliasSettings, follow: Callable[[str], ModelRoute | None]) -> ModelRoute | None:
    """Returns the route of an alias, from those of its targets; None while they have none."""
    if isinstance(alias, str):
        target = follow(alias)
        return None if target is None else ModelRoute(name, target.candidates, target.policy, target.preferences)
    models = [(each, follow(each)) for each in alias.models]
    balanced = [
        candidate._replace(weight=candidate.weight * alias.weights.get(each, 1.0))
        for each, route in models
        if route is not None
        for candidate in route.candidates
    ]
    fallbacks = [follow(each) for each in alias.fallbacks]
    routes = [ModelRoute(name, _distinct(balanced))] if balanced else []
    routes += [route for route in fallbacks if route is not None]
    if not routes:
        return None
    whole = _in_turn(name, routes)
    inner = [each for _, route in models if route is not None for each in route.preferences]
    candidates = tuple(candidate._replace(model=0) for candidate in whole.candidates)
    # A route without preferences is routed faster.
    said = tuple(each for each in (alias.preferences, *inner, *whole.preferences) if each != _SAYS_NOTHING)
    return ModelRoute(name, candidates, alias.policy, said)


def _of_auto(auto: AutoSettings) -> AliasSettings:
    """Returns the alias of a virtual model for callers that do not pick a tier: the smallest tier, then the larger
    ones.

    No rule has been applied to such a request, so it stays on this machine if any could be private.
    """
    smallest, *larger = auto.tiers.values()
    preferences = Preferences(local_only=True) if auto.private else Preferences()
    return AliasSettings(models=(smallest,), fallbacks=tuple(larger), preferences=preferences)


def _one_each(serving: Iterable[Deployment], first: Sequence[Deployment]) -> list[Sequence[Deployment]]:
    """Returns the deployments of `first`, then one of each other provider: the first that serves the model."""
    providers = {each.provider for each in first}
    others: list[Deployment] = []
    for each in serving:
        if each.provider not in providers:
            providers.add(each.provider)
            others.append(each)
    return [group for group in (first, others) if group]


def _ranked(groups: Iterable[Sequence[Deployment]]) -> tuple[Candidate, ...]:
    """Returns the candidates group by group, each with the tiers and weights of its providers."""
    candidates: list[Candidate] = []
    tier = 0
    for group in groups:
        candidates += (Candidate(each, each.capabilities.weight, tier + each.capabilities.tier) for each in group)
        tier = 1 + max(each.tier for each in candidates)
    return tuple(candidates)


def _in_turn(name: str, routes: Sequence[ModelRoute]) -> ModelRoute:
    """Returns the route that tries one route after another, each as a model with tiers of its own."""
    candidates: list[Candidate] = []
    tier = 0
    for model, route in enumerate(routes):
        candidates += (each._replace(tier=tier + each.tier, model=model) for each in route.candidates)
        tier = 1 + max(each.tier for each in candidates)
    preferences = tuple(each for route in routes for each in route.preferences)
    return ModelRoute(name, _distinct(candidates), routes[0].policy, preferences)


def _distinct(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Returns each deployment once, at its first place."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        found.setdefault(candidate.deployment.key, candidate)
    return tuple(found.values())
