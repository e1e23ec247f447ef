"""The known capabilities of a deployment, by which filters keep requests away from it."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct

from weebill.catalog.query import context_of
from weebill.catalog.schema import DataPolicy, Modality, Model, Offer, Price
from weebill.config.routing import Quantization
from weebill.config.schema import ProviderSettings

# What a model is asked for; "other" has no model of this machine.
Task = Literal["chat", "embed", "rerank", "other"]
_TEXT: Final = frozenset[Modality]({"text"})
_TEXT_AND_IMAGES: Final = frozenset[Modality]({"text", "image"})
_NOBODY: Final = DataPolicy()
# Dialects whose servers continue an answer that the last message begins.
_CONTINUING: Final = {"anthropic": True, "ollama": True}
_TRAINS: Final = {"no": False, "yes": True, "free-tier": True, "unknown": None}


class Capabilities(Struct, frozen=True, kw_only=True):
    """The capabilities of a deployment; None and "" stand for unknown.

    `canonical` is the catalogue's id of the model. `context` and `max_output` are in tokens, `price` in nano-dollars
    for a thousand tokens. `local` deployments keep requests on this machine. `trains` says if the provider may train on
    requests, `zero_retention` if it stores none, `continues` if it continues an answer that the request begins.
    `weight` is its share of the load within its `tier`; the tier with the lowest number comes first. `task` and
    `dimensions`, the length of a vector, are known of models of this machine.
    """

    canonical: str = ""
    context: int | None = None
    max_output: int | None = None
    inputs: frozenset[Modality] | None = None
    outputs: frozenset[Modality] | None = None
    tools: bool | None = None
    structured_output: bool | None = None
    reasoning: bool | None = None
    price: Price | None = None
    local: bool = False
    zero_retention: bool | None = None
    trains: bool | None = None
    region: str = ""
    quantization: Quantization = "unknown"
    continues: bool = False
    weight: float = 1.0
    tier: int = 0
    task: Task | None = None
    dimensions: int | None = None


NOTHING_KNOWN: Final = Capabilities()


def local_capabilities(context: int, task: Task = "chat", *, vision: bool = False, dimensions: int = 0) -> Capabilities:
    """Returns the capabilities of a compact model on this machine; `context` is 0 while its host is down."""
    return Capabilities(
        task=task,
        dimensions=dimensions or None,
        context=context or None,
        inputs=_TEXT_AND_IMAGES if vision else _TEXT,
        outputs=_TEXT,
        tools=task == "chat",
        structured_output=task == "chat",
        price=Price(input=0, output=0),
        local=True,
        zero_retention=True,
        trains=False,
        region="yours",
    )


def provider_capabilities(
    settings: ProviderSettings, policy: DataPolicy | None, model: Model | None, offer: Offer | None, context: int = 0
) -> Capabilities:
    """Returns the capabilities of a provider's deployment. Its settings take precedence over the catalogue, and so does
    the `context` that its server tells; 0 if it tells none.
    """
    data = policy or _NOBODY
    keeps_nothing = data.zero_retention == "default" or data.retention_days == 0
    known = Capabilities(
        price=None if offer is None else offer.price,
        local=settings.local,
        zero_retention=_first(settings.zero_retention, True if keeps_nothing or settings.local else None),
        trains=_first(settings.trains, False if settings.local else _TRAINS[data.trains]),
        region=settings.region or (offer.region if offer else "") or data.region,
        quantization=settings.quantization,
        continues=_CONTINUING.get(settings.dialect, False) if settings.continues is None else settings.continues,
        weight=settings.weight,
        tier=settings.tier,
        context=context or None,
    )
    if model is None or offer is None:
        return known
    return msgspec.structs.replace(
        known,
        canonical=model.id,
        context=context or context_of(model, offer),
        max_output=offer.max_output_tokens or model.max_output_tokens,
        inputs=frozenset(model.input_modalities),
        outputs=frozenset(model.output_modalities),
        tools=model.tools,
        structured_output=model.structured_output,
        reasoning=model.reasoning,
    )


def _first(said: bool | None, otherwise: bool | None) -> bool | None:
    return otherwise if said is None else said
