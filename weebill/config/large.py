"""The large tier of `auto` and its like where none is configured: the flagship of the first provider that has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from weebill.catalog.flagship import flagship, rule
from weebill.catalog.load import load
from weebill.config.auto import AUTO, AutoSettings
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
    """Returns the large tier for virtual models without one; None if there is none, or no provider.

    Nobody is called who is not configured: providers are those of the settings, and of the environment's keys.
    """
    return next(_flagships(settings), None) if _lacking(settings) else None


def with_large(settings: Settings, large: Large) -> Settings:
    """Returns the settings with that large tier."""
    completed = {name: replace(each, large=large.model) for name, each in _lacking(settings).items()}
    auto = completed.pop(AUTO, settings.auto)
    return replace(settings, auto=auto, named_autos={**settings.named_autos, **completed})


def _lacking(settings: Settings) -> dict[str, AutoSettings]:
    """Returns the virtual models that would exist with a large tier."""
    every = {AUTO: settings.auto, **settings.named_autos}
    lacking = {name: each for name, each in every.items() if each.small and not each.large}
    taken = {*settings.aliases, *model_names(settings)} if lacking else set()
    return {name: each for name, each in lacking.items() if name not in taken}


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
