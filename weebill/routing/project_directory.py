"""The names of models for a project that has keys of its own: as for all others, but with its own deployments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from weebill.routing.deployments import Deployment
from weebill.routing.directory import Directory, ModelRoute


class ProjectDirectory(Directory):
    """The directory `base` for a project that calls the deployments of the keys in `own` with its own credentials.

    Of a model that it has a deployment for, no other deployment is tried that somebody else pays for, unless the
    provider of its own is in `falling`; then its own come first, and the same ones of the installation, if that has
    keys of them (`shared`), come next. Providers in neither are not there: only other projects have keys of them.
    """

    def __init__(  # the base's parts are taken over, as they are costly to make
        self, base: Directory, own: Mapping[str, Deployment], falling: Collection[str], shared: Collection[str]
    ) -> None:
        routes: dict[str, ModelRoute] = {}
        for name, route in base._routes.items():
            found = _owned(route, own, falling, shared)
            if found is not None:
                routes[name] = found
        self._routes = routes
        self._cards = {name: card for name, card in base._cards.items() if name in routes}
        self._silent = base._silent
        self._away = base._away
        self._autos = base._autos
        self._patterns = base._patterns
        self._matched = {}
        self.deployments = {
            key: own.get(key, each) for key, each in base.deployments.items() if key in own or each.provider in shared
        }
        self.providers = frozenset(each.provider for each in self.deployments.values())


def _owned(
    route: ModelRoute, own: Mapping[str, Deployment], falling: Collection[str], shared: Collection[str]
) -> ModelRoute | None:
    """Returns the route of a project; None if nothing is left of it."""
    alone = {_what(each) for each in _among(route, own) if each.provider not in falling}
    candidates = []
    changed = False
    for each in route.candidates:
        deployment = each.deployment
        mine = own.get(deployment.key)
        if mine is not None:
            candidates.append(each._replace(deployment=mine, tier=3 * each.tier))
        is_there = deployment.provider in shared
        is_spare = is_there and (deployment.capabilities.local or _what(deployment) not in alone)
        if is_spare:
            candidates.append(each._replace(tier=3 * each.tier + (1 if mine is not None else 2)))
        changed = changed or mine is not None or not is_spare
    if not candidates:
        return None
    return replace(route, candidates=tuple(candidates)) if changed else route


def _among(route: ModelRoute, own: Mapping[str, Deployment]) -> list[Deployment]:
    """Returns those of a route's deployments that the project calls with its own credentials."""
    return [found for each in route.candidates if (found := own.get(each.deployment.key)) is not None]


def _what(deployment: Deployment) -> str:
    """Returns the name of a deployment's model that all who serve it share."""
    return deployment.capabilities.canonical or deployment.model
