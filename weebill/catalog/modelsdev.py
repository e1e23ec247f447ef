"""Reads data in models.dev's format, and compares it with the catalogue.

Source: https://models.dev/api.json and https://github.com/anomalyco/models.dev (MIT). Prices there are dollars per
million tokens.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from weebill.catalog.load import Catalogue
from weebill.catalog.schema import Kind, Modality, Model, Offer, Price, Rates, Tier

_RATES = ("input", "output", "cache_read", "cache_write", "reasoning", "audio_input", "audio_output")
_MODALITIES: tuple[Modality, ...] = ("text", "image", "audio", "video", "pdf")
_LONG_CONTEXT = 200_000
_BEYOND_REASON = 10_000


class FormatError(ValueError):
    """The data is not in models.dev's format."""


class Cost(Struct, frozen=True, kw_only=True):
    """Dollars per million tokens; some prices have several names."""

    input: float = 0
    output: float = 0
    cache_read: float | None = None
    cache_input: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    cached_write: float | None = None
    reasoning: float | None = None
    input_audio: float | None = None
    output_audio: float | None = None


class TierSize(Struct, frozen=True):
    """The number of prompt tokens above which a tier begins."""

    size: int


class TierCost(Cost, frozen=True, kw_only=True):
    """The prices of long prompts."""

    tier: TierSize


class FullCost(Cost, frozen=True, kw_only=True):
    """All prices of a row; `context_over_200k` is the older form of a tier."""

    tiers: tuple[TierCost, ...] = ()
    context_over_200k: Cost | None = None


class Limit(Struct, frozen=True):
    """Tokens; 0 if not applicable."""

    context: int = 0
    output: int = 0


class Modalities(Struct, frozen=True):
    """The modalities of input and output."""

    input: tuple[str, ...] = ("text",)
    output: tuple[str, ...] = ("text",)


class Elsewhere(Struct, frozen=True):
    """The address and dialect of a row that differs from its provider's others."""

    api: str = ""
    npm: str = ""


class Fact(Struct, frozen=True, kw_only=True):
    """A model as a provider serves it. `provider` is set if its address or dialect differs."""

    name: str = ""
    release_date: str = ""
    status: str = ""
    tool_call: bool = False
    reasoning: bool = False
    structured_output: bool | None = None
    open_weights: bool = False
    cost: FullCost | None = None
    limit: Limit = Limit()
    modalities: Modalities = Modalities()
    provider: Elsewhere | None = None


class Facts(Struct, frozen=True, kw_only=True):
    """A provider's rows, by its names for models."""

    models: dict[str, Fact] = {}


class Snapshot(Struct, frozen=True):
    """All rows, by models.dev's ids of providers."""

    providers: dict[str, Facts]
    source: str = "models.dev"


class Change(Struct, frozen=True):
    """A changed value. Prices are nano-dollars per thousand tokens, limits are tokens; None stands for no value."""

    model: str
    provider: str
    name: str
    field: str
    old: int | None
    new: int | None

    @property
    def is_price(self) -> bool:
        return self.field not in ("context_length", "max_output_tokens")

    @property
    def per_cent(self) -> float | None:
        """The relative change in per cent; None without an old value."""
        return 100 * (self.new - self.old) / self.old if self.old and self.new is not None else None


class Difference(Struct, frozen=True):
    """The differences of a snapshot from the catalogue.

    `offers` are the known offers with the new values; `new` are models of known providers that the catalogue lacks;
    `gone` are known offers that are missing from the snapshot, though their provider is in it.
    """

    changes: tuple[Change, ...]
    offers: tuple[Offer, ...]
    new: tuple[Model, ...]
    gone: tuple[tuple[str, str], ...]


def parse(data: bytes) -> Snapshot:
    """Reads api.json: providers by id, or the same under `providers` with a `source`. Raises FormatError."""
    try:
        if "providers" in msgspec.json.decode(data, type=dict[str, msgspec.Raw]):
            snapshot = msgspec.json.decode(data, type=Snapshot)
        else:
            snapshot = Snapshot(msgspec.json.decode(data, type=dict[str, Facts]))
    except (msgspec.DecodeError, RecursionError) as error:
        raise FormatError(f"not in models.dev's format: {error}") from error
    if not any(facts.models for facts in snapshot.providers.values()):
        raise FormatError("not in models.dev's format: it has no models")
    return snapshot


def price_of(fact: Fact) -> Price | None:
    """Returns a row's prices. Raises FormatError for negative ones."""
    if fact.cost is None:
        return None
    base = _rates(fact.cost)
    tiers = {each.tier.size: _rates(each, base) for each in fact.cost.tiers}
    if fact.cost.context_over_200k is not None:
        tiers.setdefault(_LONG_CONTEXT, _rates(fact.cost.context_over_200k, base))
    ascending = (Tier(**msgspec.structs.asdict(rates), above=above) for above, rates in sorted(tiers.items()))
    return Price(**msgspec.structs.asdict(base), tiers=tuple(ascending))


def model_of(identity: str, fact: Fact, offers: tuple[Offer, ...] = ()) -> Model:
    """Returns a row as a model of the catalogue."""
    inputs, outputs = (
        tuple(each for each in _MODALITIES if each in names)
        for names in (fact.modalities.input, fact.modalities.output)
    )
    kind = _kind(identity, fact)
    return Model(
        id=identity,
        name=fact.name or identity,
        author=identity.partition("/")[0],
        kind=kind,
        context_length=fact.limit.context or None,
        max_output_tokens=_output_limit(kind, fact),
        input_modalities=inputs or ("text",),
        output_modalities=outputs or ("text",),
        tools=fact.tool_call,
        structured_output=fact.structured_output,
        reasoning=fact.reasoning,
        open_weights=fact.open_weights,
        released=fact.release_date,
        offers=offers,
    )


def compare(catalogue: Catalogue, snapshot: Snapshot) -> Difference:
    """Compares the snapshot with the catalogue. Raises FormatError for impossible prices."""
    changes: list[Change] = []
    offers: list[Offer] = []
    new: dict[str, Model] = {}
    gone: list[tuple[str, str]] = []
    for provider in catalogue.providers.values():
        facts = snapshot.providers.get(provider.models_dev or provider.id)
        if facts is None:
            continue
        for name, fact in facts.models.items():
            if known := catalogue.served(provider.id, name):
                model, offer = known
                changed = _updated(model, offer, fact)
                if found := tuple(_changes(model, offer, changed)):
                    changes += found
                    offers.append(changed)
            elif fact.status != "deprecated" and fact.provider is None:
                _add(new, provider.id, name, fact)
        gone += (
            (provider.id, offer.name)
            for model in catalogue.models.values()
            for offer in model.offers
            if offer.provider == provider.id and offer.name not in facts.models
        )
    return Difference(tuple(changes), tuple(offers), tuple(new.values()), tuple(gone))


def _rates(cost: Cost, base: Rates | None = None) -> Rates:
    """Returns rates per thousand tokens. A tier's missing rates are the base's, scaled by the input price."""
    fixed = _nano(cost.input) or 0, _nano(cost.output) or 0
    reasoning = _nano(cost.reasoning)
    own = {
        "cache_read": _nano(_first(cost.cache_read, cost.cache_input, cost.cached_input)),
        "cache_write": _nano(_first(cost.cache_write, cost.cached_write)),
        "reasoning": None if reasoning == fixed[1] else reasoning,
        "audio_input": _nano(cost.input_audio),
        "audio_output": _nano(cost.output_audio),
    }
    for name in ("cache_read", "cache_write"):
        # Rows without such a price have 0; no provider that charges for input gives cached input away.
        own[name] = own[name] or (None if fixed[0] else own[name])
    if base is not None and base.input:
        for name in own:
            value = getattr(base, name)
            if own[name] is None and value is not None:
                own[name] = round(value * fixed[0] / base.input)
    return Rates(input=fixed[0], output=fixed[1], **own)


def _nano(dollars_per_million: float | None) -> int | None:
    """Returns nano-dollars per thousand tokens."""
    if dollars_per_million is None:
        return None
    if not 0 <= dollars_per_million < _BEYOND_REASON:
        raise FormatError(f"a price of {dollars_per_million} $ per million tokens cannot be")
    return round(dollars_per_million * 1_000_000)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _kind(identity: str, fact: Fact) -> Kind:
    name, outputs = identity.lower(), fact.modalities.output
    if "rerank" in name:
        return "rerank"
    if any(part in name for part in ("embed", "/bge-", "/gte-", "/e5-")):
        return "embedding"
    if any(part in name for part in ("guard", "safety", "moderation")):
        return "moderation"
    if any(part in name for part in ("whisper", "-asr", "transcribe")):
        return "transcription"
    for modality, kind in _KINDS.items():
        if modality in outputs and "text" not in outputs:
            return kind
    return "chat"


def _output_limit(kind: Kind, fact: Fact) -> int | None:
    """Returns tokens; None for other kinds than chat, whose rows have other numbers there."""
    return (fact.limit.output or None) if kind == "chat" else None


_KINDS: dict[str, Kind] = {"audio": "speech", "image": "image", "video": "video"}


def _updated(model: Model, offer: Offer, fact: Fact) -> Offer:
    """Returns the offer with the row's price and limits; values that the row lacks stay."""
    context, output = fact.limit.context or None, _output_limit(model.kind, fact)
    return msgspec.structs.replace(
        offer,
        price=price_of(fact) or offer.price,
        context_length=None if context in (None, model.context_length) else context,
        max_output_tokens=None if output in (None, model.max_output_tokens) else output,
    )


def _changes(model: Model, old: Offer, new: Offer) -> Iterable[Change]:
    before, after = _facts(model, old), _facts(model, new)
    for field in dict.fromkeys((*before, *after)):
        if before.get(field) != after.get(field):
            yield Change(model.id, old.provider, old.name, field, before.get(field), after.get(field))


def _facts(model: Model, offer: Offer) -> dict[str, int | None]:
    """Returns the values of an offer that may change, by name; those of tiers as `input over 200000`."""
    facts: dict[str, int | None] = {}
    if offer.price is not None:
        facts |= _named(offer.price)
        for tier in offer.price.tiers:
            facts |= {f"{name} over {tier.above}": value for name, value in _named(tier).items()}
    facts["context_length"] = model.context_length if offer.context_length is None else offer.context_length
    facts["max_output_tokens"] = model.max_output_tokens if offer.max_output_tokens is None else offer.max_output_tokens
    return facts


def _named(rates: Rates) -> dict[str, int | None]:
    return {name: getattr(rates, name) for name in _RATES}


def _add(new: dict[str, Model], provider: str, name: str, fact: Fact) -> None:
    """Adds a model that the catalogue lacks, under the provider's name for it if that is `author/name`."""
    identity = name.lower() if name.count("/") == 1 and not name.startswith("@") else f"{provider}/{name.lower()}"
    offer = Offer(provider=provider, name=name, price=price_of(fact))
    model = model_of(identity, fact)
    if known := new.get(identity):
        offer = _updated(known, offer, fact)
        new[identity] = msgspec.structs.replace(known, offers=(*known.offers, offer))
    else:
        new[identity] = msgspec.structs.replace(model, offers=(offer,))
