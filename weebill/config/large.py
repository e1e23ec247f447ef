"""The large tier of `auto` where nobody has configured one: the flagship of the first provider that has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from weebill.catalog.flagship import flagship, rule
from weebill.catalog.load import load
from weebill.config.auto import AUTO
from weebill.config.checks import model_names
from weebill.config.problems import KeyPath
from weebill.config.schema import Settings

LARGE: Final[KeyPath] = ("auto", "large")


class Large(NamedTuple):
    """The chosen model, and the configured provider whose flagship it is."""

    model: str
    provider: str

    @property
    def why(self) -> str:
        """The origin of the setting."""
        return f"the catalogue: the flagship of {self.provider}"


def choose_large(settings: Settings) -> Large | None:
    """Returns the large tier for settings without one; None if `auto` is not to be, or no provider is there.

    Nobody is called who is not configured: providers are those of the settings, and of the environment's keys.
    """
    auto = settings.auto
    if auto.large or not auto.small or AUTO in settings.aliases:
        return None
    chosen = next(_flagships(settings), None)
    return None if chosen is None or AUTO in model_names(settings) else chosen


def with_large(settings: Settings, large: Large) -> Settings:
    """Returns the settings with that large tier."""
    return replace(settings, auto=replace(settings.auto, large=large.model))


def _flagships(settings: Settings) -> Iterator[Large]:
    """Yields the flagships in the order of the catalogue's list, then of the configuration."""
    wanted, catalogue = settings.routing.preferences, load()
    if wanted.local_only:
        return
    for listed in rule().providers:
        for name, provider in settings.providers.items():
            if provider.identity(name) != listed.provider or name in wanted.ignore:
                continue
            if wanted.only and name not in wanted.only:
                continue
            found = flagship(catalogue, listed, provider.models)
            if found is not None:
                yield Large(found.id, name)
