"""What a worker answers at which path; everything else goes through the tunnel to the control process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Final
from urllib.parse import parse_qs, unquote

import msgspec

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
from weebill.apis.gemini.embed import GeminiEmbed
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.authentication import Authenticator
from weebill.gateway.counting import ANTHROPIC_COUNT, GEMINI_COUNT, Counting
from weebill.gateway.forms import ANTHROPIC as ANTHROPIC_FORM
from weebill.gateway.forms import OPENAI as OPENAI_FORM
from weebill.gateway.forms import Form, form_of, request_id_line
from weebill.gateway.inference import Inference
from weebill.gateway.metered import JSON, Recorder, Upstreams
from weebill.gateway.operations import Operations
from weebill.gateway.responses import KeptResponses
from weebill.providers.operations import ENDPOINTS as OPERATION_ENDPOINTS
from weebill.transport.exchange import Exchange
from weebill.transport.tunnel import Tunnel
from weebill.wire.errors import ApiError

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
# The Gemini API's versions, all one here, at each place where it is; `/v1` is shared with other APIs.
_GEMINI_ROOTS: Final = tuple(
    [root + version for root in (b"", b"/gemini") for version in (b"/v1beta", b"/v1alpha", b"/v1beta1")]
)
# Where Gemini's clients say model and method: `gemini-2.5-flash:generateContent`.
_GEMINI: Final = (
    b"/v1/models/",
    *[root + b"/models/" for root in _GEMINI_ROOTS],
    *[root + b"/" for root in _GEMINI_ROOTS],
)
# What comes before a model's name where Vertex AI is asked.
_PUBLISHER: Final = b"publishers/google/models/"
_COUNT_METHOD: Final = ":countTokens"
_EMBED_METHODS: Final = (":embedContent", ":batchEmbedContents")
# Where there are lists of models, and what is below them one model each.
_MODELS: Final = (
    b"/v1/models",
    b"/openai/v1/models",
    b"/anthropic/v1/models",
    *[root + b"/models" for root in _GEMINI_ROOTS],
)
# What is not there below these is answered here, in the format of the API that asks.
_ROOTS: Final = (b"/v1", b"/openai/v1", b"/anthropic", b"/gemini", b"/upload", *_GEMINI_ROOTS)
# What is the control process's own, whoever asks.
_MANAGEMENT: Final = b"/api/v1"
_MAX_PARAMETERS: Final = 32
_TEXT: Final = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"


class Readiness(msgspec.Struct, frozen=True):
    """The body of `/readyz`: whether any model can answer, and which; `recording` is whether usage can be recorded.

    What cannot be recorded is not served.
    """

    ready: bool
    recording: bool
    models: dict[str, bool]


class App:
    """The handler of a worker's server."""

    def __init__(
        self,
        authenticator: Authenticator,
        recorder: Recorder,
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
        self._recorder = recorder
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
        if exchange.method != method and not _allowed(exchange, method):
            raise _not_allowed(exchange, method)
        return serve(exchange)

    @property
    def ready(self) -> bool:
        """Tells whether requests can be served now."""
        return self._recorder.recording and not self.draining and self._upstreams.directory.any_available()

    def _fixed_routes(self) -> Iterator[tuple[bytes, tuple[bytes, Serve]]]:
        yield b"/healthz", (b"GET", self._health)
        yield b"/health", (b"GET", self._health)  # load tools and balancers ask for it
        yield b"/readyz", (b"GET", self._ready)
        yield b"/metrics", (b"GET", self._metrics)
        for path in _MODELS:
            yield path, (b"GET", self._models)
        for path, api in _GENERATION:
            serve: Serve = partial(self._inference.serve, endpoint=api)
            yield path, (b"POST", serve if api is not ANTHROPIC else partial(_with_request_id, serve))
        for prefix in PREFIXES:
            yield prefix + _RESPONSES, (b"POST", partial(self._responses.serve, endpoint=RESPONSES))
        for path in _COUNT_TOKENS:
            yield path, (b"POST", partial(_with_request_id, partial(self._counting.serve, endpoint=ANTHROPIC_COUNT)))
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
        if not any(_is_below(path, root) for root in _ROOTS) and _may_be_managements(exchange):
            await self._tunnel.relay(exchange)
            return
        for root in PREFIXES:
            if path.startswith(root + _RESPONSES + b"/"):
                await self._kept.serve(exchange, unquote(path.removeprefix(root + _RESPONSES + b"/").decode("latin-1")))
                return
        for listed in _MODELS:
            name = path.removeprefix(listed + b"/")
            if name and name != path:
                _require(exchange, b"GET")
                self._model(exchange, unquote(name.decode("latin-1")))
                return
        raise ApiError(404, f"Unknown request URL: {_shown(exchange)}.", code="unknown_url")

    async def _gemini(self, exchange: Exchange, rest: bytes) -> None:
        _require(exchange, b"POST")
        tail = unquote(rest.rpartition(_PUBLISHER)[2].decode("latin-1"))
        asked = f"{tail}?{exchange.query.decode('latin-1')}" if exchange.query else tail
        if tail.endswith(_EMBED_METHODS):
            await self._operations.serve(exchange, GeminiEmbed(tail))
        elif tail.endswith(_COUNT_METHOD):
            await self._counting.serve(exchange, GEMINI_COUNT, asked)
        else:
            await self._inference.serve(exchange, GEMINI, asked)

    async def _models(self, exchange: Exchange) -> None:
        self._authenticator.authenticate(exchange)
        try:
            query = parse_qs(exchange.query.decode("latin-1"), max_num_fields=_MAX_PARAMETERS)
        except ValueError:
            raise ApiError(400, "The URL has too many parameters.", code="invalid_value") from None
        form = form_of(exchange.path, exchange.head.fields)
        self._say(exchange, form, form.models(self._upstreams.directory.cards(), query))

    def _model(self, exchange: Exchange, name: str) -> None:
        self._authenticator.authenticate(exchange)
        form = form_of(exchange.path, exchange.head.fields)
        self._say(exchange, form, form.model(self._upstreams.directory.card(name)))

    def _say(self, exchange: Exchange, form: Form, body: bytes) -> None:
        if form is ANTHROPIC_FORM:
            _add_request_id(exchange)
        exchange.respond(200, JSON, body)

    async def _health(self, exchange: Exchange) -> None:
        exchange.respond(200, JSON, b'{"status":"ok"}')

    async def _ready(self, exchange: Exchange) -> None:
        readiness = Readiness(self.ready, self._recorder.recording, self._upstreams.directory.available())
        exchange.respond(200 if readiness.ready else 503, JSON, msgspec.json.encode(readiness))

    async def _metrics(self, exchange: Exchange) -> None:
        exchange.respond(200, _TEXT, self._exposition())


def _may_be_managements(exchange: Exchange) -> bool:
    """Tells whether the control process may have what is asked for: not what a client asks of its own vendor."""
    path = exchange.path
    return path == b"/" or _is_below(path, _MANAGEMENT) or form_of(path, exchange.head.fields) is OPENAI_FORM


def _is_below(path: bytes, prefix: bytes) -> bool:
    return path == prefix or path.startswith(prefix + b"/")


def _with_request_id(serve: Serve, exchange: Exchange) -> Coroutine[None, None, None]:
    _add_request_id(exchange)
    return serve(exchange)


def _add_request_id(exchange: Exchange) -> None:
    exchange.add_headers(request_id_line(exchange.request_id))


def _allowed(exchange: Exchange, method: bytes) -> bool:
    """Tells whether the request uses `method`; HEAD does wherever GET does."""
    return exchange.method == method or (method == b"GET" and exchange.method == b"HEAD")


def _require(exchange: Exchange, method: bytes) -> None:
    """Raise ApiError 405 unless the request uses `method`."""
    if not _allowed(exchange, method):
        raise _not_allowed(exchange, method)


def _not_allowed(exchange: Exchange, method: bytes) -> ApiError:
    return ApiError(
        405,
        f"{_shown(exchange)} is not allowed; use {method.decode()}.",
        code="method_not_allowed",
        allow=method.decode(),
    )


def _shown(exchange: Exchange) -> str:
    return f"{exchange.method.decode('latin-1')} {exchange.path.decode('latin-1')}"
