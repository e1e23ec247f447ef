"""An upstream's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import inf
from typing import Protocol

from weebill.transport.coding import CodingError, Decoding, TooLongError, UnknownCodingError, codings_of
from weebill.transport.duplex import Duplex
from weebill.transport.errors import UpstreamError, UpstreamProtocolError
from weebill.transport.flow import Inbox, Once, Source
from weebill.transport.headers import Headers, first, parse_fields


class Room(Protocol):
    """The memory account of an answer that is held as a whole."""

    @property
    def free(self) -> int:
        """The number of bytes that need no accounting."""

    async def take(self, size: int) -> None:
        """Changes the size to `size` bytes, and waits for more if needed. May raise to refuse it."""

    def end(self) -> None:
        """Releases all of it. Idempotent."""


class Response:
    """An upstream's answer whose head is complete; header names are in lower case.

    Read it to its end or `close()` it: a half-read answer keeps its connection until a timeout. `body` is set at once
    if all of it came with the head, uncompressed; otherwise it has to be read, into a `room` if there is one, which is
    released when the answer is closed.
    """

    __slots__ = ("_coded", "_connection", "_head", "_headers", "_sent", "body", "hastened", "inbox", "room", "status")

    def __init__(self, connection: Source, status: int, head: bytes, coded: bool) -> None:
        """`head` ends before the blank line; `coded` is True if it names a content coding."""
        self._connection: Source | None = connection
        self.status = status
        self._head = head
        self._headers: Headers | None = None
        self._coded = coded
        self._sent = b""
        self.body = b""
        self.inbox: Inbox | None = None
        self.hastened = False
        self.room: Room | None = None

    @property
    def headers(self) -> Headers:
        """The header fields; parsed when first used, as most answers' never are."""
        if self._headers is None:
            self._headers = parse_fields(self._head)
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """Returns the first value of that (lower-case) header."""
        return first(self.headers, name)

    def deliver(self, body: bytes) -> None:
        """Takes a whole body that came with the head."""
        if self._coded:
            self._sent = body
        else:
            self.body = self._sent = body

    async def read(self, limit: int) -> bytes:
        """Returns the whole body, decoded. Raises UpstreamProtocolError if it exceeds `limit` bytes or cannot be
        decoded.
        """
        if self.inbox is None and not self._coded:
            if len(self.body) > limit:
                raise _too_long(limit)
            return self.body
        parts: list[bytes] = []
        size = 0
        room = self.room
        async for chunk in self._content(limit):
            size += len(chunk)
            if size > limit:
                self.close()
                raise _too_long(limit)
            if room is not None and size > room.free:
                await room.take(size)
            parts.append(chunk)
        return b"".join(parts)

    async def read_some(self, limit: int, within_s: float) -> bytes:
        """Returns the body as far as it comes within `within_s` seconds: at most `limit` bytes, until it ends, breaks
        off, or cannot be decoded.
        """
        if self.inbox is None and not self._coded:
            return self.body[:limit]
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(within_s):
                await self._gather(parts, limit)
        except (UpstreamError, TimeoutError):
            pass
        self.close()
        return b"".join(parts)[:limit]

    async def _gather(self, parts: list[bytes], enough: int) -> None:
        size = 0
        async for chunk in self._content(inf):
            parts.append(chunk)
            size += len(chunk)
            if size >= enough:
                return

    def chunks(self) -> AsyncIterator[bytes]:
        """Yields the bytes since the last step, decoded and coalesced.

        Ends only if the framing says that the body is complete, else raises UpstreamCut or UpstreamTimeout; and
        UpstreamProtocolError for bytes that cannot be decoded.
        """
        return self._content(inf)

    def chunks_as_sent(self) -> AsyncIterator[bytes]:
        """Yields the same bytes in their content coding."""
        return Once(self._sent) if self.inbox is None else self.inbox

    def _content(self, most: float) -> AsyncIterator[bytes]:
        sent = self.chunks_as_sent()
        codings = codings_of(self.headers) if self._coded else ()
        if not codings:
            return sent
        try:
            return _Decoded(self, sent, Decoding(codings, most))
        except UnknownCodingError as error:
            self.close()
            raise UpstreamProtocolError(f"its answer cannot be decoded: {error}") from None

    def close(self) -> None:
        """Stops reading; the socket of an incomplete answer is closed at once. Idempotent."""
        if self._connection is not None:
            if self.inbox is not None:
                self._connection.abandon(self.inbox)
            self._connection = None
        if self.room is not None:
            self.room.end()

    def hasten(self, within_s: float) -> None:
        """Limits the rest of the answer to `within_s` seconds from now, until called again; then it is a timeout."""
        self.hastened = within_s < inf
        if self._connection is not None and self.inbox is not None:
            self._connection.hasten(self.inbox, within_s)

    def release(self) -> None:
        """Stops reading, as the rest is not needed. If it ends soon, the connection is reused. Idempotent."""
        if self._connection is not None:
            if self.inbox is not None:
                self._connection.release(self.inbox)
            self._connection = None

    def upgrade(self) -> Duplex:
        """Returns the raw byte stream after a 101."""
        if self.status != 101 or self._connection is None or self.inbox is None:
            raise RuntimeError("only an open 101 answer can be upgraded")
        return Duplex(self._connection, self.inbox)


class _Decoded:
    """The content of a coded answer as it comes."""

    __slots__ = ("_answer", "_decoding", "_sent")

    def __init__(self, answer: Response, sent: AsyncIterator[bytes], decoding: Decoding) -> None:
        self._answer = answer
        self._sent = sent
        self._decoding = decoding

    def __aiter__(self) -> _Decoded:
        return self

    async def __anext__(self) -> bytes:
        decoding = self._decoding
        try:
            while True:
                if decoding.starved:
                    try:
                        decoding.feed(await self._sent.__anext__())
                    except StopAsyncIteration:
                        decoding.end()
                        raise
                else:
                    await asyncio.sleep(0)  # there may be much output, so others take turns
                piece = decoding.step()
                if piece:
                    return piece
        except TooLongError:
            self._answer.close()
            raise UpstreamProtocolError("the upstream's answer is too long once it is decoded") from None
        except CodingError as error:
            self._answer.close()
            raise UpstreamProtocolError(f"its answer is not what its header 'content-encoding' says: {error}") from None


def _too_long(limit: int) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"the upstream's answer exceeds {limit} bytes")
