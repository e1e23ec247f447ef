"""The deployments of a configuration: models, their upstreams, and how to call them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

import msgspec

from weebill.catalog.load import Catalogue
from weebill.catalog.pricing import FREE, UNKNOWN, Tariff
from weebill.catalog.schema import Model, Offer, Provider, Quirks
from weebill.catalog.traits import OnUnsupported, traits_of
from weebill.config.offers import BEHIND, offered, served
from weebill.config.schema import EngineSettings, ProviderSettings, Settings
from weebill.process.messages import EngineState
from weebill.providers.base import Target, UpstreamRequest
from weebill.routing.capabilities import NOTHING_KNOWN, Capabilities, local_capabilities, provider_capabilities
from weebill.routing.credentials import Credential, Signer, credentials, key_lines, signer
from weebill.routing.servers import ServedModel, context_of, names_of
from weebill.routing.sticky import salt
from weebill.transport.client import Origin, Proxy, Timeouts, Trust

LOCAL: Final = "local"
LOCAL_DIALECT: Final = "llamacpp"
_NOTHING_LISTED: Final[Mapping[str, Sequence[ServedModel]]] = {}
# The address of a model that is not loaded, at which nothing is sent.
_NOBODY: Final = "http://127.0.0.1:1"
_ENGINE_TIMEOUTS: Final = Timeouts(connect=2.0, first_byte=600.0, idle=600.0, total=3600.0)
# Seconds to the head of an answer. An answer in one piece has its head when it is complete; the SDKs wait as long.
_FIRST_BYTE_S: Final = 120.0
_FIRST_BYTE_OF_WHOLE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """The address of a provider and how to call it; shared by all its deployments.

    `dialects` are all that it speaks at that address. It has at least one of `credentials`, whose lines go with every
    request; a `signer` adds more for each. `timeouts` are for streams, `whole_timeouts` for answers in one piece.
    `patience_s` is the longest silence before a stream's first content that its timeouts allow. `slots` is the number
    of requests that a local model works on at once, else 0, and `engine` its name; while it is `cold`, the address is
    nobody's, and requests wait until the model is loaded. Models with the same `host` share slots; a request holds them
    together with others for the same `adapters` alone, and its body has `added` at its end. One that `stays` is not
    unloaded for want of use. `account` is the project whose own credentials they are, "" for the installation's.
    """

    name: str
    dialects: frozenset[str]
    origin: Origin
    path: bytes
    credentials: tuple[Credential, ...]
    timeouts: Timeouts
    whole_timeouts: Timeouts
    forward_headers: frozenset[bytes]
    max_in_flight: int
    signer: Signer | None = None
    slots: int = 0
    engine: str = ""
    cold: bool = False
    host: str = ""
    adapters: str = ""
    added: bytes = b""
    stays: bool = False
    account: str = ""
    patience_s: float = field(init=False)

    def __post_init__(self) -> None:
        patience_s = self.timeouts.connect + self.timeouts.first_byte + self.timeouts.idle
        object.__setattr__(self, "patience_s", patience_s)

    @property
    def whose(self) -> str:
        """Its name, and whose account it is: what is found out with one need not hold for another."""
        return f"{self.name} {self.account}" if self.account else self.name

    def head(self, request: UpstreamRequest, credential: Credential | None = None) -> bytes:
        """Returns request line and headers for `request`, with the first credential unless another is given."""
        lines = self.credentials[0].lines if credential is None else credential.lines
        return b"%b %b%b HTTP/1.1\r\n%b%b" % (request.method, self.path, request.path, lines, request.headers)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at an upstream. `upstream` is None while a local model's host is down.

    `model` is the upstream's name of it, `provider` the configured name of the upstream, `catalog` the catalogue's name
    of the provider. `dialect` is spoken with it, `target` is for translators, `price` is of its calls. `capabilities`
    are for filters. `key` (`provider/model`) is unique in a configuration, `salt` its hash. One that is `own` is called
    with its project's own key, which costs the project nothing here.
    """

    provider: str
    model: str
    upstream: Upstream | None
    target: Target
    dialect: str
    price: Tariff = UNKNOWN
    capabilities: Capabilities = NOTHING_KNOWN
    catalog: str = ""
    own: bool = False
    key: str = field(init=False)
    salt: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.provider}/{self.model}")
        object.__setattr__(self, "salt", salt(self.key))


def deployments(
    settings: Settings,
    engines: Iterable[EngineState],
    catalogue: Catalogue,
    listed: Mapping[str, Sequence[ServedModel]] = _NOTHING_LISTED,
) -> Iterator[tuple[Deployment, Model | None, Offer | None]]:
    """Yields the deployments of a configuration in order, each with the catalogue's model and offer, if any.

    `listed` are the models that providers' servers list by themselves.
    """
    for engine in engines:
        upstream = _engine_upstream(engine, settings.local.engine)
        target = Target(
            model=engine.model,
            provider=LOCAL,
            # An answer may fill the context that the prompt leaves.
            max_output_tokens=engine.context or None,
            traits=traits_of(engine.model),
            on_unsupported=settings.routing.on_unsupported,
            task=engine.task,
            dimensions=engine.dimensions,
            slots=engine.slots or settings.local.engine.parallel,
            defaults=engine.defaults,
            begins=engine.begins,
            static=engine.static,
        )
        capabilities = local_capabilities(
            engine.context, engine.task, vision=engine.vision, dimensions=engine.dimensions
        )
        yield Deployment(LOCAL, engine.model, upstream, target, LOCAL_DIALECT, FREE, capabilities), None, None
    for name, provider in settings.providers.items():
        identity = provider.identity(name)
        row = catalogue.providers.get(identity)
        upstream = provider_upstream(name, provider, row)
        own = listed.get(name, ())
        for model in provider.models or offered(identity, catalogue) or names_of(own):
            known, offer = served(catalogue, identity, model, provider)
            context = context_of(model, own) if own else 0
            capabilities = provider_capabilities(provider, None if row is None else row.data, known, offer, context)
            on_unsupported = provider.on_unsupported or settings.routing.on_unsupported
            yield _deployment(name, model, provider, upstream, capabilities, offer, on_unsupported, row), known, offer


def _deployment(
    name: str,
    model: str,
    provider: ProviderSettings,
    upstream: Upstream,
    capabilities: Capabilities,
    offer: Offer | None,
    on_unsupported: OnUnsupported,
    row: Provider | None,
) -> Deployment:
    identity = provider.identity(name)
    spoken = provider.dialect or "openai"
    target = Target(
        model=model,
        provider=name,
        maker=identity if row is not None and row.signatures == "vendor" else "",
        quirks=provider.quirks or (Quirks() if row is None else row.quirks),
        options=provider.options,
        max_output_tokens=capabilities.max_output,
        traits=traits_of(
            capabilities.canonical or provider.options.get(f"{BEHIND}{model}", model), capabilities.reasoning
        ),
        on_unsupported=on_unsupported,
    )
    price = Tariff(capabilities.price, reports=target.quirks.reports_cost)
    # The catalogue's dialect of an offer is meant for the provider's own dialect.
    is_own = offer is not None and (row is None or row.dialect == spoken)
    dialect = (offer.dialect if offer is not None and is_own else "") or spoken
    return Deployment(name, model, upstream, target, dialect, price, capabilities, identity)


def _engine_upstream(engine: EngineState, settings: EngineSettings) -> Upstream | None:
    if engine.base_url is None and not engine.cold:
        return None
    base_url = engine.base_url or _NOBODY
    slots = engine.slots or settings.parallel
    max_in_flight = slots + settings.max_waiting
    origin, _ = Origin.parse(base_url, max_in_flight)
    return Upstream(
        name=LOCAL,
        dialects=frozenset({LOCAL_DIALECT}),
        origin=origin,
        path=b"/v1",
        credentials=credentials(LOCAL, _host(base_url), [(engine.api_key, f"authorization: Bearer {engine.api_key}")]),
        timeouts=_ENGINE_TIMEOUTS,
        whole_timeouts=_ENGINE_TIMEOUTS,
        forward_headers=frozenset(),
        max_in_flight=max_in_flight,
        slots=slots,
        engine=engine.model,
        cold=engine.base_url is None,
        host=engine.host or engine.model,
        adapters=" ".join(engine.adapters),
        added=_scales(engine.scales),
        stays=engine.stays,
    )


def _scales(scales: Sequence[float]) -> bytes:
    """Returns a member of a request's body that sets all adapters of a host: those that are not named keep, for some
    requests, what the one before had.
    """
    if not scales:
        return b""
    named = [{"id": number, "scale": scale} for number, scale in enumerate(scales)]
    return b',"lora":%b' % msgspec.json.encode(named)


def provider_upstream(name: str, provider: ProviderSettings, known: Provider | None) -> Upstream:
    """Returns the upstream of a configured provider; `known` is the catalogue's row of it."""
    trust = Trust(
        ca_file=provider.ca_file or "",
        client_cert=provider.client_cert or "",
        client_key=provider.client_key or "",
        verify=provider.verify,
    )
    proxy = Proxy.parse(provider.proxy) if provider.proxy else None
    origin, path = Origin.parse(provider.base_url, provider.max_connections, proxy, trust)
    dialect = provider.dialect or "openai"
    host = _host(provider.base_url)
    return Upstream(
        name=name,
        dialects=frozenset({dialect, *(known.also if known is not None and known.dialect == dialect else ())}),
        origin=origin,
        path=path.encode(),
        credentials=credentials(name, host, key_lines(dialect, provider)),
        timeouts=_timeouts(provider, _FIRST_BYTE_S),
        whole_timeouts=_timeouts(provider, _FIRST_BYTE_OF_WHOLE_S),
        forward_headers=frozenset(header.lower().encode() for header in provider.forward_headers),
        max_in_flight=provider.max_connections,
        signer=signer(dialect, provider, host),
    )


def owned(deployment: Deployment, project_id: str, upstream: Upstream) -> Deployment:
    """Returns the deployment as a project calls it with its own key, at an upstream with that."""
    target = deployment.target
    if target.maker == deployment.provider:
        # What an account has signed or encrypted goes back to that account alone.
        target = msgspec.structs.replace(target, maker=f"{deployment.provider}@{project_id}")
    return replace(deployment, upstream=upstream, target=target, price=FREE, own=True)


def _timeouts(provider: ProviderSettings, first_byte_s: float) -> Timeouts:
    return Timeouts(
        connect=provider.connect_timeout_s,
        first_byte=provider.first_byte_timeout_s or first_byte_s,
        idle=provider.idle_timeout_s,
        total=provider.total_timeout_s,
    )


def _host(base_url: str) -> str:
    return urlsplit(base_url).netloc.rpartition("@")[2]
