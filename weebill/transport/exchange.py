"""One request and its response on a server connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine

from weebill.transport.duplex import Duplex
from weebill.wire.errors import ApiError


class Exchange:
    """A request whose head is complete, and the response to it.

    `target` is as sent; `path` and `query` are its parts (no scheme, host or `?`).
    `headers` has lower-case names. `started_at` is the loop's time of the request's first byte, in seconds.
    """

    __slots__ = (
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "request_id",
        "responded",
        "secure",
        "started_at",
        "target",
    )

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    request_id: str
    started_at: float
    peer: str  # the client's address without port; "" on a Unix socket
    secure: bool  # over TLS
    responded: bool  # respond(), start() or upgrade() has been called

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        raise NotImplementedError

    async def body(self) -> bytes:
        """The whole body. Over the limit or too slow: the server answers (413, 408) and cancels the handler."""
        raise NotImplementedError

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, with backpressure; not subject to `max_body_bytes`."""
        raise NotImplementedError

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """The complete answer; `headers` are raw lines, each ended by CRLF, without framing."""
        raise NotImplementedError

    def fail(self, error: ApiError) -> None:
        """Answer with an error in OpenAI's format, `retry-after` included."""
        raise NotImplementedError

    def start(self, status: int, headers: bytes) -> None:
        """Begin a streamed answer."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send a piece of the streamed answer; nothing when `data` is empty or the client is gone."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait while the client's buffer is over the high-water mark."""
        raise NotImplementedError

    def finish(self) -> None:
        """End the streamed answer cleanly."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection so that the client cannot mistake it for a clean end."""
        raise NotImplementedError

    def upgrade(self, headers: bytes) -> Duplex:
        """Answer 101 with `headers` (`upgrade` included) and take the raw byte stream."""
        raise NotImplementedError


Handler = Callable[[Exchange], Coroutine[None, None, None]]
