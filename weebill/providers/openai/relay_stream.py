"""The relay of a stream in OpenAI's dialect: bytes in, bytes out, at the cost of a few searches.

Whole events pass as they came. Only those that hold a usage, an error, the end or content in pieces are looked into,
found by their literal bytes: inside a JSON text a quote is always escaped, so `"usage":` cannot be part of what a model
says.
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import LINGER_S, SETTLE_S
from weebill.providers.naming import EventNaming
from weebill.providers.openai.errors import inner_error
from weebill.providers.openai.pieces import has_pieces, joined
from weebill.providers.openai.relayed import Chunk, decode_chunk, decode_first_chunk
from weebill.providers.usage import estimate
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.reply import Usage
from weebill.wire.sse import DONE, MAX_EVENT_BYTES, event, event_data

_END: Final = b"\n\n"
_DONE_DATA: Final = b"[DONE]"
# Not null, in the two ways in which JSON is written.
_REASON: Final = b'"finish_reason":"'
_REASON_SPACED: Final = b'"finish_reason": "'


# What says nothing yet: the role, and fields that are there for form's sake.
_ROLE: Final = "role"
_EMPTY: Final = frozenset({b"null", b'""', b"[]", b"{}"})
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class OpenAIStream:
    """A `ByteStream` from OpenAI's dialect to itself."""

    __slots__ = (
        "_call", "_done", "_ends", "_events", "_last", "_naming", "_reported", "_show_usage", "_tail", "begun", "error"
    )  # fmt: skip

    def __init__(self, call: Call) -> None:
        self._call = call
        self._naming = EventNaming(call.answer_name)
        self._show_usage = call.wants_usage
        self._tail = b""
        self._last = b""
        self._events = 0
        self._done = False
        self._ends = 0  # choices that have said why they ended
        self._reported: Usage | None = None
        self.begun = False
        self.error: ApiError | None = None

    @property
    def usage(self) -> Usage:
        """As reported; else estimated at a token for each event after the first, which names the role."""
        return self._reported or estimate(self._call, completion_tokens=max(0, self._events - 1))

    @property
    def owed_s(self) -> float:
        """Nothing after `[DONE]`; not all servers send it, and usage may follow the reason for the end."""
        if self._done:
            return 0.0
        if self._ends < self._call.request.choices:
            return inf
        return LINGER_S if self._reported is None else SETTLE_S

    def feed(self, data: bytes) -> bytes:
        """The whole events in `data` and what was left of earlier data, without what is not for the client."""
        if self._done or self.error:
            return b""
        if self._tail:
            data = self._tail + data
        # Not `in`: with bytes it first takes what is sought for a number, and raises inside.
        if data.find(b"\r") >= 0:
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(_END) + 2
        if end == 1:
            self._keep(data)
            return b""
        if end == len(data):
            self._tail = b""
        else:
            self._keep(data[end:])
            data = data[:end]
        if not self._show_usage and data.find(b'"usage":null') >= 0:
            data = data.replace(b',"usage":null', b"")
        count = data.count(_END)
        data = self._naming.events(data, count)
        self._events += count
        if not self.begun:
            self.begun = any(map(_says_something, data[:-2].split(_END)))
        if data.find(_REASON) >= 0 or data.find(_REASON_SPACED) >= 0:
            self._ends += data.count(_REASON) + data.count(_REASON_SPACED)
        self._last = data[data.rfind(_END, 0, -2) + 2 :] if count > 1 else data
        if (
            data.find(b'"usage":') >= 0
            or data.find(b'"error":') >= 0
            or data.find(b"[DONE]\n\n") >= 0
            or has_pieces(data)
        ):
            return b"".join([self._inspect(block) for block in data[:-2].split(_END)])
        return data

    def finish(self) -> bytes:
        """`[DONE]`. Raises ApiError 502 if the upstream never said that it had finished."""
        # A last event without its blank line: some servers close right after it.
        rest = b""
        if self._tail.strip() and (self.owed_s == inf or _chunk(event_data(self._tail)) is not None):
            rest = self.feed(_END)
        if self.error is not None:
            raise self.error
        if self.owed_s < inf or self._finished(self._last):
            return rest + DONE
        raise ApiError(502, "The upstream ended its stream before the answer was complete.", code="upstream_cut")

    def _keep(self, rest: bytes) -> None:
        if len(rest) > MAX_EVENT_BYTES:
            raise ApiError(
                502,
                f"The upstream sent an event of over {MAX_EVENT_BYTES} bytes.",
                code="upstream_invalid_answer",
            )
        self._tail = rest

    def _finished(self, block: bytes) -> bool:
        """Whether `block` is a chunk that can only come at the end."""
        chunk = _chunk(event_data(block.rstrip()))
        if chunk is None or chunk.choices is None:
            return False
        ended = any(choice.finish_reason for choice in chunk.choices)
        return ended or (not chunk.choices and self._reported is not None)

    def _total(self, reported: Usage) -> Usage:
        """All usage, with what has just been reported: by OpenAI's upstreams for all of the answer."""
        return reported

    def _inspect(self, block: bytes) -> bytes:
        """What to send on for one event, whose closing blank line is not in `block`."""
        if self._done or self.error:
            return b""
        # Some servers answer a request for a stream with a plain error.
        data = event_data(block) or block
        if data.strip() == _DONE_DATA:
            self._done = True
            self._events -= 1
            return b""
        chunk = _chunk(data)
        if chunk is None:
            return block + _END
        if has_pieces(data):
            try:
                data = joined(data)
            except UNREADABLE as error:
                raise _unreadable(error) from error
            block = b"data: " + data
        if chunk.error is not None:
            self.error = inner_error(chunk.error).with_more(data)
            return b""
        if chunk.usage is None:
            if chunk.x_groq is not None and chunk.x_groq.usage is not None:
                self._reported = self._total(chunk.x_groq.usage.usage())
            return block + _END
        self._reported = self._total(chunk.usage.usage())
        if self._show_usage:
            return block + _END
        if not chunk.choices:
            return b""
        try:
            fields = _decode_fields(data)
        except UNREADABLE as error:
            raise _unreadable(error) from error
        del fields["usage"]
        return event(msgspec.json.encode(fields))


def _unreadable(error: Exception) -> ApiError:
    message = f"The upstream sent an event that cannot be read: {error}."
    return ApiError(502, message, code="upstream_invalid_answer")


def _says_something(block: bytes) -> bool:
    """Whether any of the answer itself is in an event."""
    try:
        chunk = decode_first_chunk(event_data(block))
    except UNREADABLE:
        return False
    return any(
        choice.text
        or choice.finish_reason is not None
        or any(name != _ROLE and bytes(value) not in _EMPTY for name, value in (choice.delta or {}).items())
        for choice in chunk.choices or ()
    )


def _chunk(data: bytes) -> Chunk | None:
    """The chunk in an event's data; None if it is none (a comment, or not of this shape)."""
    try:
        return decode_chunk(data)
    except UNREADABLE:
        return None
