"""The interface of operations, endpoints other than generation: pure functions between both sides' bytes. No I/O.

The order of calls for one request: `Operation.decode_request`, `OperationTranslator.encode`; then, by the status and
the content type of the upstream's answer, `error`, `stream` where `streams` says so, or `decode`.
"""

from __future__ import annotations

from typing import Protocol

from weebill.providers.base import Answer, ByteStream, Target, UpstreamRequest
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.operation_call import OperationCall


class Operation(Protocol):
    """An endpoint: `name` is what it is metered under, `path` follows `/v1`, `aliases` are from the root."""

    name: str
    path: bytes
    aliases: tuple[bytes, ...]

    def decode_request(self, body: bytes, content_type: bytes) -> OperationCall:
        """The call in a body. Raises ApiError 400 that names the field, 415 for a kind of body not taken."""

    def rendered(self, body: bytes) -> bytes:
        """The body of an answer in JSON, in the client's format rather than OpenAI's. Raises UpstreamFailure."""

    def error_body(self, error: ApiError) -> bytes:
        """An error in the client's format."""


class OperationStream(ByteStream, Protocol):
    """Passes an upstream's stream on. `headers` are the client's header lines.

    `events` is whether the stream is one of events, so that it can end with an error event; a stream of plain bytes,
    such as sound, can only be broken off.
    """

    headers: bytes
    events: bool


class OperationTranslator(Protocol):
    """One endpoint for one dialect."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        """The request for the upstream. Raises ApiError 400 for what it cannot do, naming the client's field."""

    def streams(self, call: OperationCall, content_type: bytes) -> bool:
        """Tells whether an answer with status 200 and this content type is to be passed on piece by piece."""

    def stream(self, call: OperationCall, content_type: bytes) -> OperationStream:
        """The stream that passes it on. Only where `streams` says so."""

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        """The answer in a whole body with status 200. Raises UpstreamFailure if it holds an error, or is no answer."""

    def error(
        self, call: OperationCall, status: int, body: bytes, retry_after: float | None, upstream: str
    ) -> UpstreamFailure:
        """The failure that an upstream's answer with a status other than 200 means."""
