"""Selects a provider's flagship, the model that stands for its best: a rule over the catalogue's facts.

1. A flagship is a chat model that calls tools, keeps to schemas, writes text alone and has a price.
2. It was released within `days` of the provider's newest such model, and a million tokens of its answers cost at most
   `most_output`: models beyond are for few questions, not for all that a smaller one cannot answer.
3. Of these it is the dearest, then the newest, then the one with the shortest name.

Prices follow what makers think of their models. Where they mislead, as the same model is dearer when it is served
faster, the data file names the model.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from functools import lru_cache

import msgspec

from weebill.catalog.load import DATA, Catalogue
from weebill.catalog.pricing import weighed
from weebill.catalog.schema import Model, Row


class FlagshipProvider(Row, frozen=True, kw_only=True):
    """A provider with a flagship; `model` is the catalogue's id of it where the rule would pick another."""

    provider: str
    model: str = ""


class FlagshipFile(Row, frozen=True, kw_only=True):
    """`data/flagships.json`: the numbers of the rule, and the providers in the order in which they are asked.

    `most_output` is nano-dollars per thousand tokens.
    """

    source: str
    date: str
    days: int
    most_output: int
    providers: tuple[FlagshipProvider, ...]


@lru_cache(maxsize=1)
def rule() -> FlagshipFile:
    """Returns the data file."""
    return msgspec.json.decode((DATA / "flagships.json").read_bytes(), type=FlagshipFile)


def flagship(catalogue: Catalogue, by: FlagshipProvider, only: Collection[str] = ()) -> Model | None:
    """Returns the flagship of a provider; None if it has none.

    `only` are the provider's names of the models that may be used, empty for all.
    """
    known = rule()
    offered = [
        (model, offer.price)
        for model in catalogue.models.values()
        for offer in model.offers
        if offer.provider == by.provider
        and (not only or offer.name in only)
        and offer.price is not None
        and 0 < offer.price.output <= known.most_output
        and _is_general(model)
    ]
    named = next((model for model, _ in offered if model.id == by.model), None)
    if named is not None or not offered:
        return named
    oldest = max(_day(model) for model, _ in offered) - timedelta(days=known.days)
    recent = [(model, price) for model, price in offered if _day(model) >= oldest]
    return min(recent, key=lambda each: (-weighed(each[1]), -_day(each[0]).toordinal(), len(each[0].id), each[0].id))[0]


def _is_general(model: Model) -> bool:
    return (
        model.kind == "chat"
        and model.tools
        and model.structured_output is True
        and model.output_modalities == ("text",)
        and bool(model.released)
    )


def _day(model: Model) -> date:
    """Returns the day of the release, the first of the month if that is all that is known."""
    return date.fromisoformat(model.released if len(model.released) > 7 else f"{model.released}-01")
