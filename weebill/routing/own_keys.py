"""The keys of projects for providers, and who routes a project's requests.

A project with keys of its own has a router of its own, and with it a health of its own: what a provider thinks of its
keys, and how much it lets them do, is nobody else's matter. It is made when the project's first request comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Final

from weebill.catalog.load import Catalogue
from weebill.config.routing import RoutingSettings
from weebill.config.schema import ProviderSettings
from weebill.routing.deployments import LOCAL, owned, provider_upstream
from weebill.routing.directory import Directory
from weebill.routing.project_directory import ProjectDirectory
from weebill.routing.router import Router
from weebill.wire.errors import ApiError

_MAX_ROUTERS: Final = 256


class OwnProvider:
    """A provider with a project's own keys in its settings; `falls_back` if others may stand in for it."""

    __slots__ = ("falls_back", "settings")

    def __init__(self, settings: ProviderSettings, falls_back: bool) -> None:
        self.settings = settings
        self.falls_back = falls_back


OwnProviders = Mapping[str, Mapping[str, OwnProvider]]
"""By the project's id and the provider's name."""


class Routers:
    """The routers of a worker: `shared` for all projects but those with keys of their own.

    While it is not known which these are, no request is routed, lest one be sent with a key that is not its project's.
    """

    def __init__(self, shared: Router, settings: RoutingSettings, *, knows: bool = True) -> None:
        """Projects have no keys of their own yet, or it is not known which, unless it `knows`."""
        self.shared = shared
        self._settings = settings
        self._wide = shared.directory
        self._catalogue: Catalogue | None = None
        self._own: OwnProviders | None = {} if knows else None
        self._made: dict[str, Router] = {}

    def follow(self, own: OwnProviders, wide: Directory, catalogue: Catalogue) -> None:
        """Applies other keys or deployments.

        `wide` also has the deployments of providers that only projects have keys of.
        """
        self._own = own
        self._wide = wide
        self._catalogue = catalogue
        for project_id in [*self._made]:
            if project_id in own:
                self._made[project_id].follow(self._directory(project_id, own[project_id]))
            else:
                del self._made[project_id]

    def configure(self, settings: RoutingSettings) -> None:
        """Applies reloaded settings."""
        self._settings = settings
        for made in self._made.values():
            made.configure(settings, made.directory)

    @property
    def made(self) -> Mapping[str, Router]:
        """The routers of projects that have sent requests, by their ids."""
        return self._made

    def settle(self, now: float) -> None:
        """Drops what is over; to be called regularly."""
        for made in self._made.values():
            made.health.settle(now)

    def has_own(self, project_id: str) -> bool:
        """True if a project has keys of its own."""
        return self._own is not None and project_id in self._own

    def of(self, project_id: str) -> Router:
        """Returns the router for a project's requests. Raises ApiError 503 while it is not known."""
        own = self._own
        if own is None:
            raise ApiError(503, "Keys cannot be checked right now.", code="ledger_unavailable", retry_after=1)
        if not own or project_id not in own:
            return self.shared
        return self._made.get(project_id) or self._make(project_id, own[project_id])

    def _make(self, project_id: str, own: Mapping[str, OwnProvider]) -> Router:
        if len(self._made) >= _MAX_ROUTERS:
            del self._made[next(iter(self._made))]
        rng = Random()  # noqa: S311 - no secrets
        made = self._made[project_id] = Router(self._settings, self._directory(project_id, own), rng)
        return made

    def _directory(self, project_id: str, own: Mapping[str, OwnProvider]) -> Directory:
        rows = {} if self._catalogue is None else self._catalogue.providers
        upstreams = {
            name: replace(
                provider_upstream(name, each.settings, rows.get(each.settings.identity(name))), account=project_id
            )
            for name, each in own.items()
        }
        mine = {
            key: owned(each, project_id, upstreams[each.provider])
            for key, each in self._wide.deployments.items()
            if each.provider in own
        }
        falling = {name for name, each in own.items() if each.falls_back}
        return ProjectDirectory(self._wide, mine, falling, self.shared.directory.providers | {LOCAL})
