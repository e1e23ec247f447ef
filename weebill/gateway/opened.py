"""What an attempt at an upstream gives: a whole answer, or a stream that has begun."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from math import inf
from typing import Final

from weebill.gateway.bounds import BIG, Pending
from weebill.gateway.memory import FREE_BYTES, Answers, kept
from weebill.gateway.meter import Spending
from weebill.gateway.off_loop import off_loop, off_loop_if
from weebill.providers.base import Answer, AnswerCollector, ByteStream
from weebill.routing.deployments import Upstream
from weebill.transport.client import Response
from weebill.transport.errors import UpstreamError
from weebill.transport.exchange import Exchange
from weebill.wire.surrogates import as_utf8

_MAX_HELD_BYTES: Final = 65_536  # of a stream that goes on without content


class CompleteResponse:
    """A complete answer."""

    __slots__ = ("answer", "response", "upstream")

    def __init__(self, upstream: Upstream, response: Response, answer: Answer) -> None:
        self.upstream = upstream
        self.response = response
        self.answer = answer


class StreamingResponse:
    """A stream up to its first content, which came at `first_at`; none of it has been sent: `held` is for the client.

    The rest is in `chunks`; None if it is over.
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
    """Tells whether a stream is over, whatever its upstream does with the connection.

    One whose answer is complete, but that may still say what was used, is given little time for that. Signs of life
    that come meanwhile (`came`) do not put it off.
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
    """Tells whether nothing but comments has come, or blank lines."""
    return not came.strip() or (came.lstrip().startswith(b":") and came.find(b"data:") < 0)


async def passed_on(
    exchange: Exchange,
    response: Response,
    stream: ByteStream,
    chunks: AsyncIterator[bytes],
    answers: Answers,
    *,
    events: bool,
) -> None:
    """Sends the rest of a stream of whole `events`, or of other data. Raises UpstreamFailure or UpstreamError."""
    pending = Pending(response)
    try:
        async for data in chunks:
            if pending.is_big(data):
                written = await off_loop(partial(fed, stream, data, events))
            else:
                written = fed(stream, data, events)
            if written:
                pending.told(data)
                exchange.write(written)
                await exchange.drain()
            if stream.error is not None:
                raise stream.error
            if events and pending.much:
                await pending.count(data, answers)
            if over(response, stream, data):
                break
    except UpstreamError:
        # An answer that is complete stays so, whatever becomes of its connection.
        if stream.owed_s == inf:
            raise


def fed(stream: ByteStream, data: bytes, events: bool = True) -> bytes:
    """Feed a stream: gives what it tells for `data`, as UTF-8 where it is one of `events`."""
    written = stream.feed(data)
    return as_utf8(written) if events else written


def finished(stream: ByteStream, events: bool = True) -> bytes:
    """The end of a stream; as UTF-8 where it is one of `events`. Raises UpstreamFailure."""
    end = stream.finish()
    return as_utf8(end) if events else end


async def begun(
    upstream: Upstream,
    response: Response,
    stream: ByteStream,
    spending: Spending,
    answers: Answers,
    *,
    big: bool = False,
    events: bool = True,
) -> StreamingResponse:
    """A stream's beginning, held back so that it can still be another's. Raises UpstreamFailure or UpstreamError.

    It is `big` where the request is, which may be repeated there; `events` is whether it is one of events.
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
    # An answer in one piece where a stream was asked for is read at its end.
    held += await off_loop_if(big or pending.bytes >= BIG, partial(finished, stream, events))
    spending.first_byte_at = time.monotonic()
    return StreamingResponse(upstream, response, stream, held, spending.first_byte_at)


async def collected(response: Response, collector: AnswerCollector, spending: Spending, answers: Answers) -> Answer:
    """A complete answer out of a stream. Raises UpstreamFailure or UpstreamError."""
    spending.used = collector
    pending = Pending(response)
    size = 0
    try:
        async for data in response.chunks():
            size += len(data)
            if size > FREE_BYTES:
                await kept(response, size, answers)
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
