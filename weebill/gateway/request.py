"""One request on its way through the stages."""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

from weebill.gateway.authentication import Caller
from weebill.gateway.meter import Meter
from weebill.gateway.responses import ResponseState
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import ApiError


class Endpoint(Protocol):
    """A metered endpoint; its requests are recorded under `name`."""

    @property
    def name(self) -> str: ...

    def error_body(self, error: ApiError) -> bytes:
        """Returns the error in the endpoint's format."""


E = TypeVar("E", bound=Endpoint)
C = TypeVar("C", bound=Call)


class Request(Generic[E, C]):
    """A request to an `endpoint`; `tail` is the part of the URL below the endpoint's path.

    The stages fill in the rest: `caller` (authenticate), `meter` (settle), `call` (decode), `state` (build on), which
    stores its answer.
    """

    __slots__ = ("call", "caller", "endpoint", "exchange", "meter", "state", "tail")

    caller: Caller
    meter: Meter
    call: C

    def __init__(self, exchange: Exchange, endpoint: E, tail: str = "") -> None:
        self.exchange: Final = exchange
        self.endpoint: Final = endpoint
        self.tail: Final = tail
        self.state: ResponseState | None = None

    def refuse(self, error: ApiError, route: bytes = b"") -> None:
        """Answers with an error in the endpoint's format; `route` is the header line with the attempts."""
        exchange = self.exchange
        error.request_id = exchange.request_id
        exchange.respond(error.status, error.headers() + route, self.endpoint.error_body(error))
