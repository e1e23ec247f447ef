"""An upstream's answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from weebill.transport.duplex import Duplex
from weebill.transport.errors import UpstreamProtocolError
from weebill.transport.flow import Inbox, Once
from weebill.transport.headers import Headers, first, parse_fields

if TYPE_CHECKING:
    from weebill.transport.upstream import UpstreamConnection


class Response:
    """An upstream's answer whose head is complete; header names are in lower case.

    Read it to its end or `close()` it: an answer left half-read keeps its connection until a timeout. Its `body` is
    there at once if all of it came with the head; otherwise it comes through `inbox`.
    """

    __slots__ = ("_connection", "_head", "_headers", "body", "inbox", "status")

    def __init__(self, connection: UpstreamConnection, status: int, head: bytes) -> None:
        """`head` runs from the status line to before the blank line."""
        self._connection: UpstreamConnection | None = connection
        self.status = status
        self._head = head
        self._headers: Headers | None = None
        self.body = b""
        self.inbox: Inbox | None = None

    @property
    def headers(self) -> Headers:
        """The fields; taken out of the head only when somebody asks, for most answers' nobody does."""
        if self._headers is None:
            self._headers = parse_fields(self._head)
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """The first value of that (lower-case) header."""
        return first(self.headers, name)

    async def read(self, limit: int) -> bytes:
        """The whole body; UpstreamProtocolError if it is longer than `limit` bytes."""
        inbox = self.inbox
        if inbox is None:
            if len(self.body) > limit:
                raise _too_long(limit)
            return self.body
        parts: list[bytes] = []
        size = 0
        async for chunk in inbox:
            size += len(chunk)
            if size > limit:
                self.close()
                raise _too_long(limit)
            parts.append(chunk)
        return b"".join(parts)

    def chunks(self) -> AsyncIterator[bytes]:
        """What arrived since last time, coalesced.

        Ends only if the framing says that the body is complete, else raises UpstreamCut or UpstreamTimeout.
        """
        return Once(self.body) if self.inbox is None else self.inbox

    def close(self) -> None:
        """Stop reading; the socket of an answer that is not complete is closed at once. Idempotent."""
        if self._connection is not None:
            if self.inbox is not None:
                self._connection.abandon(self.inbox)
            self._connection = None

    def upgrade(self) -> Duplex:
        """The raw byte stream after a 101."""
        if self.status != 101 or self._connection is None or self.inbox is None:
            raise RuntimeError("only an open 101 answer can be upgraded")
        return Duplex(self._connection, self.inbox)


def _too_long(limit: int) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"the upstream's answer exceeds {limit} bytes")
