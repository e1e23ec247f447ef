"""The result of a call to an upstream: a complete answer, or a stream that has begun."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from math import inf
from typing import Final

from weebill.gateway.bounds import BIG, Pending
from weebill.gateway.memory import FREE_BYTES, Answers, count_held
from weebill.gateway.meter import Spending
from weebill.gateway.off_loop import off_loop, off_loop_if
from weebill.providers.base import Answer, AnswerCollector, ByteStream
from weebill.routing.deployments import Upstream
from weebill.transport.client import Response
from weebill.transport.errors import UpstreamError
from weebill.transport.exchange import Exchange
from weebill.wire.surrogates import as_utf8

_MAX_HELD_BYTES: Final = 65_536  # of a stream without content


class CompleteResponse:
    """A complete answer."""

    __slots__ = ("answer", "response", "upstream")

    def __init__(self, upstream: Upstream, response: Response, answer: Answer) -> None:
        self.upstream = upstream
        self.response = response
        self.answer = answer


class StreamingResponse:
    """A stream up to its first content, which came at `first_at`. `held` is that beginning, of which nothing has been
    sent to the client; `chunks` is the rest, None if the stream is over.
    """

    __slots__ = ("chunks", "first_at", "held", "response", "stream", "upstream")

    def __init__(
        self,
        upstream: Upstream,
        response: Response,
        stream: ByteStream,
        held: bytes,
        first_at: float,
        chunks: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.upstream = upstream
        self.response = response
        self.stream = stream
        self.held = held
        self.first_at = first_at
        self.chunks = chunks


OpenedResponse = CompleteResponse | StreamingResponse


def over(response: Response, stream: ByteStream | AnswerCollector, came: bytes = b"") -> bool:
    """True if a stream is over, even if the upstream's connection stays open.

    A stream whose answer is complete, but whose usage may still come, gets a short time for that. Comments that come
    meanwhile (`came`) do not extend it.
    """
    owed_s = stream.owed_s
    if owed_s == inf:
        if response.hastened:
            response.hasten(inf)
        return False
    if owed_s > 0:
        if not (response.hastened and _is_comment(came)):
            response.hasten(owed_s)
        return False
    return True


def _is_comment(came: bytes) -> bool:
    """True if only comments or blank lines have come."""
    return not came.strip() or (came.lstrip().startswith(b":") and came.find(b"data:") < 0)


async def relay_rest(
    exchange: Exchange,
    response: Response,
    stream: ByteStream,
    chunks: AsyncIterator[bytes],
    answers: Answers,
    *,
    events: bool,
) -> None:
    """Sends the rest of a stream to the client; `events` is False for a stream of bytes. Raises UpstreamFailure or
    UpstreamError.
    """
    pending = Pending(response)
    try:
        async for data in chunks:
            if pending.is_big(data):
                written = await off_loop(partial(fed, stream, data, events))
            else:
                written = fed(stream, data, events)
            if written:
                pending.flushed(data)
                exchange.write(written)
                await exchange.drain()
            if stream.error is not None:
                raise stream.error
            if events and pending.much:
                await pending.count(data, answers)
            if over(response, stream, data):
                break
    except UpstreamError:
        # A complete answer stays complete, even if its connection breaks.
        if stream.owed_s == inf:
            raise


def fed(stream: ByteStream, data: bytes, events: bool = True) -> bytes:
    """Feeds a stream, and returns the client's bytes; as UTF-8 for a stream of `events`."""
    written = stream.feed(data)
    return as_utf8(written) if events else written


def finished(stream: ByteStream, events: bool = True) -> bytes:
    """Ends a stream, and returns the client's last bytes; as UTF-8 for a stream of `events`. Raises UpstreamFailure."""
    end = stream.finish()
    return as_utf8(end) if events else end


async def read_beginning(
    upstream: Upstream,
    response: Response,
    stream: ByteStream,
    spending: Spending,
    answers: Answers,
    *,
    big: bool = False,
    events: bool = True,
) -> StreamingResponse:
    """Reads a stream up to its first content, and holds it back: another upstream may still answer instead.

    It is `big` if the request is, which the answer may repeat; `events` is False for a stream of bytes. Raises
    UpstreamFailure or UpstreamError.
    """
    spending.used = stream
    chunks = response.chunks()
    held = b""
    pending = Pending(response)
    async for data in chunks:
        if pending.is_big(data) or big:
            held += await off_loop(partial(fed, stream, data, events))
        else:
            held += fed(stream, data, events)
        if stream.error is not None and not stream.begun:
            raise stream.error
        if stream.begun or len(held) > _MAX_HELD_BYTES:
            spending.first_byte_at = time.monotonic()
            return StreamingResponse(upstream, response, stream, held, spending.first_byte_at, chunks)
        if over(response, stream, data):
            break
        if events and pending.much:
            await pending.count(data, answers)
    # An answer in one piece, in place of the stream that was asked for, is read at its end.
    held += await off_loop_if(big or pending.bytes >= BIG, partial(finished, stream, events))
    spending.first_byte_at = time.monotonic()
    return StreamingResponse(upstream, response, stream, held, spending.first_byte_at)


async def collect(response: Response, collector: AnswerCollector, spending: Spending, answers: Answers) -> Answer:
    """Reads a stream, and returns the complete answer. Raises UpstreamFailure or UpstreamError."""
    spending.used = collector
    pending = Pending(response)
    size = 0
    try:
        async for data in response.chunks():
            size += len(data)
            if size > FREE_BYTES:
                await count_held(response, size, answers)
            spending.first_byte_at = spending.first_byte_at or time.monotonic()
            if pending.is_big(data):
                await off_loop(partial(collector.feed, data))
            else:
                collector.feed(data)
            if collector.error is not None:
                raise collector.error
            if over(response, collector, data):
                break
    except UpstreamError:
        if collector.owed_s == inf:
            raise
    answer = collector.finish()
    response.release()
    return answer
