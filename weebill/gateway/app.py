"""What a worker answers at which path; everything else goes through the tunnel to the control process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final
from urllib.parse import unquote

import msgspec

from weebill.gateway.inference import JSON, Endpoint, Inference
from weebill.transport.exchange import Exchange
from weebill.transport.tunnel import Tunnel
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelList
from weebill.wire.requests import decode_chat, decode_completion

Serve = Callable[[Exchange], Coroutine[None, None, None]]

ENDPOINTS: Final = (
    Endpoint("chat.completions", b"/chat/completions", decode_chat),
    Endpoint("completions", b"/completions", decode_completion),
)
# The API's own root, and the one under which the brief's `curl` expects it.
PREFIXES: Final = (b"/v1", b"/openai/v1")
_TEXT: Final = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"


class Readiness(msgspec.Struct, frozen=True):
    """The body of `/readyz`: whether any model can answer, and which."""

    ready: bool
    models: dict[str, bool]


class App:
    """The handler of a worker's server."""

    def __init__(self, inference: Inference, tunnel: Tunnel, exposition: Callable[[], bytes]) -> None:
        """`exposition` gives the text of `/metrics`."""
        self._inference = inference
        self._tunnel = tunnel
        self._exposition = exposition
        self.draining = False
        self._routes: dict[bytes, tuple[bytes, Serve]] = {
            b"/healthz": (b"GET", self._health),
            b"/readyz": (b"GET", self._ready),
            b"/metrics": (b"GET", self._metrics),
        }
        for prefix in PREFIXES:
            self._routes[prefix + b"/models"] = (b"GET", self._models)
            for endpoint in ENDPOINTS:
                self._routes[prefix + endpoint.path] = (b"POST", partial(inference.serve, endpoint=endpoint))

    def __call__(self, exchange: Exchange) -> Coroutine[None, None, None]:
        """What answers one exchange. Raises ApiError, here or there, for what is to be answered so."""
        route = self._routes.get(exchange.path)
        if route is None:
            return self._serve_other(exchange)
        method, serve = route
        if exchange.method != method:
            _require(exchange, method)
        return serve(exchange)

    async def _serve_other(self, exchange: Exchange) -> None:
        prefix = next((prefix for prefix in PREFIXES if _is_below(exchange.path, prefix)), None)
        if prefix is None:
            await self._tunnel.relay(exchange)
            return
        name = exchange.path.removeprefix(prefix + b"/models/")
        if name and name != exchange.path:
            _require(exchange, b"GET")
            self._model(exchange, unquote(name.decode("latin-1")))
            return
        raise ApiError(404, f"Unknown request URL: {_shown(exchange)}.", code="unknown_url")

    async def _models(self, exchange: Exchange) -> None:
        self._inference.authenticate(exchange)
        cards = ModelList(self._inference.directory.cards())
        exchange.respond(200, JSON, msgspec.json.encode(cards))

    def _model(self, exchange: Exchange, name: str) -> None:
        self._inference.authenticate(exchange)
        exchange.respond(200, JSON, msgspec.json.encode(self._inference.directory.card(name)))

    async def _health(self, exchange: Exchange) -> None:
        exchange.respond(200, JSON, b'{"status":"ok"}')

    async def _ready(self, exchange: Exchange) -> None:
        models = self._inference.directory.available()
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
