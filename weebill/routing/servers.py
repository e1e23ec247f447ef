"""The states of the servers for models that the installation watches, as the discovery process tells them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from msgspec import Struct

from weebill.catalog.load import Catalogue, load
from weebill.catalog.schema import Server
from weebill.config.schema import ProviderSettings, Settings

TOPIC: Final = "servers"
# Ready to serve; answering that it is not (it loads, or is unwell); out of reach; or not letting itself be examined.
Status = Literal["ready", "unready", "down", "unknown"]


class ServedModel(Struct, frozen=True, array_like=True):
    """A model that a server lists. `context` is in tokens, 0 if unknown; `parent` is set for a LoRA adapter."""

    name: str
    context: int = 0
    parent: str = ""


class Load(Struct, frozen=True):
    """The load of a server by its own metrics: its requests, and the used share of its cache of keys and values."""

    running: int
    waiting: int
    cache_use: float = 0.0


class ServerState(Struct, frozen=True, kw_only=True):
    """The state of the server of a provider. `why` explains a status other than ready; `load` is None if unknown."""

    provider: str
    status: Status
    why: str = ""
    models: tuple[ServedModel, ...] = ()
    load: Load | None = None


class ServerNews(Struct, frozen=True):
    """The states that have changed since the asker's position; none of them in a mere sign of life."""

    source: str
    version: int
    states: tuple[ServerState, ...] = ()


def watched(settings: Settings, catalogue: Catalogue) -> Iterator[tuple[str, ProviderSettings, Server]]:
    """Yields the providers whose software is known to have endpoints for its state."""
    for name, provider in settings.providers.items():
        row = catalogue.providers.get(provider.identity(name))
        if row is not None and row.server is not None:
            yield name, provider, row.server


def has_servers(settings: Settings) -> bool:
    """True if the configuration has servers to watch."""
    return any(True for _ in watched(settings, load()))


def names_of(models: Iterable[ServedModel]) -> tuple[str, ...]:
    """Returns the names of models."""
    return tuple(each.name for each in models)


def context_of(name: str, models: Iterable[ServedModel]) -> int:
    """Returns the context of a server's model in tokens: its own, or else that of the model it adapts; 0 if unknown."""
    known = {each.name: each for each in models}
    model = known.get(name)
    if model is None:
        return 0
    if model.context or model.parent not in known:
        return model.context
    return known[model.parent].context
