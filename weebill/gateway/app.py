"""Dispatches each request of a worker by its path; the control process gets what is not the worker's, by the tunnel."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final, cast
from urllib.parse import parse_qs, unquote

import msgspec

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.gemini.api import GEMINI
from weebill.apis.gemini.embed import GeminiEmbed
from weebill.gateway.api_formats import ANTHROPIC as ANTHROPIC_FORMAT
from weebill.gateway.api_formats import OPENAI as OPENAI_FORMAT
from weebill.gateway.api_formats import ApiFormat, format_of, request_id_line
from weebill.gateway.authentication import Authenticator, caller_of
from weebill.gateway.feedback import Ratings
from weebill.gateway.lag import LoopLag
from weebill.gateway.ollama import OllamaPages
from weebill.gateway.permits import permitted, require_model
from weebill.gateway.pipelines import Pipelines
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Endpoint
from weebill.gateway.responses import KeptResponses
from weebill.gateway.routes import ROOTS, ROUTES, Route, ServedBy
from weebill.gateway.stages.chain import Chain
from weebill.gateway.stages.count import ANTHROPIC_COUNT, GEMINI_COUNT
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import JSON
from weebill.transport.exchange import Exchange
from weebill.transport.tunnel import Tunnel
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

Serve = Callable[[Exchange], Coroutine[None, None, None]]
# Serves a page. The second argument is the part of the path below the page's own.
ServePage = Callable[[Exchange, bytes], Coroutine[None, None, None]]

# The part of a Vertex AI path that precedes the model's name.
_PUBLISHER: Final = b"publishers/google/models/"
_COUNT_METHOD: Final = ":countTokens"
_EMBED_METHODS: Final = (":embedContent", ":batchEmbedContents")
_MAX_PARAMETERS: Final = 32
_TEXT: Final = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"


class Readiness(msgspec.Struct, frozen=True):
    """The body of `/readyz`: `ready` if requests can be served, `recording` if usage can be recorded, `keys` if keys
    can be checked; `models` says of each whether it can answer. Nothing is served that cannot be recorded.
    """

    ready: bool
    recording: bool
    keys: bool
    models: dict[str, bool]


class App:
    """The handler of a worker's server."""

    def __init__(
        self,
        pipelines: Pipelines,
        authenticator: Authenticator,
        recorder: Recorder,
        upstreams: Upstreams,
        kept: KeptResponses,
        ratings: Ratings,
        tunnel: Tunnel,
        lag: LoopLag,
        exposition: Callable[[], bytes],
    ) -> None:
        """`exposition` gives the text of `/metrics`."""
        self._lag = lag
        self._pipelines = pipelines
        self._authenticator = authenticator
        self._recorder = recorder
        self._upstreams = upstreams
        self._kept = kept
        self._tunnel = tunnel
        self._exposition = exposition
        self.draining = False
        ollama = OllamaPages(upstreams, pipelines.operations, tunnel)
        self._pages: dict[ServedBy, ServePage] = {
            "health": self._health,
            "readiness": self._ready,
            "metrics": self._metrics,
            "models": self._models,
            "model": self._model,
            "kept_response": self._kept_response,
            "feedback": ratings.serve,
            "control": self._control,
            "tags": ollama.tags,
            "show": ollama.show,
            "running": ollama.running,
            "version": ollama.version,
            "embedding": ollama.embed,
            "unmanaged": ollama.unmanaged,
            "greeting": ollama.greet,
        }
        self._at: dict[bytes, tuple[bytes, Serve]] = {}
        self._below: list[tuple[bytes, Route, ServePage]] = []
        for route in ROUTES:
            for path in route.paths:
                if path.endswith(b"/") and path != b"/":
                    page = self._gemini if route.served_by == "gemini" else self._page(route)
                    self._below.append((path, route, page))
                else:
                    self._at[path] = route.method, self._serving(route)

    def __call__(self, exchange: Exchange) -> Coroutine[None, None, None]:
        """Returns the coroutine that answers one exchange. Raises ApiError, at once or in the coroutine, for error
        answers.
        """
        if self._lag.idle:
            self._lag.begin()
        route = self._at.get(exchange.path)
        if route is None:
            return self._serve_below(exchange)
        method, serve = route
        if exchange.method != method and not _allowed(exchange, method):
            raise _not_allowed(exchange, method)
        return serve(exchange)

    @property
    def ready(self) -> bool:
        """True if requests can be served now."""
        if self.draining or not self._recorder.recording or not self._authenticator.ready:
            return False
        return self._upstreams.directory.any_available()

    def _serving(self, route: Route) -> Serve:
        """Serves one path of the route."""
        if route.served_by in self._pages:
            return partial(_at_its_path, self._page(route))
        # A route names the stages for its kind of endpoint.
        stages = cast("Chain[Endpoint, Call]", getattr(self._pipelines, route.served_by))
        serve: Serve = partial(stages.serve, endpoint=cast("Endpoint", route.endpoint))
        return partial(_with_request_id, serve) if route.endpoint in (ANTHROPIC, ANTHROPIC_COUNT) else serve

    def _page(self, route: Route) -> ServePage:
        """Returns the page's handler, with authentication in front if the route needs a key."""
        page = self._pages[route.served_by]
        return page if route.permission == "anyone" else partial(self._authenticated, page)

    async def _authenticated(self, page: ServePage, exchange: Exchange, rest: bytes) -> None:
        await self._authenticator.caller(exchange)
        await page(exchange, rest)

    async def _serve_below(self, exchange: Exchange) -> None:
        """Serves paths below a route that ends in `/`, and unknown ones."""
        path = exchange.path
        for prefix, route, serve in self._below:
            if path.startswith(prefix) and path != prefix and (route.served_by != "gemini" or _has_method(exchange)):
                if not _allowed(exchange, route.method):
                    raise _not_allowed(exchange, route.method)
                await serve(exchange, path.removeprefix(prefix))
                return
        # In a vendor's own format, it is a vendor that is asked.
        if not any(_is_below(path, root) for root in ROOTS) and format_of(path, exchange.head.fields) is OPENAI_FORMAT:
            await self._tunnel.relay(exchange)
            return
        raise ApiError(404, f"Unknown request URL: {_shown(exchange)}.", code="unknown_url")

    async def _gemini(self, exchange: Exchange, rest: bytes) -> None:
        tail = unquote(rest.rpartition(_PUBLISHER)[2].decode("latin-1"))
        asked = f"{tail}?{exchange.query.decode('latin-1')}" if exchange.query else tail
        if tail.endswith(_EMBED_METHODS):
            await self._pipelines.operations.serve(exchange, GeminiEmbed(tail))
        elif tail.endswith(_COUNT_METHOD):
            await self._pipelines.counting.serve(exchange, GEMINI_COUNT, asked)
        else:
            await self._pipelines.generation.serve(exchange, GEMINI, asked)

    async def _kept_response(self, exchange: Exchange, rest: bytes) -> None:
        await self._kept.serve(exchange, unquote(rest.decode("latin-1")))

    async def _models(self, exchange: Exchange, rest: bytes) -> None:
        try:
            query = parse_qs(exchange.query.decode("latin-1"), max_num_fields=_MAX_PARAMETERS)
        except ValueError:
            raise ApiError(400, "The URL has too many parameters.", code="invalid_value") from None
        client = format_of(exchange.path, exchange.head.fields)
        caller = caller_of(exchange)
        cards = permitted(caller, self._upstreams.router_of(caller).directory)
        self._say(exchange, client, client.models(cards, query))

    async def _model(self, exchange: Exchange, rest: bytes) -> None:
        client = format_of(exchange.path, exchange.head.fields)
        name, caller = unquote(rest.decode("latin-1")), caller_of(exchange)
        directory = self._upstreams.router_of(caller).directory
        require_model(caller, name, directory)
        self._say(exchange, client, client.model(directory.card(name)))

    def _say(self, exchange: Exchange, client: ApiFormat, body: bytes) -> None:
        if client is ANTHROPIC_FORMAT:
            _add_request_id(exchange)
        exchange.respond(200, JSON, body)

    async def _health(self, exchange: Exchange, rest: bytes) -> None:
        exchange.respond(200, JSON, b'{"status":"ok"}')

    async def _ready(self, exchange: Exchange, rest: bytes) -> None:
        readiness = Readiness(
            self.ready, self._recorder.recording, self._authenticator.ready, self._upstreams.directory.available()
        )
        exchange.respond(200 if readiness.ready else 503, JSON, msgspec.json.encode(readiness))

    async def _control(self, exchange: Exchange, rest: bytes) -> None:
        await self._tunnel.relay(exchange)

    async def _metrics(self, exchange: Exchange, rest: bytes) -> None:
        exchange.respond(200, _TEXT, self._exposition())


def _at_its_path(page: ServePage, exchange: Exchange) -> Coroutine[None, None, None]:
    return page(exchange, b"")


def _has_method(exchange: Exchange) -> bool:
    """True if the path ends in one of Gemini's methods."""
    return b":" in exchange.path and exchange.method != b"GET"


def _is_below(path: bytes, prefix: bytes) -> bool:
    return path == prefix or path.startswith(prefix + b"/")


def _with_request_id(serve: Serve, exchange: Exchange) -> Coroutine[None, None, None]:
    _add_request_id(exchange)
    return serve(exchange)


def _add_request_id(exchange: Exchange) -> None:
    exchange.add_headers(request_id_line(exchange.request_id))


def _allowed(exchange: Exchange, method: bytes) -> bool:
    """True if the request uses `method`, where there is a single one; HEAD is allowed wherever GET is."""
    return not method or exchange.method == method or (method == b"GET" and exchange.method == b"HEAD")


def _not_allowed(exchange: Exchange, method: bytes) -> ApiError:
    return ApiError(
        405,
        f"{_shown(exchange)} is not allowed; use {method.decode()}.",
        code="method_not_allowed",
        allow="GET, HEAD" if method == b"GET" else method.decode(),
    )


def _shown(exchange: Exchange) -> str:
    return f"{exchange.method.decode('latin-1')} {exchange.path.decode('latin-1')}"
