"""Which names exist and which deployments serve them, worked out once for each configuration.

A name is a model's own (`gpt-4o-mini`), one pinned to its provider (`acme/gpt-4o-mini`), or an alias (`mini`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from weebill.config.schema import EngineSettings, ProviderSettings, Settings
from weebill.process.messages import EngineState
from weebill.providers import TRANSLATORS
from weebill.providers.base import Target, Translator, UpstreamRequest
from weebill.transport.client import Origin, Timeouts
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelCard

LOCAL: Final = "local"
VIRTUAL_OWNER: Final = "weebill"
_ENGINE_TIMEOUTS: Final = Timeouts(connect=2.0, first_byte=600.0, idle=600.0, total=3600.0)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a provider is and how to speak to it; all its deployments share one."""

    name: str
    translator: Translator
    origin: Origin
    path: bytes
    headers: bytes
    timeouts: Timeouts
    forward_headers: frozenset[bytes]
    max_in_flight: int

    def head(self, request: UpstreamRequest) -> bytes:
        """Request line and headers for `request`."""
        return b"POST %b%b HTTP/1.1\r\n%b%b" % (self.path, request.path, self.headers, request.headers)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at an upstream. `upstream` is None while a local model's host is down.

    `model` is the name the upstream knows it by, `provider` the name of the upstream; `target` says the same and more
    to a translator.
    """

    provider: str
    model: str
    upstream: Upstream | None
    target: Target


class Directory:
    """The names of one configuration. Immutable: a change of configuration or of an engine makes a new one."""

    def __init__(self, settings: Settings, engines: Iterable[EngineState], created: int) -> None:
        """`created` is Unix time, shown in the list of models."""
        self._by_name: dict[str, Deployment] = {}
        self._cards: list[ModelCard] = []
        for deployment in _deployments(settings, engines):
            self._add(deployment, created)
        for alias in settings.aliases:
            target = _follow(settings.aliases, alias)
            if target in self._by_name:
                self._by_name[alias] = self._by_name[target]
                self._cards.append(ModelCard(alias, created, VIRTUAL_OWNER))

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
        return tuple(self._cards)

    def card(self, name: str) -> ModelCard:
        """The card of `name`, pinned names included. Raises ApiError 404 if nothing has that name."""
        deployment = self.resolve(name)
        for card in self._cards:
            if card.id == name:
                return card
        return ModelCard(name, self._cards[0].created, deployment.provider)

    def available(self) -> dict[str, bool]:
        """For each model, whether it can be called now."""
        return {card.id: self._by_name[card.id].upstream is not None for card in self._cards}

    def _add(self, deployment: Deployment, created: int) -> None:
        self._by_name[f"{deployment.provider}/{deployment.model}"] = deployment
        if deployment.model not in self._by_name:
            self._by_name[deployment.model] = deployment
            self._cards.append(ModelCard(deployment.model, created, deployment.provider))


def _follow(aliases: dict[str, str], alias: str) -> str:
    """The model that an alias stands for in the end; checking the configuration has ruled loops out."""
    target = aliases[alias]
    while target in aliases:
        target = aliases[target]
    return target


def _deployments(settings: Settings, engines: Iterable[EngineState]) -> Iterator[Deployment]:
    for engine in engines:
        yield Deployment(
            LOCAL,
            engine.model,
            _engine_upstream(engine, settings.local.engine),
            Target(model=engine.model, provider=LOCAL),
        )
    for name, provider in settings.providers.items():
        upstream = _provider_upstream(name, provider)
        for model in provider.models:
            yield Deployment(name, model, upstream, Target(model=model, provider=name))


def _engine_upstream(engine: EngineState, settings: EngineSettings) -> Upstream | None:
    if engine.base_url is None:
        return None
    max_in_flight = settings.parallel + settings.max_waiting
    origin, _ = Origin.parse(engine.base_url, max_in_flight)
    return Upstream(
        name=LOCAL,
        translator=TRANSLATORS["llamacpp"],
        origin=origin,
        path=b"/v1",
        headers=_headers(engine.base_url, engine.api_key),
        timeouts=_ENGINE_TIMEOUTS,
        forward_headers=frozenset(),
        max_in_flight=max_in_flight,
    )


def _provider_upstream(name: str, provider: ProviderSettings) -> Upstream:
    origin, path = Origin.parse(provider.base_url, provider.max_connections)
    return Upstream(
        name=name,
        translator=TRANSLATORS[provider.dialect],
        origin=origin,
        path=path.encode(),
        headers=_headers(provider.base_url, provider.api_key),
        timeouts=Timeouts(
            connect=provider.connect_timeout_s,
            first_byte=provider.first_byte_timeout_s,
            idle=provider.idle_timeout_s,
            total=provider.total_timeout_s,
        ),
        forward_headers=frozenset(header.lower().encode() for header in provider.forward_headers),
        max_in_flight=provider.max_connections,
    )


def _headers(base_url: str, api_key: str | None) -> bytes:
    host = urlsplit(base_url).netloc.rpartition("@")[2]
    lines = [f"host: {host}", "accept: application/json, text/event-stream"]
    if api_key:
        lines.append(f"authorization: Bearer {api_key}")
    return "".join(f"{line}\r\n" for line in lines).encode()
