"""Ollama's pages: the models that there are and that are in memory, and what clients look for before all else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import inf
from typing import Final

import msgspec

from weebill.apis.ollama import models
from weebill.apis.ollama.embed import OllamaEmbed
from weebill.apis.ollama.request_shapes import ShowBody
from weebill.gateway.authentication import caller_of
from weebill.gateway.permits import permitted, require_model
from weebill.gateway.stages.chain import Chain
from weebill.gateway.upstreams import Upstreams
from weebill.providers.base import JSON
from weebill.providers.operations.base import Operation
from weebill.routing.deployments import LOCAL
from weebill.routing.directory import Directory
from weebill.transport.exchange import Exchange
from weebill.transport.tunnel import Tunnel
from weebill.wire.body import invalid_body
from weebill.wire.errors import UNREADABLE, ApiError, missing_parameter
from weebill.wire.models import ModelCard
from weebill.wire.operation_call import OperationCall

_GREETING: Final = b"Ollama is running"
_TEXT: Final = b"content-type: text/plain; charset=utf-8\r\nvary: accept\r\n"
_PAGE: Final = b"text/html"

_decode_show: Final = msgspec.json.Decoder(ShowBody).decode


class OllamaPages:
    """Serves them; the second argument of each is the part of the path below the page's own."""

    def __init__(self, upstreams: Upstreams, operations: Chain[Operation, OperationCall], tunnel: Tunnel) -> None:
        self._upstreams = upstreams
        self._operations = operations
        self._tunnel = tunnel

    async def tags(self, exchange: Exchange, rest: bytes) -> None:
        directory = self._upstreams.directory
        cards = permitted(caller_of(exchange), directory)
        exchange.respond(200, JSON, models.tags([known(directory, card) for card in cards]))

    async def show(self, exchange: Exchange, rest: bytes) -> None:
        """Raises ApiError 404 for an unknown model, 403 for one that is not the key's, 400 for a body without any."""
        try:
            asked = _decode_show(await exchange.body())
        except UNREADABLE as error:
            raise invalid_body(error) from error
        name = asked.model or asked.name
        if not name:
            raise missing_parameter("model")
        directory = self._upstreams.directory
        require_model(caller_of(exchange), name, directory)
        exchange.respond(200, JSON, models.show(known(directory, directory.card(name))))

    async def running(self, exchange: Exchange, rest: bytes) -> None:
        cards = permitted(caller_of(exchange), self._upstreams.directory)
        exchange.respond(200, JSON, models.ps(loaded(self._upstreams, cards, time.time())))

    async def version(self, exchange: Exchange, rest: bytes) -> None:
        exchange.respond(200, JSON, models.version())

    async def embed(self, exchange: Exchange, rest: bytes) -> None:
        await self._operations.serve(exchange, OllamaEmbed(older=exchange.path.endswith(b"/embeddings")))

    async def unmanaged(self, exchange: Exchange, rest: bytes) -> None:
        """Raises ApiError 501."""
        raise ApiError(
            501,
            "Models are not pushed to a registry: there is none that would take them from here.",
            code="not_implemented",
        )

    async def greet(self, exchange: Exchange, rest: bytes) -> None:
        """Tells clients of Ollama what they look for at the root; to browsers it is the status page."""
        if exchange.path == b"/" and _PAGE in (exchange.header(b"accept") or b""):
            await self._tunnel.relay(exchange)
        else:
            exchange.respond(200, _TEXT, _GREETING)


def known(directory: Directory, card: ModelCard) -> models.Known:
    """Returns a model with what it can do, as far as that is known."""
    can = directory.resolve(card.id).capabilities
    return models.Known(card, can.tools, None if can.inputs is None else "image" in can.inputs, can.reasoning)


def loaded(upstreams: Upstreams, cards: Sequence[ModelCard], now: float) -> Iterator[tuple[ModelCard, int]]:
    """Yields each model of this machine among the `cards` that is loaded, once: under its own name, with the time until
    which it is kept, 0 without end.
    """
    directory = upstreams.directory
    for card in cards:
        deployment = directory.resolve(card.id)
        upstream = deployment.upstream
        if deployment.provider == LOCAL and deployment.model == card.id and upstream is not None and not upstream.cold:
            left = upstreams.kept_s(upstream)
            yield card, 0 if left == inf else int(now + left)
