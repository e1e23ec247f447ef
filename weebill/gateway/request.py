"""One request on its way through the stages of the gateway."""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

from weebill.gateway.authentication import Caller
from weebill.gateway.meter import Meter
from weebill.gateway.responses import ResponseState
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import ApiError


class Endpoint(Protocol):
    """What a metered endpoint is known by: `name` is what its requests are recorded under."""

    @property
    def name(self) -> str: ...

    def error_body(self, error: ApiError) -> bytes:
        """An error in the endpoint's format."""


E = TypeVar("E", bound=Endpoint)
C = TypeVar("C", bound=Call)


class Request(Generic[E, C]):
    """What is known of a request to an `endpoint`, stage by stage; `tail` is what follows the endpoint's path.

    `caller` is known once it has been authenticated, `meter` once it is to be recorded, `call` once it is decoded.
    `state` keeps its answer, where that may be built on.
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
        """Answer with an error, in the endpoint's format; `route` is the header line that says who was tried."""
        exchange = self.exchange
        error.request_id = exchange.request_id
        exchange.respond(error.status, error.headers() + route, self.endpoint.error_body(error))
