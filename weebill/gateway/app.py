"""What a worker answers at which path; everything else goes through the tunnel to the control process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Final
from urllib.parse import unquote

import msgspec

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.authentication import Authenticator
from weebill.gateway.counting import ANTHROPIC_COUNT, GEMINI_COUNT, Counting
from weebill.gateway.inference import Inference
from weebill.gateway.metered import JSON, Upstreams
from weebill.gateway.operations import Operations
from weebill.gateway.responses import KeptResponses
from weebill.providers.operations import ENDPOINTS as OPERATION_ENDPOINTS
from weebill.transport.exchange import Exchange
from weebill.transport.tunnel import Tunnel
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelList

Serve = Callable[[Exchange], Coroutine[None, None, None]]

# The API's own root, and the one under which the brief's `curl` expects it.
PREFIXES: Final = (b"/v1", b"/openai/v1")
_GENERATION: Final[tuple[tuple[bytes, Api], ...]] = (
    *((prefix + b"/chat/completions", CHAT) for prefix in PREFIXES),
    *((prefix + b"/completions", COMPLETIONS) for prefix in PREFIXES),
    (b"/v1/messages", ANTHROPIC),
    (b"/anthropic/v1/messages", ANTHROPIC),
)
_RESPONSES: Final = b"/responses"
_COUNT_TOKENS: Final = (b"/v1/messages/count_tokens", b"/anthropic/v1/messages/count_tokens")
# Where Gemini's clients say model and method: `gemini-2.5-flash:generateContent`.
_GEMINI: Final = (b"/v1beta/models/", b"/v1/models/", b"/gemini/v1beta/models/", b"/v1beta/", b"/gemini/v1beta/")
_COUNT_METHOD: Final = ":countTokens"
_TEXT: Final = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"


class Readiness(msgspec.Struct, frozen=True):
    """The body of `/readyz`: whether any model can answer, and which."""

    ready: bool
    models: dict[str, bool]


class App:
    """The handler of a worker's server."""

    def __init__(
        self,
        authenticator: Authenticator,
        upstreams: Upstreams,
        inference: Inference,
        operations: Operations,
        counting: Counting,
        responses: Inference,
        kept: KeptResponses,
        tunnel: Tunnel,
        exposition: Callable[[], bytes],
    ) -> None:
        """`responses` is `inference` with state; `exposition` gives the text of `/metrics`."""
        self._authenticator = authenticator
        self._upstreams = upstreams
        self._inference = inference
        self._operations = operations
        self._counting = counting
        self._responses = responses
        self._kept = kept
        self._tunnel = tunnel
        self._exposition = exposition
        self.draining = False
        self._routes: dict[bytes, tuple[bytes, Serve]] = dict(self._fixed_routes())

    def __call__(self, exchange: Exchange) -> Coroutine[None, None, None]:
        """What answers one exchange. Raises ApiError, here or there, for what is to be answered so."""
        route = self._routes.get(exchange.path)
        if route is None:
            return self._serve_other(exchange)
        method, serve = route
        if exchange.method != method:
            _require(exchange, method)
        return serve(exchange)

    def _fixed_routes(self) -> Iterator[tuple[bytes, tuple[bytes, Serve]]]:
        yield b"/healthz", (b"GET", self._health)
        yield b"/readyz", (b"GET", self._ready)
        yield b"/metrics", (b"GET", self._metrics)
        for prefix in PREFIXES:
            yield prefix + b"/models", (b"GET", self._models)
        for path, api in _GENERATION:
            yield path, (b"POST", partial(self._inference.serve, endpoint=api))
        for prefix in PREFIXES:
            yield prefix + _RESPONSES, (b"POST", partial(self._responses.serve, endpoint=RESPONSES))
        for path in _COUNT_TOKENS:
            yield path, (b"POST", partial(self._counting.serve, endpoint=ANTHROPIC_COUNT))
        for operation in OPERATION_ENDPOINTS:
            for path in (*(prefix + operation.path for prefix in PREFIXES), *operation.aliases):
                yield path, (b"POST", partial(self._operations.serve, endpoint=operation))

    async def _serve_other(self, exchange: Exchange) -> None:
        """What has a part of its path to itself."""
        path = exchange.path
        for prefix in _GEMINI:
            if path.startswith(prefix) and b":" in path and exchange.method != b"GET":
                await self._gemini(exchange, path.removeprefix(prefix))
                return
        root = next((prefix for prefix in PREFIXES if _is_below(path, prefix)), None)
        if root is None:
            await self._tunnel.relay(exchange)
            return
        if path.startswith(root + _RESPONSES + b"/"):
            await self._kept.serve(exchange, unquote(path.removeprefix(root + _RESPONSES + b"/").decode("latin-1")))
            return
        name = path.removeprefix(root + b"/models/")
        if name and name != path:
            _require(exchange, b"GET")
            self._model(exchange, unquote(name.decode("latin-1")))
            return
        raise ApiError(404, f"Unknown request URL: {_shown(exchange)}.", code="unknown_url")

    async def _gemini(self, exchange: Exchange, rest: bytes) -> None:
        _require(exchange, b"POST")
        tail = unquote(rest.decode("latin-1"))
        asked = f"{tail}?{exchange.query.decode('latin-1')}" if exchange.query else tail
        if tail.endswith(_COUNT_METHOD):
            await self._counting.serve(exchange, GEMINI_COUNT, asked)
        else:
            await self._inference.serve(exchange, GEMINI, asked)

    async def _models(self, exchange: Exchange) -> None:
        self._authenticator.authenticate(exchange)
        exchange.respond(200, JSON, msgspec.json.encode(ModelList(self._upstreams.directory.cards())))

    def _model(self, exchange: Exchange, name: str) -> None:
        self._authenticator.authenticate(exchange)
        exchange.respond(200, JSON, msgspec.json.encode(self._upstreams.directory.card(name)))

    async def _health(self, exchange: Exchange) -> None:
        exchange.respond(200, JSON, b'{"status":"ok"}')

    async def _ready(self, exchange: Exchange) -> None:
        models = self._upstreams.directory.available()
        ready = any(models.values()) and not self.draining
        exchange.respond(200 if ready else 503, JSON, msgspec.json.encode(Readiness(ready, models)))

    async def _metrics(self, exchange: Exchange) -> None:
        exchange.respond(200, _TEXT, self._exposition())


def _is_below(path: bytes, prefix: bytes) -> bool:
    return path == prefix or path.startswith(prefix + b"/")


def _require(exchange: Exchange, method: bytes) -> None:
    """Raise ApiError 405 unless the request uses `method`; HEAD does wherever GET does."""
    if exchange.method == method or (method == b"GET" and exchange.method == b"HEAD"):
        return
    raise ApiError(
        405,
        f"{_shown(exchange)} is not allowed; use {method.decode()}.",
        code="method_not_allowed",
        allow=method.decode(),
    )


def _shown(exchange: Exchange) -> str:
    return f"{exchange.method.decode('latin-1')} {exchange.path.decode('latin-1')}"
