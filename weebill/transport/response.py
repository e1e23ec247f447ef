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
    """The memory that an answer takes which is kept whole."""

    @property
    def free(self) -> int:
        """How many bytes may be kept without asking."""

    async def take(self, size: int) -> None:
        """Wait until there is room for `size` bytes in all; what was more is given back. May raise what refuses it."""

    def end(self) -> None:
        """Nothing is kept any more. Idempotent."""


class Response:
    """An upstream's answer whose head is complete; header names are in lower case.

    Read it to its end or `close()` it: an answer left half-read keeps its connection until a timeout. Its `body` is
    there at once if all of it came with the head and is plain; otherwise it is to be read, into a `room` if there is
    one, which is left when the answer is closed.
    """

    __slots__ = ("_coded", "_connection", "_head", "_headers", "_sent", "body", "hastened", "inbox", "room", "status")

    def __init__(self, connection: Source, status: int, head: bytes, coded: bool) -> None:
        """`head` runs from the status line to before the blank line; `coded` is whether it names a content coding."""
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
        """The fields; taken out of the head only when somebody asks, for most answers' nobody does."""
        if self._headers is None:
            self._headers = parse_fields(self._head)
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """The first value of that (lower-case) header."""
        return first(self.headers, name)

    def deliver(self, body: bytes) -> None:
        """The whole body came with the head."""
        if self._coded:
            self._sent = body
        else:
            self.body = self._sent = body

    async def read(self, limit: int) -> bytes:
        """The whole body, decoded. UpstreamProtocolError if it is longer than `limit` bytes, or cannot be decoded."""
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
        """The body as far as it comes: at most `limit` bytes, until it ends, breaks off, or can be decoded no further.

        What is not there `within_s` is not waited for.
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
        """What arrived since last time, decoded and coalesced.

        Ends only if the framing says that the body is complete, else raises UpstreamCut or UpstreamTimeout; and
        UpstreamProtocolError for what cannot be decoded.
        """
        return self._content(inf)

    def chunks_as_sent(self) -> AsyncIterator[bytes]:
        """The same, with the content coding that the head names."""
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
        """Stop reading; the socket of an answer that is not complete is closed at once. Idempotent."""
        if self._connection is not None:
            if self.inbox is not None:
                self._connection.abandon(self.inbox)
            self._connection = None
        if self.room is not None:
            self.room.end()

    def hasten(self, within_s: float) -> None:
        """Gives the rest no more time than this, until that is said again, and no longer a silence than before.

        Then it is a timeout.
        """
        self.hastened = within_s < inf
        if self._connection is not None and self.inbox is not None:
            self._connection.hasten(self.inbox, within_s)

    def release(self) -> None:
        """Stop reading: nobody needs the rest. If it ends soon, the connection is used again. Idempotent."""
        if self._connection is not None:
            if self.inbox is not None:
                self._connection.let_go(self.inbox)
            self._connection = None

    def upgrade(self) -> Duplex:
        """The raw byte stream after a 101."""
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
                    await asyncio.sleep(0)  # it may be much: others have their turn
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
