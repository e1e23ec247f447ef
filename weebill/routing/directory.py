"""Which names exist and which deployments serve them, worked out once for each configuration.

A name is an upstream's own (`gpt-4o-mini`), one pinned to its provider (`acme/gpt-4o-mini`), the catalogue's
(`openai/gpt-4o-mini`), or an alias (`mini`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec

from weebill.catalog.load import Catalogue, load
from weebill.catalog.pricing import cost_nano
from weebill.catalog.schema import Model, Offer
from weebill.config.schema import EngineSettings, ProviderSettings, Settings
from weebill.process.messages import EngineState
from weebill.providers.base import Quirks, Target, UpstreamRequest
from weebill.routing.cards import card_of
from weebill.routing.credentials import Signer, key_line, signer
from weebill.transport.client import Origin, Timeouts
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelCard
from weebill.wire.reply import Usage

LOCAL: Final = "local"
VIRTUAL_OWNER: Final = "weebill"
LOCAL_DIALECT: Final = "llamacpp"
_ENGINE_TIMEOUTS: Final = Timeouts(connect=2.0, first_byte=600.0, idle=600.0, total=3600.0)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a provider is and how to call it; all its deployments share one.

    `dialects` are all that it speaks at that address. `headers` are lines that go with every request; a `signer`
    makes more for each.
    """

    name: str
    dialects: frozenset[str]
    origin: Origin
    path: bytes
    headers: bytes
    timeouts: Timeouts
    forward_headers: frozenset[bytes]
    max_in_flight: int
    signer: Signer | None = None

    def head(self, request: UpstreamRequest) -> bytes:
        """Request line and headers for `request`."""
        return b"POST %b%b HTTP/1.1\r\n%b%b" % (self.path, request.path, self.headers, request.headers)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at an upstream. `upstream` is None while a local model's host is down.

    `model` is the name the upstream knows it by, `provider` the name of the upstream, `dialect` what is spoken with
    it; `target` says all that to a translator. `price` gives the nano-dollars for a usage, None where it is not known.
    """

    provider: str
    model: str
    upstream: Upstream | None
    target: Target
    dialect: str
    price: Callable[[Usage], int] | None = None


class Directory:
    """The names of one configuration. Immutable: a change of configuration or of an engine makes a new one."""

    def __init__(
        self, settings: Settings, engines: Iterable[EngineState], created: int, catalogue: Catalogue | None = None
    ) -> None:
        """`created` is Unix time, shown in the list of models; without a `catalogue`, the package's own is used."""
        self._by_name: dict[str, Deployment] = {}
        self._cards: dict[str, ModelCard] = {}
        for deployment, model, offer in _deployments(settings, engines, catalogue or load()):
            self._add(deployment, model, offer, created)
        for alias in settings.aliases:
            target = _follow(settings.aliases, alias)
            if target in self._by_name:
                self._by_name[alias] = self._by_name[target]
                known = self._cards.get(target) or ModelCard(target, created, VIRTUAL_OWNER)
                self._cards[alias] = msgspec.structs.replace(known, id=alias, owned_by=VIRTUAL_OWNER)

    def resolve(self, name: str) -> Deployment:
        """What serves `name`. Raises ApiError 404 if nothing has that name."""
        try:
            return self._by_name[name]
        except KeyError:
            raise ApiError(
                404,
                f"The model '{name}' does not exist. GET /v1/models lists those that do.",
                code="model_not_found",
                param="model",
            ) from None

    def cards(self) -> tuple[ModelCard, ...]:
        """Every model once, then the aliases."""
        return tuple(self._cards.values())

    def card(self, name: str) -> ModelCard:
        """The card of `name`, pinned names included. Raises ApiError 404 if nothing has that name."""
        deployment = self.resolve(name)
        known = self._cards.get(name) or self._cards.get(deployment.model)
        if known is not None:
            return msgspec.structs.replace(known, id=name)
        return ModelCard(name, next(iter(self._cards.values())).created, deployment.provider)

    def available(self) -> dict[str, bool]:
        """For each model, whether it can be called now."""
        return {name: self._by_name[name].upstream is not None for name in self._cards}

    def _add(self, deployment: Deployment, model: Model | None, offer: Offer | None, created: int) -> None:
        self._by_name[f"{deployment.provider}/{deployment.model}"] = deployment
        for name in (deployment.model,) if model is None else (model.id, deployment.model):
            self._by_name.setdefault(name, deployment)
        shown = deployment.model if model is None else model.id
        if shown not in self._cards and self._by_name[shown] is deployment:
            self._cards[shown] = card_of(shown, deployment.provider, created, model, offer)


def _follow(aliases: dict[str, str], alias: str) -> str:
    """The model that an alias stands for in the end; checking the configuration has ruled loops out."""
    target = aliases[alias]
    while target in aliases:
        target = aliases[target]
    return target


def _deployments(
    settings: Settings, engines: Iterable[EngineState], catalogue: Catalogue
) -> Iterator[tuple[Deployment, Model | None, Offer | None]]:
    for engine in engines:
        upstream = _engine_upstream(engine, settings.local.engine)
        target = Target(model=engine.model, provider=LOCAL)
        yield Deployment(LOCAL, engine.model, upstream, target, LOCAL_DIALECT), None, None
    for name, provider in settings.providers.items():
        upstream = _provider_upstream(name, provider, catalogue)
        for model in provider.models or _offered(name, catalogue):
            known, offer = catalogue.served(name, model) or (None, None)
            yield _deployment(name, model, provider, upstream, known, offer), known, offer


def _offered(provider: str, catalogue: Catalogue) -> tuple[str, ...]:
    """The upstream's names of all models that the catalogue has of a provider."""
    return tuple(
        offer.name for model in catalogue.models.values() for offer in model.offers if offer.provider == provider
    )


def _deployment(
    name: str, model: str, provider: ProviderSettings, upstream: Upstream, known: Model | None, offer: Offer | None
) -> Deployment:
    quirks = provider.quirks
    limit = (offer.max_output_tokens if offer else None) or (known.max_output_tokens if known else None)
    target = Target(
        model=model,
        provider=name,
        quirks=Quirks() if quirks is None else msgspec.convert(msgspec.to_builtins(quirks), Quirks),
        options=provider.options,
        max_output_tokens=limit,
    )
    price = None if offer is None or offer.price is None else partial(cost_nano, offer.price)
    dialect = (offer.dialect if offer else "") or provider.dialect or "openai"
    return Deployment(name, model, upstream, target, dialect, price)


def _engine_upstream(engine: EngineState, settings: EngineSettings) -> Upstream | None:
    if engine.base_url is None:
        return None
    max_in_flight = settings.parallel + settings.max_waiting
    origin, _ = Origin.parse(engine.base_url, max_in_flight)
    return Upstream(
        name=LOCAL,
        dialects=frozenset({LOCAL_DIALECT}),
        origin=origin,
        path=b"/v1",
        headers=_headers(_host(engine.base_url), f"authorization: Bearer {engine.api_key}"),
        timeouts=_ENGINE_TIMEOUTS,
        forward_headers=frozenset(),
        max_in_flight=max_in_flight,
    )


def _provider_upstream(name: str, provider: ProviderSettings, catalogue: Catalogue) -> Upstream:
    origin, path = Origin.parse(provider.base_url, provider.max_connections)
    dialect = provider.dialect or "openai"
    known = catalogue.providers.get(name)
    host = _host(provider.base_url)
    return Upstream(
        name=name,
        dialects=frozenset({dialect, *(known.also if known is not None and known.dialect == dialect else ())}),
        origin=origin,
        path=path.encode(),
        headers=_headers(host, key_line(dialect, provider)),
        timeouts=Timeouts(
            connect=provider.connect_timeout_s,
            first_byte=provider.first_byte_timeout_s,
            idle=provider.idle_timeout_s,
            total=provider.total_timeout_s,
        ),
        forward_headers=frozenset(header.lower().encode() for header in provider.forward_headers),
        max_in_flight=provider.max_connections,
        signer=signer(dialect, provider, host),
    )


def _host(base_url: str) -> str:
    return urlsplit(base_url).netloc.rpartition("@")[2]


def _headers(host: str, key: str) -> bytes:
    lines = [f"host: {host}", "accept: application/json, text/event-stream"]
    if key:
        lines.append(key)
    return "".join(f"{line}\r\n" for line in lines).encode()
