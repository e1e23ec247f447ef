"""The prices of requests whose workers died before they recorded them."""

from __future__ import annotations

import time

from weebill.catalog.load import Catalogue, load
from weebill.catalog.overlay import OverlayError
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.process.messages import EngineState
from weebill.routing.directory import Directory
from weebill.wire.reply import Usage


class Prices:
    """Prices by the present settings. Settings may be changed in one thread and `cost` called in another."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._directory: tuple[Settings, Directory] | None = None
        self.settings = settings
        self.engines: tuple[EngineState, ...] = ()

    def cost(self, upstream: str, model: str, prompt_tokens: int, completion_tokens: int) -> int | None:
        """Returns the cost of a call in nano-dollars; None if no price is known."""
        settings = self.settings
        if self._directory is None or self._directory[0] is not settings:
            self._directory = settings, Directory(settings, self.engines, int(time.time()), self._catalogue())
        deployment = self._directory[1].deployments.get(f"{upstream}/{model}")
        if deployment is None:
            return None
        return deployment.price.cost(Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens))

    def _catalogue(self) -> Catalogue:
        try:
            return load(self._home.catalogue)
        except OverlayError:  # the workers have logged it
            return load()
