"""The body of a request, if it did not come complete with its head."""

from __future__ import annotations

import asyncio

from weebill.transport.chunked import ChunkedDecoder, ChunkedError
from weebill.transport.flow import Inbox
from weebill.transport.request import CHUNKED, bad_request


class BodyReader:
    """Passes a body's content to `inbox`. `complete` is True at its end, `awaits_continue` while the client waits for
    `100 Continue`.
    """

    __slots__ = ("_decoder", "_remaining", "awaits_continue", "complete", "inbox")

    def __init__(self, transport: asyncio.Transport, length: int, *, awaits_continue: bool) -> None:
        self.inbox = Inbox(transport)
        self._decoder = ChunkedDecoder() if length == CHUNKED else None
        self._remaining = length
        self.awaits_continue = awaits_continue
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        """Takes the bytes that belong to the body, and returns the rest. Raises ApiError 400 if the body is
        malformed.
        """
        rest = b""
        self.awaits_continue = False
        if self._decoder is None:
            if len(data) >= self._remaining:
                data, rest = data[: self._remaining], data[self._remaining :]
                self.complete = True
            self._remaining -= len(data)
            self.inbox.put(data)
        else:
            try:
                parts = self._decoder.feed(data)
            except ChunkedError as error:
                raise bad_request(f"Malformed chunked body: {error}.") from None
            for part in parts:
                self.inbox.put(part)
            rest, self.complete = self._decoder.excess, self._decoder.complete
        if self.complete:
            self.inbox.end()
        return rest
