"""The server's side of one client connection: reads requests in order, runs the handler, keeps deadlines.

End of file from the client counts as the client being gone, also when only its writing half was closed: a close
and a half-close look the same, and cancelling what nobody waits for must not take a write to find out.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from math import inf
from typing import TYPE_CHECKING, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from weebill.transport.chunked import ChunkedDecoder, ChunkedError
from weebill.transport.cors import preflight_lines
from weebill.transport.duplex import Duplex
from weebill.transport.exchange import Exchange
from weebill.transport.flow import FlowControl, Inbox
from weebill.transport.headers import Headers
from weebill.transport.limits import (
    LINGER_IDLE_S,
    LINGER_S,
    MAX_HEADER_FIELDS,
    MIN_BODY_BYTES_PER_S,
    PIPELINE_BYTES,
    WRITE_HIGH_WATER,
)
from weebill.transport.request import (
    CHUNKED,
    bad_request,
    check_host,
    framing,
    index_fields,
    minor_version,
    split_target,
)
from weebill.transport.status import STATUS_LINES
from weebill.wire.errors import ApiError

if TYPE_CHECKING:
    from weebill.transport.server import Server

logger = logging.getLogger(__name__)

# What the next bytes from the client are.
_HEAD: Final = 0  # a request's head
_BODY: Final = 1  # the rest of the body of the request being answered
_BUSY: Final = 2  # pipelined requests, held until the one being answered is done
_RAW: Final = 3  # the stream after an upgrade
_CLOSING: Final = 4  # of no interest

_END_OF_HEAD: Final = b"\r\n\r\n"
_SPENT_PARSER: Final = HttpRequestParser(None)
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ServerConnection(FlowControl):
    """A client connection. `deadline` is about its input, `send_deadline` about a client that does not read."""

    __slots__ = (
        "_continue_due",
        "_cut_at",
        "_decoder",
        "_exchange",
        "_head",
        "_head_done",
        "_headers",
        "_host",
        "_inbox",
        "_keep_alive",
        "_message_done",
        "_parser",
        "_pending",
        "_remaining",
        "_started_at",
        "_state",
        "_target",
        "deadline",
        "secure",
        "send_deadline",
        "server",
    )

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.deadline = inf
        self.send_deadline = inf
        self.secure = False
        self._state = _HEAD
        self._exchange: Exchange | None = None
        self._parser = HttpRequestParser(self)
        self._head = b""
        self._headers: Headers = []
        self._target = b""
        self._head_done = False
        self._message_done = False
        self._keep_alive = False
        self._host: bytes | None = None
        self._started_at = 0.0
        self._pending = b""
        self._inbox: Inbox | None = None
        self._decoder: ChunkedDecoder | None = None
        self._remaining = 0
        self._continue_due = False
        self._cut_at = inf

    # The connection's life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.secure = transport.get_extra_info("sslcontext") is not None
        self.deadline = self.server.loop.time() + self.server.settings.idle_timeout_s
        self.server.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.forget(self)
        self._state = _CLOSING
        # Breaks the reference cycle of parser and callbacks, so that no collection has to find it.
        self._parser = _SPENT_PARSER
        self.resume_writing()
        if self._inbox is not None:
            self._inbox.end(None if exc is None else ConnectionResetError("the client is gone"))
        self._client_gone()
        self._exchange = None

    def eof_received(self) -> None:
        if self._state == _RAW and self._inbox is not None:
            self._inbox.end()
        self._client_gone()

    def pause_writing(self) -> None:
        self.write_paused = True
        self.send_deadline = self.server.loop.time() + self.server.settings.send_timeout_s

    def resume_writing(self) -> None:
        self.send_deadline = inf
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """Act on the deadlines that have passed at `now`."""
        if now > self.send_deadline:
            self.abandon()
        elif now > self.deadline:
            self._too_late(now)
        elif (
            self._state == _BODY
            and self.deadline == inf
            and not self._continue_due
            and self._inbox is not None
            and not self._inbox.paused
        ):
            # Reading goes on after a pause that was ours, not the client's.
            self.deadline = now + self.server.settings.body_timeout_s

    def close_if_idle(self) -> bool:
        """Close a connection that is between requests."""
        if self._state == _HEAD and not self._head:
            self._close()
            return True
        return False

    def abandon(self) -> None:
        """Cancel the handler and cut the connection: the time for finishing is over."""
        self._client_gone()
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """Close at once, whatever is unsent; `reset` makes sure that it does not look like a clean end."""
        if self._exchange is not None:
            self._exchange.complete = True
        self._state = _CLOSING
        if reset:
            sock: socket.socket | None = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    @property
    def peer(self) -> str:
        """The client's address without port; empty on a Unix socket."""
        name = self.transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) and name else ""

    # Input

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == _HEAD:
            self._read(data)
        elif state == _BODY:
            rest = self._read_body(data)
            if rest:
                self._hold(rest)
        elif state == _BUSY:
            self._hold(data)
        elif state == _RAW:
            if self._inbox is not None:
                self._inbox.put(data)
        else:
            self.deadline = min(self.server.loop.time() + LINGER_IDLE_S, self._cut_at)

    def _read(self, data: bytes) -> None:
        """Take requests from `data` until one has to be waited for."""
        while data and self._state == _HEAD:
            try:
                data = self._read_head(data)
            except ApiError as error:
                self.refuse(error)
                return
        if data and self._state != _CLOSING:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        """Keep pipelined input for later."""
        self._pending += data
        if len(self._pending) > PIPELINE_BYTES:
            self.transport.pause_reading()

    def _read_head(self, data: bytes) -> bytes:
        """Take one request from `data` and start on it; returns what follows it."""
        fed = len(self._head)
        if fed:
            data = self._head + data
        else:
            self._started_at = self.server.loop.time()
        while data.startswith(b"\r\n"):  # allowed before a request (RFC 9112 section 2.2)
            data = data[2:]
            fed = max(fed - 2, 0)
        end = data.find(_END_OF_HEAD, max(fed - 3, 0)) + 4
        limit = self.server.settings.max_header_bytes
        if end > limit or (end == 3 and len(data) > limit):
            raise ApiError(431, f"The request's head exceeds {limit} bytes.", code="headers_too_large")
        if end == 3:
            if data and not self._head:
                self.deadline = self._started_at + self.server.settings.header_timeout_s
            self._head = data
            self._feed(data[fed:])
            if self._head_done:
                raise bad_request("Malformed request head.")
            return b""
        self._head = b""
        self._feed(data[fed:end])
        if not self._head_done:
            raise bad_request("Malformed request head.")
        return self._begin(data, end)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # llhttp takes what follows for another protocol; whether it is one is for the handler to say.
            self._message_done = False
        except HttpParserError as error:
            raise bad_request(f"Malformed HTTP: {error}.") from None

    def _begin(self, data: bytes, end: int) -> bytes:
        """Start the exchange whose head is `data[:end]`; returns what follows it."""
        self._head_done = False
        headers, self._headers = self._headers, []
        target, self._target = self._target, b""
        method: bytes = self._parser.get_method()
        if len(headers) > MAX_HEADER_FIELDS:
            raise ApiError(431, f"More than {MAX_HEADER_FIELDS} header fields.", code="headers_too_large")
        minor = minor_version(b"%b %b " % (method, target), data)
        fields = index_fields(headers)
        host = fields.get(b"host")
        if host is None or host != self._host:
            check_host(fields, minor)
            self._host = host
        length = framing(fields, minor)
        path, query = split_target(method, target)
        if b"expect" in fields and fields[b"expect"].lower() != b"100-continue":
            raise ApiError(417, "The only expectation met here is '100-continue'.", code="expectation_failed")
        origin = fields.get(b"origin")
        exchange = self._exchange = Exchange(
            self,
            self.server.next_request_id(),
            self._started_at,
            method,
            target,
            path,
            query,
            headers,
            fields,
            minor,
            length,
            self._keep_alive,
            b"" if origin is None else self.server.cors.lines(origin),
        )
        rest = data[end:]
        if not length:
            self._state = _BUSY
            self.deadline = inf
            if not self._message_done:
                self._parser = HttpRequestParser(self)
        elif length <= len(rest) and length != CHUNKED:
            self._state = _BUSY
            self.deadline = inf
            body, rest = (rest, b"") if length == len(rest) else (rest[:length], rest[length:])
            exchange.deliver(body)
            self._feed(body)
            if not self._message_done:
                self._parser = HttpRequestParser(self)
        else:
            self._open_body(exchange)
            if rest:
                rest = self._read_body(rest)
        self._message_done = False
        if self._state != _CLOSING and not (method == b"OPTIONS" and self._answer_options(exchange)):
            self.server.active += 1
            exchange.task = asyncio.Task(self._serve(exchange), loop=self.server.loop)
        return rest

    def _open_body(self, exchange: Exchange) -> None:
        self._state = _BODY
        self._inbox = Inbox(self.transport)
        self._decoder = ChunkedDecoder() if exchange.length == CHUNKED else None
        self._remaining = exchange.length
        self._continue_due = exchange.awaits_continue
        self.deadline = inf if self._continue_due else self.server.loop.time() + self.server.settings.body_timeout_s
        exchange.open_body(self._inbox)

    def _read_body(self, data: bytes) -> bytes:
        """Take what belongs to the body; returns what follows it."""
        inbox, rest, complete = self._inbox, b"", False
        if inbox is None:
            return b""
        self._continue_due = False
        if self._decoder is None:
            if len(data) >= self._remaining:
                data, rest, complete = data[: self._remaining], data[self._remaining :], True
            self._remaining -= len(data)
            inbox.put(data)
        else:
            try:
                parts = self._decoder.feed(data)
            except ChunkedError as error:
                self.refuse(bad_request(f"Malformed chunked body: {error}."))
                return b""
            for part in parts:
                inbox.put(part)
            rest, complete = self._decoder.excess, self._decoder.complete
        if complete:
            self._state = _BUSY
            self.deadline = inf
            self._decoder = None
            self._inbox = None
            # llhttp has not seen this body; a new one starts at the next request's head.
            self._parser = HttpRequestParser(self)
            inbox.end()
        elif inbox.paused:
            self.deadline = inf
        else:
            self.deadline += len(data) / MIN_BODY_BYTES_PER_S
        return rest

    # Callbacks of llhttp

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        self._head_done = True
        self._keep_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._message_done = True

    # The exchange

    async def _serve(self, exchange: Exchange) -> None:
        """Run the handler; whatever it does, the exchange ends."""
        try:
            await self.server.handler(exchange)
            if not exchange.complete:
                if exchange.responded:
                    exchange.abort()
                else:
                    raise RuntimeError("the handler has given no answer")
        except asyncio.CancelledError:
            exchange.abort()
            raise
        except ApiError as error:
            self._end_with(exchange, error)
        except Exception:
            logger.exception("request failed", extra={"request_id": exchange.request_id})
            self._end_with(exchange, ApiError(500, "Internal error; see the server's log.", code="internal_error"))
        finally:
            exchange.task = None
            self.server.handler_ended()
            if self._exchange is exchange and exchange.complete:
                self._go_on()

    def _end_with(self, exchange: Exchange, error: ApiError) -> None:
        if exchange.responded:
            exchange.abort()
        else:
            exchange.fail(error)

    def _answer_options(self, exchange: Exchange) -> bool:
        """Answer a preflight or a question about the whole server; false if it is neither."""
        origin = exchange.header(b"origin")
        if origin is not None and exchange.header(b"access-control-request-method") is not None:
            if self.server.cors.allows(origin):
                exchange.respond(204, preflight_lines(exchange.header), b"")
            else:
                exchange.fail(ApiError(403, "This origin is not in server.cors_origins.", code="origin_not_allowed"))
            return True
        if exchange.path == b"*":
            exchange.respond(204, b"", b"")
            return True
        return False

    def _client_gone(self) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.complete:
            exchange.complete = True
            if exchange.task is not None:
                exchange.task.cancel()

    @property
    def can_go_on(self) -> bool:
        """Whether another request may follow the one being answered."""
        return self._state == _BUSY and not self.server.draining

    def response_ended(self, exchange: Exchange) -> None:
        """The exchange's last byte is written."""
        exchange.complete = True
        if not exchange.keep_alive:
            self._close(linger=self._state == _BODY)
        elif exchange.task is None:
            self._go_on()

    def _go_on(self) -> None:
        """Response and handler are done: on to the next request."""
        if self._state == _RAW:
            self._close()
        if self._state != _BUSY:
            return
        self._exchange = None
        self._inbox = None
        self._state = _HEAD
        self.deadline = self.server.loop.time() + self.server.settings.idle_timeout_s
        if self._pending:
            data, self._pending = self._pending, b""
            if len(data) > PIPELINE_BYTES:
                self.transport.resume_reading()
            self._read(data)

    def body_wanted(self) -> None:
        """The handler reads the body: the client that waits for `100 Continue` gets it."""
        if self._continue_due and self._state == _BODY:
            self._continue_due = False
            self.transport.write(STATUS_LINES[100] + b"\r\n")
            self.deadline = self.server.loop.time() + self.server.settings.body_timeout_s

    def refuse(self, error: ApiError) -> None:
        """Answer a request that cannot be served, cancel its handler if there is one, and close."""
        exchange = self._exchange
        if exchange is None:
            body = error.body()
            self.transport.write(
                b"%bcontent-type: application/json\r\nx-request-id: %b\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%b"
                % (STATUS_LINES[error.status], self.server.next_request_id().encode(), len(body), body)
            )
            self._close(linger=True)
        elif not exchange.complete:
            task = exchange.task
            exchange.keep_alive = False
            self._end_with(exchange, error)
            if task is not None:
                task.cancel()

    def upgrade(self, exchange: Exchange, head: bytes) -> Duplex:
        """Switch to the raw stream; `head` is the response's."""
        exchange.complete = True
        exchange.keep_alive = False
        self.transport.write(head + b"\r\n")
        self._state = _RAW
        self._inbox = Inbox(self.transport)
        if self._pending:
            if len(self._pending) > PIPELINE_BYTES:
                self.transport.resume_reading()
            self._inbox.put(self._pending)
            self._pending = b""
        return Duplex(self, self._inbox)

    # Closing

    def _too_late(self, now: float) -> None:
        if self._state == _HEAD:
            if self._head:
                self.refuse(ApiError(408, "The request's head came too slowly.", code="request_timeout"))
            else:
                self._close()
        elif self._state == _BODY:
            self.refuse(ApiError(408, "The request's body came too slowly.", code="request_timeout"))
        elif now > self._cut_at or not self.transport.get_write_buffer_size():
            self.cut()

    def _close(self, *, linger: bool = False) -> None:
        """Close once everything is sent; with `linger`, only after the client has had time to read it.

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
            # The body may have been paused with nobody left to take it.
            self.transport.resume_reading()
        else:
            self._cut_at = self.deadline = now + self.server.settings.send_timeout_s
            self.transport.close()
