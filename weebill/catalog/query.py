"""Selects models of the catalogue: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from msgspec import Struct

from weebill.catalog.schema import Kind, Modality, Model, Offer

Order = Literal["name", "price", "context", "released"]
UNKNOWN = float("inf")


class ModelFilter(Struct, frozen=True, kw_only=True):
    """The conditions on a model; defaults are no condition.

    `providers` are ids, one of which must serve the model; `max_price` is nano-dollars per thousand tokens, for both
    input and output; all `modalities` must be input or output; all words of `text` must be in the id, the name, the
    author or an upstream's name. An unknown price or context fails.
    """

    providers: frozenset[str] | None = None
    max_price: int | None = None
    min_context: int | None = None
    modalities: tuple[Modality, ...] = ()
    kind: Kind | None = None
    tools: bool = False
    reasoning: bool = False
    structured_output: bool = False
    open_weights: bool = False
    text: tuple[str, ...] = ()


EVERYTHING = ModelFilter()


class Match(Struct, frozen=True):
    """A model, and its offers that pass; the cheapest first, unknown prices last."""

    model: Model
    offers: tuple[Offer, ...]


def select(models: Iterable[Model], wanted: ModelFilter = EVERYTHING, order: Order = "name") -> list[Match]:
    """Returns the models that pass, with at least one offer that does, each with those offers."""
    return sorted(_matches(models, wanted), key=_ORDERS[order])


def cost_of(offer: Offer) -> float:
    """Returns nano-dollars for a thousand tokens in and a thousand out, to compare offers."""
    return UNKNOWN if offer.price is None else offer.price.input + offer.price.output


def context_of(model: Model, offer: Offer) -> int | None:
    """Returns the context of the model in tokens, as this offer serves it."""
    return offer.context_length if offer.context_length is not None else model.context_length


def _matches(models: Iterable[Model], wanted: ModelFilter) -> Iterator[Match]:
    for model in models:
        if not _model_passes(model, wanted):
            continue
        offers = tuple(sorted((each for each in model.offers if _offer_passes(model, each, wanted)), key=cost_of))
        if offers:
            yield Match(model, offers)


def _model_passes(model: Model, wanted: ModelFilter) -> bool:
    modalities = {*model.input_modalities, *model.output_modalities}
    return (
        modalities.issuperset(wanted.modalities)
        and wanted.kind in (None, model.kind)
        and (not wanted.tools or model.tools)
        and (not wanted.reasoning or model.reasoning)
        and (not wanted.structured_output or model.structured_output is True)
        and (not wanted.open_weights or model.open_weights)
        and (not wanted.text or _has_words(model, wanted.text))
    )


def _offer_passes(model: Model, offer: Offer, wanted: ModelFilter) -> bool:
    if wanted.providers is not None and offer.provider not in wanted.providers:
        return False
    price, context = offer.price, context_of(model, offer)
    if wanted.max_price is not None and (price is None or max(price.input, price.output) > wanted.max_price):
        return False
    return wanted.min_context is None or (context is not None and context >= wanted.min_context)


def _has_words(model: Model, words: tuple[str, ...]) -> bool:
    text = " ".join((model.id, model.name, model.author, *(offer.name for offer in model.offers))).lower()
    return all(word.lower() in text for word in words)


def _price(match: Match) -> float:
    return cost_of(match.offers[0])


_ORDERS: dict[Order, Callable[[Match], tuple[object, ...]]] = {
    "name": lambda match: (match.model.id,),
    "price": lambda match: (_price(match), match.model.id),
    "context": lambda match: (-(match.model.context_length or 0), match.model.id),
    "released": lambda match: (_newest_first(match.model.released), match.model.id),
}


def _newest_first(date: str) -> tuple[int, ...]:
    # Unknown parts of a date make it older.
    return *(-ord(character) for character in date), 1
