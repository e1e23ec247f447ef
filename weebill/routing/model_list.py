"""Makes the entries of the list of models from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from msgspec import UNSET

from weebill.catalog.query import context_of
from weebill.catalog.schema import Model, Offer, Price
from weebill.routing.capabilities import NOTHING_KNOWN, Capabilities
from weebill.wire.models import Architecture, ModelCard, Pricing

# Of models of this machine, in the catalogue's words; most are for chat.
_KINDS: Final[dict[str | None, str]] = {"embed": "embedding", "rerank": "rerank"}
_NANO_PER_THOUSAND = Decimal(10) ** 12  # a rate is nano-dollars per thousand tokens


def card_of(
    name: str, owner: str, created: int, model: Model | None, offer: Offer | None, known: Capabilities = NOTHING_KNOWN
) -> ModelCard:
    """Returns the entry of a model. `owner`, `created` and what is `known` are for models that the catalogue does not
    have.
    """
    if model is None or offer is None:
        return ModelCard(
            name,
            created,
            owner,
            context_length=known.context or UNSET,
            kind=_KINDS.get(known.task, UNSET),
            dimensions=known.dimensions or UNSET,
        )
    inputs, outputs = model.input_modalities, model.output_modalities
    return ModelCard(
        name,
        _released(model.released) or created,
        model.author,
        name=model.name,
        context_length=context_of(model, offer) or UNSET,
        max_output_tokens=offer.max_output_tokens or model.max_output_tokens or UNSET,
        architecture=Architecture(f"{'+'.join(inputs)}->{'+'.join(outputs)}", inputs, outputs),
        pricing=UNSET if offer.price is None else _pricing(offer.price),
        supported_parameters=tuple(_parameters(model)) if model.kind == "chat" else UNSET,
        kind=model.kind,
    )


def _parameters(model: Model) -> Iterator[str]:
    yield "max_tokens"
    if model.tools:
        yield from ("tools", "tool_choice")
    if model.structured_output:
        yield from ("response_format", "structured_outputs")
    if model.reasoning:
        yield from ("reasoning", "reasoning_effort")


def _pricing(price: Price) -> Pricing:
    return Pricing(
        _dollars(price.input),
        _dollars(price.output),
        None if price.cache_read is None else _dollars(price.cache_read),
        None if price.cache_write is None else _dollars(price.cache_write),
        None if price.reasoning is None else _dollars(price.reasoning),
    )


def _dollars(rate: int) -> str:
    return f"{(Decimal(rate) / _NANO_PER_THOUSAND).normalize():f}"


def _released(date: str) -> int:
    """Returns the Unix time of `YYYY-MM-DD` or `YYYY-MM`; 0 for ""."""
    if not date:
        return 0
    whole = date if len(date) > 7 else f"{date}-01"
    return int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
