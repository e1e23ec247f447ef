"""One connection to an upstream: sends a request, reads its response, keeps the timeouts."""

from __future__ import annotations

import asyncio
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncIterator
from math import inf
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from weebill.transport.answer_head import refusal, too_long
from weebill.transport.errors import Phase, UpstreamCut, UpstreamLost, UpstreamProtocolError, UpstreamTimeout
from weebill.transport.flow import Inbox, Source
from weebill.transport.headers import END_OF_HEAD, parse_fields
from weebill.transport.limits import MAX_HEADER_FIELDS, MAX_RESPONSE_HEAD_BYTES, RELEASE_S, WRITE_HIGH_WATER
from weebill.transport.origin import Timeouts
from weebill.transport.response import Response
from weebill.transport.status import BODILESS

_IDLE: Final = 0  # in the pool
_HEAD: Final = 1  # waiting for the response's head
_BODY: Final = 2
_RAW: Final = 3  # after a 101
_CLOSED: Final = 4  # or not open yet

# Methods that announce an empty body; others have none (RFC 9110 section 8.6).
_WITH_BODY: Final = (b"POST ", b"PUT ", b"PATCH ")
_CR: Final = 13
_NO_TIMEOUTS: Final = Timeouts()
_SPENT_PARSER: Final = HttpResponseParser(None)


class StaleConnectionError(Exception):
    """A pooled connection ended before any byte of the response: the request may be sent again on a fresh one."""


class Owner(metaclass=ABCMeta):
    """The owner of connections, which report to it; an idle one is kept for `idle_expiry_s` seconds."""

    __slots__ = ("idle_expiry_s",)

    def __init__(self, idle_expiry_s: float) -> None:
        self.idle_expiry_s = idle_expiry_s

    @abstractmethod
    def release(self, connection: UpstreamConnection) -> None:
        """Takes back a connection that is free for the next exchange."""

    @abstractmethod
    def discard(self, connection: UpstreamConnection, *, idle: bool) -> None:
        """Drops a closed connection; `idle` if it was free."""


class UpstreamConnection(Source):
    """A connection of its `owner`, used for one exchange at a time."""

    __slots__ = (
        "_answer", "_began", "_by_close", "_deadline", "_early", "_first_byte", "_head", "_head_bytes", "_idle_s",
        "_inbox", "_loop", "_message_done", "_owner", "_parser", "_phase", "_pump", "_received", "_reusable", "_state",
        "_timeouts", "_total_s", "_touched", "_used", "_waiter",
    )  # fmt: skip

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._owner = owner
        self._loop = loop
        self._parser = HttpResponseParser(self)
        self._state = _CLOSED
        self._used = False
        # Of the exchange under way
        self._head = b""
        self._waiter: asyncio.Future[Response] | None = None
        self._inbox: Inbox | None = None
        self._pump: asyncio.Task[None] | None = None
        self._received = b""  # of the answer's head
        self._head_bytes = 0
        # The answer and the parts of its body that came with the head, until it is handed over
        self._answer: Response | None = None
        self._early: list[bytes] = []
        self._by_close = False
        self._message_done = False
        self._reusable = False
        # Its timeouts
        self._phase: Phase = "idle"
        self._timeouts = _NO_TIMEOUTS
        self._idle_s = inf
        self._total_s = inf
        self._began = 0.0
        self._deadline = inf
        self._first_byte = inf
        self._touched = False

    @property
    def closed(self) -> bool:
        """True if it cannot be used any more."""
        return self._state == _CLOSED

    def open(self) -> None:
        """Starts its use, once the pool knows it. Raises ConnectionError if the upstream has closed it already."""
        if self.transport.is_closing():
            raise ConnectionResetError("closed at once")
        self._state = _IDLE

    # Sending

    def begin(
        self, head: bytes, body: bytes | AsyncIterator[bytes], timeouts: Timeouts, patience_s: float
    ) -> asyncio.Future[Response]:
        """Sends a request (see `Client.send`); returns the future of the answer's head. `give_up` must follow a
        cancellation.
        """
        self._timeouts = timeouts
        first_byte = timeouts.first_byte
        self._first_byte = first_byte if first_byte < patience_s else patience_s
        self._idle_s = timeouts.idle
        self._total_s = timeouts.total
        self._began = now = self._loop.time()
        self._deadline = now + self._first_byte
        self._phase = "first_byte"
        self._state = _HEAD
        self._head = head
        self._received = b""
        self._head_bytes = 0
        waiter: asyncio.Future[Response] = self._loop.create_future()
        self._waiter = waiter
        if isinstance(body, bytes):
            if body or head.startswith(_WITH_BODY):
                self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
            else:
                self.transport.write(head + b"\r\n")
        else:
            self.transport.write(head + b"transfer-encoding: chunked\r\n\r\n")
            self._phase = "idle"
            self._pump = self._loop.create_task(self._send_body(body))
        return waiter

    async def _send_body(self, body: AsyncIterator[bytes]) -> None:
        """Sends the pieces as they come, and as the upstream takes them."""
        try:
            async for piece in body:
                if piece:
                    self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self._touched = True
                    await self.drain()
        except Exception as error:  # the source broke: the upstream must not take the body for complete
            self._pump = None
            self.fail(error)
            return
        self.transport.write(b"0\r\n\r\n")
        self._pump = None
        if self._state == _HEAD:
            self._phase = "first_byte"
            self._deadline = self._loop.time() + self._first_byte

    # Receiving

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == _HEAD:
            self._head_bytes += len(data)
            received = self._received
            self._received = received + data if received else data
        elif state == _RAW:
            if self._inbox is not None:
                self._inbox.put(data)
            return
        elif state != _BODY:
            # No request is under way: these bytes must not become the answer to the next one.
            self.fail(UpstreamProtocolError("the upstream sent bytes without a request"))
            self.transport.abort()
            return
        self._touched = True
        self._parse(data)
        if self._message_done:
            self._complete()
        elif self._answer is not None:
            self._hand_over(self._answer)
        elif self._state == _HEAD and self._head_bytes > MAX_RESPONSE_HEAD_BYTES:
            self.fail(too_long())

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
            return
        except HttpParserError as error:
            if not self._message_done:
                self.fail(UpstreamProtocolError(f"the upstream's answer is not valid HTTP: {error}"))
                return
            self._reusable = False

    def _hand_over(self, answer: Response) -> None:
        """Hands over an answer that is not complete yet, and passes on the rest as it comes."""
        self._answer = None
        early, self._early = self._early, []
        inbox = self._inbox = answer.inbox = Inbox(self.transport, self._abandoned)
        for part in early:
            inbox.put(part)
        self._settle(answer)

    def _settle(self, answer: Response) -> None:
        waiter = self._waiter
        # A cancelled waiter stays until `give_up` comes, or the next exchange.
        if waiter is not None and not waiter.done():
            self._waiter = None
            waiter.set_result(answer)

    def eof_received(self) -> None:
        if self._state == _BODY and self._by_close:
            self._complete()
        else:
            self._lost()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()
        # Breaks the reference cycle of parser and callbacks, so that the collector need not.
        self._parser = _SPENT_PARSER
        self.resume_writing()

    def sweep(self, now: float) -> None:
        """Acts on the timeouts that have passed at `now`."""
        if self._state == _IDLE:
            if now > self._deadline:
                self.fail(UpstreamCut("idle for too long"))
        elif self._state == _RAW:
            return  # the joined streams have deadlines elsewhere
        elif now > self._began + self._total_s:
            self.fail(UpstreamTimeout("total"))
        elif self._phase == "idle" and (self._touched or (self._inbox is not None and self._inbox.paused)):
            self._touched = False
            self._deadline = now + self._idle_s
        elif now > self._deadline:
            self.fail(UpstreamTimeout(self._phase))

    # Callbacks of llhttp

    def on_message_begin(self) -> None:
        if self._message_done:
            self._reusable = False

    def on_headers_complete(self) -> None:
        if self._state != _HEAD:
            return
        received = self._received
        if received[0] == _CR:  # llhttp skips empty lines before a head
            received = received.lstrip(b"\r\n")
        end = received.find(END_OF_HEAD)
        status: int = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._received = received[end + 4 :]
            return
        if end > MAX_RESPONSE_HEAD_BYTES:  # it may come in one read
            self.fail(too_long())
            return
        head = received[:end]
        fields = head.lower()
        # Not `in`, which with bytes first tries the argument as a number, and raises inside.
        encoded = fields.find(b"-encoding:") >= 0
        coded = encoded and fields.find(b"\r\ntransfer-encoding:") >= 0
        # A field takes at least four bytes.
        many = len(head) > 4 * MAX_HEADER_FIELDS
        if coded or many or not 200 <= status < 600:
            switches = status == 101 and self._parser.should_upgrade()
            wrong = refusal(status, parse_fields(head), self._head, switches)
            if wrong is not None:
                self.fail(UpstreamProtocolError(wrong))
                return
        self._received = b""
        self._reusable = self._parser.should_keep_alive()
        self._state = _BODY
        self._phase = "idle"
        if status in BODILESS or self._head.startswith(b"HEAD "):
            self._message_done = True
        else:
            self._by_close = not coded and fields.find(b"\r\ncontent-length:") < 0
        coded = encoded and fields.find(b"\r\ncontent-encoding:") >= 0
        self._answer = Response(self, status, head, coded)

    def on_body(self, data: bytes) -> None:
        if self._message_done:
            self._reusable = False
        elif self._answer is not None:
            self._early.append(data)
        elif self._inbox is not None:
            self._inbox.put(data)

    def on_message_complete(self) -> None:
        if self._state == _BODY:
            self._message_done = True

    # Endings

    def give_up(self, waiter: asyncio.Future[Response]) -> None:
        """Ends the exchange of a cancelled waiter; by now it may be over, and the next another's."""
        if self._waiter is waiter:
            self.fail(UpstreamCut("the exchange was cancelled"))
        elif not waiter.cancelled() and waiter.exception() is None:
            waiter.result().close()

    def abandon(self, inbox: Inbox) -> None:
        if self._inbox is inbox:
            self._abandoned()

    def hasten(self, inbox: Inbox, within_s: float) -> None:
        if self._inbox is inbox:
            self._idle_s = min(within_s, self._timeouts.idle)
            self._total_s = min(self._timeouts.total, self._loop.time() - self._began + within_s)
            self._deadline = self._loop.time() + self._idle_s

    def release(self, inbox: Inbox) -> None:
        if self._inbox is not inbox:
            return
        if self._by_close or not self._reusable:
            self._abandoned()
            return
        self._inbox = None
        inbox.end()
        now = self._loop.time()
        self._idle_s = RELEASE_S
        self._total_s = now - self._began + RELEASE_S
        self._deadline = now + RELEASE_S

    def fail(self, error: Exception) -> None:
        """Ends the exchange with `error` and closes the socket at once; idempotent."""
        if self._state == _CLOSED:
            return
        was_idle = self._state == _IDLE
        if self._answer is not None:  # the inbox tells that its body failed
            self._hand_over(self._answer)
        self._close(idle=was_idle)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if self._inbox is not None:
            inbox, self._inbox = self._inbox, None
            inbox.end(error)

    def _abandoned(self) -> None:
        self.fail(UpstreamCut("the answer was given up"))

    def _lost(self) -> None:
        if self._state == _RAW and self._inbox is not None:
            self._inbox.end()
        if self._state == _HEAD and self._used and not self._head_bytes:
            self.fail(StaleConnectionError())
        else:
            self.fail(UpstreamLost("the upstream closed the connection before its answer was complete"))

    def _switch(self, rest: bytes) -> None:
        """Turns the connection into a raw stream, which begins with `rest`."""
        self._message_done = False
        self._state = _RAW
        if self._answer is not None:
            self._hand_over(self._answer)
        if self._inbox is not None and rest:
            self._inbox.put(rest)

    def _complete(self) -> None:
        """Ends an answer that is complete by its own framing."""
        answer, self._answer = self._answer, None
        inbox, self._inbox = self._inbox, None
        self._message_done = False
        reusable = self._reusable and not self._by_close and self._pump is None
        self._by_close = False
        if reusable:
            if self._head.startswith(b"HEAD "):
                # llhttp waits for a body that a HEAD's answer only announces.
                self._parser = HttpResponseParser(self)
            self._state = _IDLE
            self._used = True
            self._phase = "idle"
        else:
            self._close(idle=False)
        if answer is not None:
            early = self._early
            if early:
                answer.deliver(early[0] if len(early) == 1 else b"".join(early))
                self._early = []
            self._settle(answer)
        elif inbox is not None:
            inbox.end()
        if reusable:
            self._deadline = self._loop.time() + self._owner.idle_expiry_s
            self._owner.release(self)

    def _close(self, *, idle: bool) -> None:
        self._state = _CLOSED
        self._owner.discard(self, idle=idle)
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
        self.transport.abort()
