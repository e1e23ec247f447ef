"""`weebill models`: lists models of this machine, of the configuration, and of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import msgspec
import typer

from weebill.catalog.load import Catalogue
from weebill.catalog.query import Match, ModelFilter, Order, context_of, select
from weebill.catalog.schema import Modality, Model, Offer, Price
from weebill.cli.auto_tiers import tiers_in_words
from weebill.cli.errors import CommandError
from weebill.cli.models import states
from weebill.cli.output import NOTHING, print_json, print_table
from weebill.cli.providers import active_providers, identity, load_catalogue
from weebill.config.load import Sources, load
from weebill.config.problems import did_you_mean
from weebill.config.routing import targets
from weebill.config.schema import NOBODY, Settings

HERE = "this machine"
LOCAL = "local"
_MODALITIES = ("text", "image", "audio", "video", "pdf")
_SHOWN_PROVIDERS = 3
_NANO_PER_DOLLAR_A_MILLION = 1_000_000


@dataclass(frozen=True)
class ListOptions:
    """The options of the list; `max_price` is dollars per million tokens."""

    text: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    max_price: float | None = None
    min_context: int | None = None
    modalities: tuple[str, ...] = ()
    tools: bool = False
    reasoning: bool = False
    open_weights: bool = False
    local: bool = False
    active: bool = False


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A model of this machine, or one that only the configuration knows."""

    id: str
    provider: str
    state: str
    context_length: int | None = None

    @property
    def is_local(self) -> bool:
        return self.provider == LOCAL


def list_catalogue(sources: Sources, wanted: ListOptions, order: Order, as_json: bool) -> None:
    """Prints the matching models; those of this machine and of the configuration first."""
    configuration = load(sources)
    settings = configuration.settings
    catalogue = as_configured(load_catalogue(sources.home), settings)
    _check(wanted, catalogue, settings)
    usable = active_providers(settings)
    own = [each for each in _own(sources, settings, catalogue) if _fits(each, wanted)]
    found = [] if wanted.local else select(catalogue.models.values(), _filter(wanted, usable), order)
    if as_json:
        rows = [*map(msgspec.to_builtins, own), *(_described(match.model, match.offers, usable) for match in found)]
        print_json(rows)
    elif own or found:
        headings = ("MODEL", "CONTEXT", "$/M IN", "$/M OUT", "READS", "MAKES", "TOOLS", "FROM")
        print_table(headings, [*map(_own_row, own), *(_row(match, usable) for match in found)])
        if wanted == ListOptions():
            for auto, tiers in tiers_in_words(configuration).items():
                typer.echo(f"\n{auto}: {tiers}")
    else:
        typer.echo("No model is like that; `weebill models` lists them all")


def show(sources: Sources, name: str, as_json: bool) -> None:
    """Prints the details of one model."""
    settings = load(sources).settings
    catalogue = as_configured(load_catalogue(sources.home), settings)
    target = target_of(settings, name)
    usable = active_providers(settings)
    if model := catalogue.find(target):
        if as_json:
            print_json(_described(model, model.offers, usable))
        else:
            _print_model(model, settings)
        return
    known = {each.id: each for each in _own(sources, settings, catalogue)}
    if target not in known:
        nearest = did_you_mean(name, [*known, *catalogue.models])
        raise CommandError(f"there is no model {name!r}{nearest}", "`weebill models` lists them")
    if as_json:
        print_json(msgspec.to_builtins(known[target]))
    else:
        print_table(("MODEL", "CONTEXT", "FROM", "STATE"), [_own_details(known[target])])


def target_of(settings: Settings, name: str) -> str:
    """Returns the name that an alias stands for, the first if it stands for several; `name` if it is no alias."""
    for _ in settings.aliases:
        if (alias := settings.aliases.get(name)) is not None:
            name = targets(alias)[0]
    return name


def as_configured(catalogue: Catalogue, settings: Settings) -> Catalogue:
    """Returns the catalogue, with further offers under the names that the configuration gives to providers."""
    sections: dict[str, list[str]] = {}
    for name, provider in settings.providers.items():
        if (identity := provider.identity(name)) != name:
            sections.setdefault(identity, []).append(name)

    def offers(model: Model) -> Iterator[Offer]:
        yield from model.offers
        for offer in model.offers:
            for name in sections.get(offer.provider, ()):
                chosen = settings.providers[name].models
                if not chosen or offer.name in chosen:
                    yield msgspec.structs.replace(offer, provider=name)

    models = [msgspec.structs.replace(model, offers=tuple(offers(model))) for model in catalogue.models.values()]
    return Catalogue.of(catalogue.providers.values(), models, catalogue.source, catalogue.date)


def dollars(nano: int | None) -> str:
    """Formats nano-dollars per thousand tokens as dollars per million: `0.15`."""
    return NOTHING if nano is None else f"{nano / _NANO_PER_DOLLAR_A_MILLION:.6f}".rstrip("0").rstrip(".")


def tokens(count: int | None) -> str:
    """Formats a number of tokens: `128k`, `1M`."""
    if count is None:
        return NOTHING
    if count >= 1_000_000:
        return f"{count / 1_000_000:.2f}".rstrip("0").rstrip(".") + "M"
    return f"{count // 1000}k" if count >= 1000 else str(count)


def _check(wanted: ListOptions, catalogue: Catalogue, settings: Settings) -> None:
    """Raises CommandError for unknown names."""
    known = sorted({LOCAL, *catalogue.providers, *settings.providers})
    for name in wanted.providers:
        if name not in known:
            raise CommandError(
                f"there is no provider {name!r}{did_you_mean(name, known)}", "`weebill providers` lists them"
            )
    for name in wanted.modalities:
        if name not in _MODALITIES:
            raise CommandError(f"{name!r} is no modality", f"it is one of {', '.join(_MODALITIES)}")


def _filter(wanted: ListOptions, usable: frozenset[str]) -> ModelFilter:
    providers = frozenset(wanted.providers) if wanted.providers else None
    if wanted.active:
        providers = usable if providers is None else providers & usable
    return ModelFilter(
        providers=providers,
        max_price=None if wanted.max_price is None else round(wanted.max_price * _NANO_PER_DOLLAR_A_MILLION),
        min_context=wanted.min_context,
        modalities=cast("tuple[Modality, ...]", wanted.modalities),
        tools=wanted.tools,
        reasoning=wanted.reasoning,
        open_weights=wanted.open_weights,
        text=wanted.text,
    )


def _own(sources: Sources, settings: Settings, catalogue: Catalogue) -> Iterator[Own]:
    context = settings.local.engine.context
    for name, state in states(settings, sources).items():
        yield Own(id=name, provider=LOCAL, state=state, context_length=context)
    for provider, each in settings.providers.items():
        for name in each.models:
            if each.catalog == NOBODY or catalogue.served(provider, name) is None:
                yield Own(id=f"{provider}/{name}", provider=provider, state="configured")


def _fits(own: Own, wanted: ListOptions) -> bool:
    """True if a model passes; unknown properties fail. Local models are free, read text and call tools."""
    here = own.is_local
    return (
        (here or not wanted.local)
        and (not wanted.providers or own.provider in wanted.providers)
        and (here or wanted.max_price is None)
        and (wanted.min_context is None or (own.context_length or 0) >= wanted.min_context)
        and set(wanted.modalities) <= ({"text"} if here else set())
        and (here or not (wanted.tools or wanted.open_weights))
        and not wanted.reasoning
        and all(word.lower() in own.id.lower() for word in wanted.text)
    )


def _own_row(own: Own) -> tuple[str, ...]:
    facts = ("free", "free", "text", "text", "yes", HERE) if own.is_local else (*[NOTHING] * 5, own.provider)
    return (own.id, tokens(own.context_length), *facts)


def _own_details(own: Own) -> tuple[str, ...]:
    return own.id, tokens(own.context_length), HERE if own.is_local else own.provider, own.state


def _row(match: Match, usable: frozenset[str]) -> tuple[str, ...]:
    model = match.model
    return (
        model.id,
        tokens(max((context_of(model, offer) or 0 for offer in match.offers), default=0) or None),
        *_prices(match.offers),
        " ".join(model.input_modalities),
        " ".join(model.output_modalities),
        "yes" if model.tools else NOTHING,
        _names(match.offers, usable),
    )


def _prices(offers: Iterable[Offer]) -> tuple[str, str]:
    """Returns the prices of the cheapest offer that charges, as free ones are narrowly limited; "free" if all are."""
    prices = [offer.price for offer in offers if offer.price is not None]
    charged = next((price for price in prices if price.input or price.output), None)
    if charged is not None:
        return dollars(charged.input), dollars(charged.output)
    return ("free", "free") if prices else (NOTHING, NOTHING)


def _names(offers: Iterable[Offer], usable: frozenset[str]) -> str:
    """Returns the providers, usable ones first."""
    names = sorted({offer.provider for offer in offers}, key=lambda name: (name not in usable, name))
    more = len(names) - _SHOWN_PROVIDERS
    return " ".join(names[:_SHOWN_PROVIDERS]) + (f" +{more}" if more > 0 else "")


def _described(model: Model, offers: Iterable[Offer], usable: frozenset[str]) -> dict[str, object]:
    described = cast("dict[str, object]", msgspec.to_builtins(model))
    described["offers"] = [
        {**cast("dict[str, object]", msgspec.to_builtins(offer)), "active": offer.provider in usable}
        for offer in offers
    ]
    return described


def _print_model(model: Model, settings: Settings) -> None:
    facts = (
        ("name", model.name),
        ("kind", model.kind),
        ("context", tokens(model.context_length)),
        ("longest answer", tokens(model.max_output_tokens)),
        ("reads", " ".join(model.input_modalities)),
        ("makes", " ".join(model.output_modalities)),
        ("tools", _yes(model.tools)),
        ("JSON schema", _yes(model.structured_output)),
        ("reasoning", _yes(model.reasoning)),
        ("open weights", _yes(model.open_weights) + (f", {model.license}" if model.license else "")),
        ("released", model.released or NOTHING),
    )
    print_table(("MODEL", model.id), facts)
    typer.echo("\nDollars per million tokens")
    headings = ("PROVIDER", "CATALOG", "NAME THERE", "IN", "OUT", "CACHED", "CACHE WRITE", "CONTEXT", "REGION", "KEY")
    print_table(headings, [row for offer in model.offers for row in _offer_rows(model, offer, settings)])


def _offer_rows(model: Model, offer: Offer, settings: Settings) -> Iterator[tuple[str, ...]]:
    yield (
        offer.provider,
        identity(offer.provider, settings),
        offer.name,
        *_rates(offer.price),
        tokens(context_of(model, offer)),
        offer.region or NOTHING,
        "yes" if offer.provider in active_providers(settings) else NOTHING,
    )
    for tier in offer.price.tiers if offer.price else ():
        rates = (tier.input, tier.output, tier.cache_read, tier.cache_write)
        yield ("", "", f"  above {tokens(tier.above)}", *map(dollars, rates), "", "", "")


def _rates(price: Price | None) -> tuple[str, ...]:
    if price is None:
        return (NOTHING,) * 4
    if not price.input and not price.output:
        return ("free", "free", NOTHING, NOTHING)
    return tuple(map(dollars, (price.input, price.output, price.cache_read, price.cache_write)))


def _yes(value: bool | None) -> str:
    return "not known" if value is None else "yes" if value else "no"
