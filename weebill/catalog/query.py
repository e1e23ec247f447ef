"""Choose models of the catalogue: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from msgspec import Struct

from weebill.catalog.schema import Kind, Modality, Model, Offer

Order = Literal["name", "price", "context", "released"]
UNKNOWN = float("inf")


class Filter(Struct, frozen=True, kw_only=True):
    """What is asked for; what is left at its default asks for nothing.

    `providers` are ids, of which one must serve the model; `max_price` is nano-dollars per thousand tokens, which
    neither input nor output may exceed; `modalities` must all be read or made; `text` are words that must all be in
    the id, the name, the author or an upstream's name. A model of unknown price or context fails a test of it.
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


EVERYTHING = Filter()


class Match(Struct, frozen=True):
    """A model, and those of its offers that pass; the cheapest first, unknown prices last."""

    model: Model
    offers: tuple[Offer, ...]


def select(models: Iterable[Model], wanted: Filter = EVERYTHING, order: Order = "name") -> list[Match]:
    """The models that pass and that somebody serves as asked, each with the offers that do."""
    return sorted(_matches(models, wanted), key=_ORDERS[order])


def cost_of(offer: Offer) -> float:
    """Nano-dollars for a thousand tokens in and a thousand out: to compare offers by."""
    return UNKNOWN if offer.price is None else offer.price.input + offer.price.output


def context_of(model: Model, offer: Offer) -> int | None:
    """How many tokens the model takes where this offer serves it."""
    return offer.context_length if offer.context_length is not None else model.context_length


def _matches(models: Iterable[Model], wanted: Filter) -> Iterator[Match]:
    for model in models:
        if not _model_passes(model, wanted):
            continue
        offers = tuple(sorted((each for each in model.offers if _offer_passes(model, each, wanted)), key=cost_of))
        if offers:
            yield Match(model, offers)


def _model_passes(model: Model, wanted: Filter) -> bool:
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


def _offer_passes(model: Model, offer: Offer, wanted: Filter) -> bool:
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
    # What is not known of a date, or all of it, makes it older.
    return *(-ord(character) for character in date), 1
