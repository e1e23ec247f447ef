"""The server's side of one client connection: reads requests in order, runs the handler, keeps deadlines.

1. A request's head is parsed; its body comes with it, or is read into an inbox.
2. The handler answers, and pipelined requests are held back. When both are done, the next request is read.

End of file counts as the client being gone, even if only its writing half was closed: the two look the same, and a
handler for a client that is gone must be cancelled without waiting for a write to fail.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress
from math import inf
from typing import Final

from weebill.transport.body import BodyReader
from weebill.transport.channel import Channel
from weebill.transport.duplex import Duplex
from weebill.transport.exchange import Exchange, Handler
from weebill.transport.flow import Inbox
from weebill.transport.limits import (
    LINGER_IDLE_S,
    LINGER_S,
    MAX_REFUSALS,
    MIN_BODY_BYTES_PER_S,
    PIPELINE_BYTES,
    WRITE_HIGH_WATER,
)
from weebill.transport.parser import RequestParser
from weebill.transport.preflight import answer_options
from weebill.transport.server_state import ServerState
from weebill.transport.serving import Serving, end_with
from weebill.transport.status import CLIENT_CLOSED_REQUEST, STATUS_LINES
from weebill.transport.sweeper import Sweeper
from weebill.wire.errors import ApiError

# The meaning of the next bytes from the client.
_HEAD: Final = 0  # a request's head
_BODY: Final = 1  # the rest of the body of the request being answered
_BUSY: Final = 2  # pipelined requests, held until the one being answered is done
_RAW: Final = 3  # the stream after an upgrade
_CLOSING: Final = 4  # ignored
_UNWELCOME: Final = 5  # a request that is refused for too many connections, read for its format

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ServerConnection(Channel):
    """A client connection. `deadline` is for its input, `send_deadline` for a client that does not read.

    While it is open, it is in the server's `members`.
    """

    __slots__ = (
        "_body", "_body_until", "_cut_at", "_exchange", "_members", "_parser", "_pending", "_raw", "_serving",
        "_started_at", "_state", "deadline", "send_deadline",
    )  # fmt: skip

    def __init__(self, server: ServerState, handler: Handler, members: Sweeper[ServerConnection]) -> None:
        super().__init__(server)
        self._members = members
        self.deadline = inf
        self.send_deadline = inf
        self._state = _HEAD
        self._parser = RequestParser()
        self._started_at = 0.0
        self._exchange: Exchange | None = None
        self._serving = Serving(server, handler)
        # The rest of a request's body, while it is coming
        self._body: BodyReader | None = None
        self._body_until = inf
        # Pipelined input
        self._pending = b""
        # Input after an upgrade
        self._raw: Inbox | None = None
        self._cut_at = inf

    # The connection's life

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.secure = transport.get_extra_info("sslcontext") is not None
        self.deadline = self.server.loop.time() + self.server.settings.idle_timeout_s
        others = len(self._members.members)
        self._members.add(self)
        if others >= self.server.settings.max_connections + MAX_REFUSALS:
            self.cut()
        elif others >= self.server.settings.max_connections:
            self._turn_away()

    def connection_lost(self, exc: Exception | None) -> None:
        self._members.discard(self)
        self.server.connection_ended()
        self._state = _CLOSING
        self._parser.close()
        self.resume_writing()
        if self._raw is not None:
            self._raw.end()
        self._cancel(CLIENT_CLOSED_REQUEST)
        self._exchange = None
        self._serving.close()

    def eof_received(self) -> None:
        if self._raw is not None:
            self._raw.end()
        self._cancel(CLIENT_CLOSED_REQUEST)

    def pause_writing(self) -> None:
        self.write_paused = True
        self.send_deadline = self.server.loop.time() + self.server.settings.send_timeout_s

    def resume_writing(self) -> None:
        self.send_deadline = inf
        super().resume_writing()
        exchange = self._exchange
        if exchange is not None and exchange.complete and exchange.task is None:
            self._next_request()

    def sweep(self, now: float) -> None:
        """Acts on the deadlines that have passed at `now`."""
        if now > self.send_deadline:
            self.abandon(CLIENT_CLOSED_REQUEST)
        elif now > self.deadline:
            self._time_out(now)
        elif (
            self.deadline == inf
            and self._body is not None
            and not self._body.awaits_continue
            and not self._body.inbox.paused
        ):
            # Reading goes on after a pause that was the server's, not the client's.
            self.deadline = min(now + self.server.settings.body_timeout_s, self._body_until)

    def close_if_idle(self) -> None:
        """Closes a connection between requests, or a raw stream, which has no end to wait for."""
        if self._state in (_RAW, _UNWELCOME) or (self._state == _HEAD and not self._parser.in_head):
            self._close()

    def abandon(self, status: int) -> None:
        """Cancels the handler and cuts the connection, as time is over; `status` says why."""
        self._cancel(status)
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        if self._exchange is not None:
            self._exchange.complete = True
        self._state = _CLOSING
        if reset:
            sock: socket.socket | None = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    # Input

    def data_received(self, data: bytes) -> None:
        state = self._state
        try:
            if state == _HEAD:
                self._read(data)
            elif state == _BODY:
                rest = self._read_body(data)
                if rest:
                    self._hold(rest)
            elif state == _BUSY:
                self._hold(data)
            elif state == _RAW and self._raw is not None:
                self._raw.put(data)
            elif state == _CLOSING:
                self.deadline = min(self.server.loop.time() + LINGER_IDLE_S, self._cut_at)
            elif state == _UNWELCOME:
                self._read_unwelcome(data)
        except ApiError as error:
            self.refuse(error)

    def _turn_away(self) -> None:
        """Takes no request, as there are too many connections; the client is told once it has sent one.

        Go's client drops unrequested answers, by its log as in https://github.com/henson/proxypool/issues/45.
        """
        self._state = _UNWELCOME
        self.deadline = min(self.deadline, self.server.loop.time() + LINGER_IDLE_S)

    def _read_unwelcome(self, data: bytes) -> None:
        with suppress(ApiError):  # well-formed or not, it is refused
            self._parser.read_head(data, self.server.settings.max_header_bytes)
        self._refuse_unwelcome()

    def _refuse_unwelcome(self) -> None:
        message = "Too many connections; try again later."
        self.refuse(ApiError(503, message, code="too_many_connections", retry_after=1))

    def _read(self, data: bytes) -> None:
        """Takes requests from `data` until one has to be waited for. Raises ApiError."""
        while data and self._state == _HEAD:
            data = self._read_head(data)
        if data and self._state != _CLOSING:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        """Keeps pipelined input for later."""
        self._pending += data
        if len(self._pending) > PIPELINE_BYTES:
            self.transport.pause_reading()

    def _read_head(self, data: bytes) -> bytes:
        """Takes one request from `data` and starts it; returns the rest."""
        parser = self._parser
        server = self.server
        begun = parser.in_head
        if not begun:
            # Not the loop's time, which has the granularity of milliseconds in uvloop.
            self._started_at = time.monotonic()
        rest = parser.read_head(data, server.settings.max_header_bytes)
        if rest is None:
            if not begun and parser.in_head:
                self.deadline = server.loop.time() + server.settings.header_timeout_s
            return b""
        head = parser.head
        exchange = self._exchange = Exchange(
            self,
            head,
            server.next_request_id(),
            self._started_at,
            b"" if head.origin is None else server.cors.lines(head.origin),
        )
        length = head.length
        if 0 <= length <= len(rest):
            self._state = _BUSY
            self.deadline = inf
            body, rest = (rest, b"") if length == len(rest) else (rest[:length], rest[length:])
            parser.end_body(body)
            exchange.deliver(body)
        else:
            parser.end_body(None)
            self._open_body(exchange)
            if rest:
                rest = self._read_body(rest)
        if head.method != b"OPTIONS" or not answer_options(exchange, server.cors):
            self._serving.start(exchange)
        return rest

    def _open_body(self, exchange: Exchange) -> None:
        self._state = _BODY
        body = self._body = BodyReader(
            self.transport,
            exchange.head.length,
            awaits_continue=exchange.header(b"expect") is not None and exchange.head.minor == 1,
        )
        self._body_due()
        if body.awaits_continue:
            self.deadline = inf
        exchange.open_body(body.inbox)

    def _body_due(self) -> None:
        """Starts the deadlines of a body."""
        settings = self.server.settings
        now = self.server.loop.time()
        self.deadline = now + settings.body_timeout_s
        self._body_until = now + settings.body_total_s

    def _read_body(self, data: bytes) -> bytes:
        """Takes the bytes that belong to the body, and returns the rest. Raises ApiError."""
        body = self._body
        if body is None:
            return b""
        rest = body.feed(data)
        if body.complete:
            self._state = _BUSY
            self.deadline = inf
            self._body = None
        elif body.inbox.paused:
            self.deadline = inf
        else:
            self.deadline = min(self.deadline + len(data) / MIN_BODY_BYTES_PER_S, self._body_until)
        return rest

    # The exchange

    def handler_ended(self) -> None:
        self.server.handler_ended()
        exchange = self._exchange
        if exchange is not None and exchange.complete:
            self._next_request()

    def _cancel(self, status: int) -> None:
        """Ends the exchange without an answer; `status` tells the handler why."""
        exchange = self._exchange
        if exchange is not None and not exchange.complete:
            exchange.complete = True
            exchange.cancelled_with = status
            if exchange.task is not None:
                exchange.task.cancel()

    @property
    def accepts_more(self) -> bool:
        return self._state == _BUSY and not self.server.draining

    def response_ended(self) -> None:
        exchange = self._exchange
        if exchange is None or not exchange.keep_alive:
            self._close(linger=self._state == _BODY)
        elif exchange.task is None:
            self._next_request()

    def _next_request(self) -> None:
        """Goes on to the next request, as response and handler are done."""
        if self._state == _RAW:
            self._close()
        if self._state != _BUSY or self.transport.is_closing():
            return
        if self.server.draining:
            # The response began before the drain and promised to keep the connection.
            self._close()
            return
        if self.write_paused:
            # Answers to further requests would pile up for a client that does not read.
            return
        self._exchange = None
        self._state = _HEAD
        self.deadline = self.server.loop.time() + self.server.settings.idle_timeout_s
        if self._pending:
            data, self._pending = self._pending, b""
            if len(data) > PIPELINE_BYTES:
                self.transport.resume_reading()
            self.data_received(data)

    def body_wanted(self) -> None:
        if self._body is not None and self._body.awaits_continue:
            self._body.awaits_continue = False
            self.transport.write(STATUS_LINES[100] + b"\r\n")
            self._body_due()

    def refuse(self, error: ApiError) -> None:
        exchange = self._exchange
        if exchange is None:
            request_id = self.server.next_request_id()
            lines, body = self.server.refusing(error, self._parser.path, self._parser.fields, request_id)
            self.transport.write(
                b"%b%bx-request-id: %b\r\n%bconnection: close\r\ncontent-length: %d\r\n\r\n%b"
                % (STATUS_LINES[error.status], error.headers(), request_id.encode(), lines, len(body), body)
            )
            self._close(linger=True)
        elif not exchange.complete:
            task = exchange.task
            exchange.keep_alive = False
            exchange.cancelled_with = error.status
            end_with(exchange, error)
            if task is not None:
                task.cancel()

    def upgrade(self, head: bytes) -> Duplex:
        self.transport.write(head + b"\r\n")
        self._state = _RAW
        raw = self._raw = Inbox(self.transport)
        if self._pending:
            if len(self._pending) > PIPELINE_BYTES:
                self.transport.resume_reading()
            raw.put(self._pending)
            self._pending = b""
        return Duplex(self, raw)

    # Closing

    def _time_out(self, now: float) -> None:
        if self._state == _HEAD:
            if self._parser.in_head:
                self.refuse(ApiError(408, "The request's head came too slowly.", code="request_timeout"))
            else:
                self._close()
        elif self._state == _BODY:
            self.refuse(ApiError(408, "The request's body came too slowly.", code="request_timeout"))
        elif self._state == _UNWELCOME:
            self._refuse_unwelcome()  # nothing is known about the client's API, so it gets OpenAI's format
        elif now > self._cut_at or not self.transport.get_write_buffer_size():
            self.cut()

    def _close(self, *, linger: bool = False) -> None:
        """Closes once everything is sent; with `linger`, only after the client has had time to read it.

        Closing a socket with unread input resets the connection, and the client may lose the answer.
        """
        now = self.server.loop.time()
        self._state = _CLOSING
        self._pending = b""
        if linger and not self.transport.is_closing():
            self.deadline = now + LINGER_IDLE_S
            self._cut_at = now + LINGER_S
            if self.transport.can_write_eof():
                self.transport.write_eof()
            # The body may be paused, with no reader left.
            self.transport.resume_reading()
        else:
            self._cut_at = self.deadline = now + self.server.settings.send_timeout_s
            self.transport.close()
