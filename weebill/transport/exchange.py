"""One request and its response on a server connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Final

from weebill.transport.channel import Channel
from weebill.transport.coding import KNOWN, CodingError, Decoding, TooLongError, UnknownCodingError
from weebill.transport.duplex import Duplex
from weebill.transport.flow import Inbox, Once
from weebill.transport.head import Head
from weebill.transport.headers import Headers
from weebill.transport.status import BODILESS, SHUTTING_DOWN, STATUS_LINES
from weebill.transport.tally import Tally
from weebill.wire.errors import ApiError

# The framing of a streamed response's body.
_NOT_STARTED: Final = 0
_BY_CHUNKS: Final = 1
_BY_LENGTH: Final = 2
_BY_CLOSE: Final = 3
_NO_BODY: Final = 4
_LONG: Final = 65_536


class Exchange:
    """A request whose head is complete, and the response to it.

    `head` is the request's. `started_at` is `time.monotonic()` at the request's first byte, in seconds. `responded` is
    True once an answer has begun; `complete` once it has ended or the client is gone.

    The handler is cancelled if the client goes away, the server itself answers (400, 408, 413), or the process ends;
    its further output is ignored. `cancelled_with` is then the status that says why: 499, the answer's, or 503.

    `claim` is called with the length of each stored piece of the body, and may raise to refuse it; `tap` with all bytes
    of the answer's body; `tally` counts the pieces of a streamed body after its beginning; `written` counts all pieces.
    `late_headers` returns header lines that are known only when the answer's head is written, each ended by CRLF.
    """

    __slots__ = (
        "_coded",
        "_connection",
        "_extra",
        "_framing",
        "_inbox",
        "_unsent",
        "_whole",
        "cancelled_with",
        "claim",
        "complete",
        "head",
        "keep_alive",
        "late_headers",
        "request_id",
        "responded",
        "started_at",
        "tally",
        "tap",
        "task",
        "written",
    )

    def __init__(self, connection: Channel, head: Head, request_id: str, started_at: float, extra: bytes) -> None:
        self._connection = connection
        self._extra = extra
        self.head = head
        self.request_id = request_id
        self.started_at = started_at
        self.keep_alive = head.keep_alive
        self._framing = _NOT_STARTED
        self._unsent = 0
        self._whole: bytes | None = None if head.length else b""
        self._coded = bool(head.codings)
        self._inbox: Inbox | None = None
        self.claim: Callable[[int], None] | None = None
        self.tap: Callable[[bytes], None] | None = None
        self.tally: Tally | None = None
        self.late_headers: Callable[[], bytes] | None = None
        self.responded = False
        self.complete = False
        self.written = 0
        self.cancelled_with = SHUTTING_DOWN
        self.task: asyncio.Task[None] | None = None

    # The request

    @property
    def method(self) -> bytes:
        return self.head.method

    @property
    def path(self) -> bytes:
        return self.head.path

    @property
    def query(self) -> bytes:
        return self.head.query

    @property
    def headers(self) -> Headers:
        return self.head.headers

    def header(self, name: bytes) -> bytes | None:
        """Returns the first value of that (lower-case) header."""
        return self.head.fields.get(name)

    @property
    def peer(self) -> str:
        """The client's address without port; empty on a Unix socket."""
        return self._connection.peer

    @property
    def secure(self) -> bool:
        """True if the client uses TLS."""
        return self._connection.secure

    @property
    def upgrade_to(self) -> bytes | None:
        """The protocol of a valid upgrade request (a GET on HTTP/1.1 without body), else None."""
        protocol = self.head.fields.get(b"upgrade")
        if protocol is None or self.method != b"GET" or self.head.length or not self.head.minor:
            return None
        options = self.head.fields.get(b"connection", b"").lower().split(b",")
        return protocol if b"upgrade" in map(bytes.strip, options) else None

    @property
    def arrived(self) -> bool:
        """True if the whole body came with the head, uncompressed."""
        return self._whole is not None and not self._coded

    @property
    def received(self) -> bytes | None:
        """The body if it has arrived, uncompressed and no longer than `max_body_bytes`; else None."""
        if self._coded:
            return None
        whole = self._whole
        return whole if whole is None or len(whole) <= self._connection.server.settings.max_body_bytes else None

    async def body(self) -> bytes:
        """Returns the whole body, with its content codings removed.

        If it is too large, too slow or malformed, the server answers and cancels the handler. Raises ApiError 415 for
        an unknown coding, 400 for a body that does not match its coding.
        """
        whole = self.received
        if whole is not None:
            return whole
        limit = self._connection.server.settings.max_body_bytes
        try:
            decoding = Decoding(self.head.codings, limit) if self._coded else None
            self._whole = whole = await self._collected(limit, decoding)
            self._coded = False
            return whole
        except UnknownCodingError as error:
            self.add_headers(b"accept-encoding: %b\r\n" % KNOWN.encode())
            message = f"The header 'content-encoding': {error}."
            raise ApiError(415, message, code="unsupported_encoding", param="content-encoding") from None
        except CodingError as error:
            message = f"The request body is not what its header 'content-encoding' says: {error}."
            raise ApiError(400, message, code="invalid_encoding", param="content-encoding") from None
        except TooLongError:
            self._connection.refuse(
                ApiError(413, f"The request body exceeds the limit of {limit} bytes.", code="request_too_large")
            )
        # The refusal has cancelled this very task, which takes effect here.
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def _collected(self, limit: int, decoding: Decoding | None) -> bytes:
        """Collects the body, decoded. Raises TooLongError for more than `limit` bytes, coded or not."""
        if self.head.length > limit:
            raise TooLongError
        # Not a list: pieces of one byte would take forty times as much.
        body = bytearray()
        size = 0
        claim = self.claim
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise TooLongError
            pieces = [chunk] if decoding is None else await decoding.all_of(chunk)
            for piece in pieces:
                if claim is not None:
                    claim(len(piece))
                body += piece
        if decoding is not None:
            decoding.end()
        return bytes(body)

    def chunks(self) -> AsyncIterator[bytes]:
        """Returns the body as it arrives, coded or not, with backpressure; not limited by `max_body_bytes`."""
        if self._inbox is None or self._whole is not None:
            return Once(self._whole or b"")
        self._connection.body_wanted()
        return self._inbox

    # The response

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Sends a complete answer; `headers` are raw lines, each ended by CRLF, without framing headers."""
        if self._begin():
            head = self._head(status, headers)
            if status in BODILESS:
                data = head + b"\r\n"
            elif self.head.method == b"HEAD":
                data = b"%bcontent-length: %d\r\n\r\n" % (head, len(body))
            else:
                data = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
            self._connection.transport.write(data)
            if self.tap is not None:
                self.tap(body)
            self._end()

    def add_headers(self, lines: bytes) -> None:
        """Adds header lines, each ended by CRLF, to whatever the answer will be; each only once."""
        if lines not in self._extra:
            self._extra += lines

    def fail(self, error: ApiError) -> None:
        """Answers with an error in the format of the client's API."""
        lines, body = self._connection.server.refusing(error, self.head.path, self.head.fields, self.request_id)
        self.add_headers(lines)
        self.respond(error.status, error.headers(), body)

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Starts a streamed answer: of `length` bytes if given, else chunked (on HTTP/1.0: ended by closing)."""
        if not self._begin():
            return
        if status in BODILESS:
            self._framing = _NO_BODY
            framing = b"\r\n"
        elif length is not None:
            self._framing = _BY_LENGTH
            self._unsent = length
            framing = b"content-length: %d\r\n\r\n" % length
        elif self.head.minor:
            self._framing = _BY_CHUNKS
            framing = b"transfer-encoding: chunked\r\n\r\n"
        else:
            self._framing = _BY_CLOSE
            self.keep_alive = False
            framing = b"\r\n"
        head = self._head(status, headers)
        if self.head.method == b"HEAD":
            self._framing = _NO_BODY
        self._connection.transport.write(head + framing)

    def write(self, data: bytes) -> None:
        """Sends a piece of the streamed answer; does nothing if `data` is empty or the client is gone."""
        if self.complete or not data:
            return
        if self.tap is not None:
            self.tap(data)
        if self.tally is not None:
            self.tally.add(data)
        self.written += 1
        self._send(data)

    def write_aside(self, data: bytes) -> None:
        """Sends bytes that are not part of the answer, such as a comment; nothing while the client does not keep up."""
        if not self.complete and not self._connection.write_paused:
            self._send(data)

    def _send(self, data: bytes) -> None:
        framing = self._framing
        if framing == _BY_CHUNKS:
            transport = self._connection.transport
            if len(data) < _LONG:
                transport.write(b"%x\r\n%b\r\n" % (len(data), data))
            else:  # avoids another copy
                transport.write(b"%x\r\n" % len(data))
                transport.write(data)
                transport.write(b"\r\n")
        elif framing == _NOT_STARTED:
            raise RuntimeError("write() before start()")
        elif framing != _NO_BODY:
            if framing == _BY_LENGTH:
                self._unsent -= len(data)
                if self._unsent < 0:
                    raise RuntimeError("more written than the announced length")
            self._connection.transport.write(data)

    async def drain(self) -> None:
        """Waits while the client's buffer is over the high-water mark."""
        if self._connection.write_paused:
            await self._connection.drain()

    def finish(self) -> None:
        """Ends the streamed answer cleanly."""
        if self.complete:
            return
        if self._framing == _NOT_STARTED:
            raise RuntimeError("finish() before start()")
        if self._framing == _BY_LENGTH and self._unsent:
            self.abort()
            return
        if self._framing == _BY_CHUNKS:
            self._connection.transport.write(b"0\r\n\r\n")
        self._end()

    def abort(self) -> None:
        """Cuts the connection, so that the client cannot mistake it for a clean end."""
        if not self.complete:
            # If the body is framed by the connection's end, only a reset differs from a clean end.
            self._connection.cut(reset=self._framing == _BY_CLOSE)

    def upgrade(self, headers: bytes) -> Duplex:
        """Answers 101 with `headers` (`upgrade` included), and returns the raw byte stream."""
        if not self._begin():
            raise ConnectionResetError("the client is gone")
        head = b"%b%bx-request-id: %b\r\n%b" % (STATUS_LINES[101], headers, self.request_id.encode(), self._extra)
        self.complete = True
        self.keep_alive = False
        return self._connection.upgrade(head)

    # Between the exchange and its connection

    def deliver(self, body: bytes) -> None:
        """Takes a whole body that came with the head."""
        self._whole = body

    def open_body(self, inbox: Inbox) -> None:
        """Takes the inbox of a body that is still coming."""
        self._inbox = inbox

    def handler_ended(self) -> None:
        """Notes that the handler has returned, or was cancelled."""
        self.task = None
        self._connection.handler_ended()

    def _begin(self) -> bool:
        """Claims the response; False if the client is gone."""
        if self.complete:
            return False
        if self.responded:
            raise RuntimeError("the exchange already has a response")
        self.responded = True
        return True

    def _end(self) -> None:
        """Notes that the response's last byte is written."""
        self.complete = True
        self._connection.response_ended()

    def _head(self, status: int, headers: bytes) -> bytes:
        """Returns status line and header lines, except for framing and the blank line."""
        if self.keep_alive and self._connection.accepts_more:
            persistence = b"" if self.head.minor else b"connection: keep-alive\r\n"
        else:
            self.keep_alive = False
            persistence = b"connection: close\r\n"
        if self.late_headers is not None:
            self._extra += self.late_headers()
        return b"%b%bx-request-id: %b\r\n%b%b" % (
            STATUS_LINES[status],
            headers,
            self.request_id.encode(),
            self._extra,
            persistence,
        )


Handler = Callable[[Exchange], Coroutine[None, None, None]]
