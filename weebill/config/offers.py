"""The catalogue's facts about the models of a configuration, and the price of a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from weebill.catalog.load import Catalogue
from weebill.catalog.schema import Model, Offer, Price
from weebill.catalog.traits import bare_name
from weebill.config.routing import targets
from weebill.config.schema import ProviderSettings, Settings

BEDROCK: Final = "bedrock"
BEHIND: Final = "model."
"""The prefix of the option that says which model is behind a profile's name."""
_LOCAL: Final = "local"
_NOTHING: Final = Price(input=0, output=0)


class _Served(NamedTuple):
    """A model of the configuration: its pinned name, the upstream's, the catalogue's ("" if unknown), its price."""

    pinned: str
    own: str
    canonical: str
    price: Price | None


def served(
    catalogue: Catalogue, identity: str, model: str, provider: ProviderSettings
) -> tuple[Model, Offer] | tuple[None, None]:
    """Returns the model that a provider calls `model`, and its offer, if the catalogue has them under `identity`.

    Bedrock has several names for a model: with or without a region, an ARN, or an inference profile of one's own, which
    tells nothing; `options` say which model is behind that (`"model.PROFILE" = "anthropic.claude-..."`).
    """
    found = catalogue.served(identity, model)
    if found is not None or provider.dialect != BEDROCK:
        return found or (None, None)
    bare = bare_name(provider.options.get(f"{BEHIND}{model}", model))
    for (seller, sold), known in catalogue.offers.items():
        if seller == BEDROCK and bare_name(sold) == bare:
            return known
    return None, None


def offered(provider: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Returns the upstream's names of all models that the catalogue has for a provider."""
    return tuple(
        offer.name for model in catalogue.models.values() for offer in model.offers if offer.provider == provider
    )


def price_of(name: str, settings: Settings, catalogue: Catalogue) -> Price | None:
    """Returns the price of the first deployment that routing has for a name; None if there is none, or no price."""
    seen: set[str] = set()
    while name in settings.aliases and name not in seen:
        seen.add(name)
        name = targets(settings.aliases[name])[0]
    known = list(_served(settings, catalogue))
    # As in `weebill.routing.directory`: the provider that the catalogue's name names comes first, and a name that an
    # upstream uses is its own before it is another's.
    canonical = [each for each in known if each.canonical == name]
    pinned = [each for each in known if each.pinned == name]
    own = [each for each in known if each.own == name]
    first = next(iter((*(pinned if canonical else ()), *canonical, *own, *pinned)), None)
    return None if first is None else first.price


def _served(settings: Settings, catalogue: Catalogue) -> Iterator[_Served]:
    """Yields the models of the configuration, in its order."""
    for model in settings.local.models:
        yield _Served(f"{_LOCAL}/{model}", model, "", _NOTHING)
    for name, provider in settings.providers.items():
        identity = provider.identity(name)
        for model in provider.models or offered(identity, catalogue):
            known, offer = served(catalogue, identity, model, provider)
            yield _Served(
                f"{name}/{model}", model, "" if known is None else known.id, None if offer is None else offer.price
            )
