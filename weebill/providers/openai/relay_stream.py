"""The relay of a stream in OpenAI's dialect: bytes in, bytes out, at the cost of a few searches.

Whole events pass as they came, those that differ in their text alone after one look (`alike`). Only those that hold a
usage, an error, the end, calls or content in pieces, or that OpenAI would not write so, are read, found by their
literal bytes: inside a JSON text a quote is always escaped, so `"usage":` cannot be part of what a model says.
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec

from weebill.providers.base import LATE_S, LINGER_S, SETTLE_S
from weebill.providers.naming import EventNaming, renamed
from weebill.providers.openai.alike import Alike, before_last, last_event
from weebill.providers.openai.chunk_repair import ChunkRepair
from weebill.providers.openai.chunks import KIND, ROLE, as_chunk
from weebill.providers.openai.empties import has_empties
from weebill.providers.openai.errors import inner_error, is_error
from weebill.providers.openai.listed import has_lists
from weebill.providers.openai.pieces import has_pieces, joined
from weebill.providers.openai.plain import as_events
from weebill.providers.openai.relayed import decode_completion, decode_plain_chunk
from weebill.providers.openai.repair import has_calls, put_right
from weebill.providers.openai.sealed import SIGNATURE
from weebill.providers.openai.stream_signs import (
    NO_USAGE,
    beginning,
    chunk_of,
    ends,
    has_end,
    has_no_data,
    says_usage,
    unreadable,
    with_line_feeds,
)
from weebill.providers.usage import estimate
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.json_values import decode_object
from weebill.wire.literals import CR, LF, has_any
from weebill.wire.openai_usage import usage_of
from weebill.wire.reply import Usage
from weebill.wire.requests import ChatRequest
from weebill.wire.sse import BOM, DONE, NULL, bound, bounded, event, event_data
from weebill.wire.surrogates import mended

_END: Final = b"\n\n"
_DONE_DATA: Final = b"[DONE]"
_BEGIN: Final = b"data: "
_JSON: Final = (b"{", b"[")
# Not null, in the two ways in which JSON is written; with a colon elsewhere, it would not be found.
_REASONS: Final = (b'"finish_reason":"', b'"finish_reason": "')
_FAR_COLON: Final = b'" :'
_LINE_END: Final = b"\n"
_LAST_EVENTS: Final = 3
# How many events are read one by one before any says something.
_MAX_FIRST: Final = 16
_DELTA: Final = b'"delta"'
_NO_DELTA: Final = (b'"delta":null', b'"delta": null')
_INDEX: Final = b'"index"'
_TEXT: Final = b'"text"'


class OpenAIStream:
    """A `ByteStream` from OpenAI's dialect to itself."""

    __slots__ = (
        "_alike", "_call", "_chat", "_done", "_ends", "_events", "_last", "_naming", "_opened", "_plain", "_repair",
        "_reported", "_said", "_show_usage", "_tail", "_told", "begun", "error",
    )  # fmt: skip

    def __init__(self, call: Call, maker: str = "") -> None:
        self._call = call
        self._chat = isinstance(call.request, ChatRequest)
        self._alike = Alike()
        self._told: set[bytes] = set()  # the choices whose role the client knows
        self._naming = EventNaming(call.answer_name)
        self._show_usage = call.wants_usage
        self._tail = bytearray()
        self._last = b""  # with what came last
        self._events = 0
        self._done = False
        self._opened = False
        self._plain = False  # whether the upstream sends no events but one JSON text
        self._repair = ChunkRepair(maker)
        self._said = False  # whether any text or call has come
        self._ends = 0  # choices that have said why they ended
        self._reported: Usage | None = None
        self.begun = False
        self.error: UpstreamFailure | None = None

    @property
    def usage(self) -> Usage:
        """As reported; else estimated at a token for each chunk after the first, which names the role.

        No tokens for what was said are no report.
        """
        if self._reported is not None and (self._reported.completion_tokens or not self._said):
            return self._reported
        return estimate(self._call, completion_tokens=max(0, self._events - 1))

    @property
    def owed_s(self) -> float:
        """Nothing after `[DONE]`; not all servers send it, and usage may follow the reason for the end."""
        if self._done:
            return 0.0
        if not self._ends or self._ends < (len(self._told) or self._call.request.choices):
            return inf
        return LATE_S if self._ends < self._call.request.choices else LINGER_S if self._reported is None else SETTLE_S

    def feed(self, data: bytes) -> bytes:
        """The whole events in `data` and what was left of earlier data, without what is not for the client."""
        if self._done or self.error:
            return b""
        tail = self._tail
        if tail:
            start = max(0, len(tail) - 3)
            tail += data
            if self._opened and (self._plain or not has_end(tail, start)):
                bound(tail)
                return b""
            data = bounded(bytes(tail))
            tail.clear()
        if not self._opened:
            data = self._open(data)
            if self._plain:
                tail += data
                return b""
        if CR in data:
            data = with_line_feeds(data)
        end = data.rfind(_END) + 2
        if end == 1:
            tail += data
            bound(tail)
            return b""
        if end != len(data):
            tail += data[end:]
            bound(tail)
            data = data[:end]
        begun = rest = b""
        if not self._said:
            begun, data = self._begin(data)
            if not data or self._done or self.error:
                return begun
        alike = self._alike.passed(data)
        if not alike:
            # The last ones say why it ended, what was used, and that it is over.
            cut = before_last(data, _LAST_EVENTS)
            alike = self._alike.passed(data[:cut]) if cut else b""
            if not alike:
                return begun + self._read(data)
            rest = data[cut:]
        self._last = alike
        self._events += self._alike.count
        if rest:
            return begun + alike + self._read(rest)
        return begun + alike if begun else alike

    def _begin(self, data: bytes) -> tuple[bytes, bytes]:
        """The bytes to send on until something is said, and the other events, which are not alike, one by one."""
        written, start = b"", 0
        for _ in range(_MAX_FIRST):
            end = data.find(_END, start) + 2
            written += self._read(data[start:end])
            start = end
            if self._said or self._done or self.error or start == len(data):
                break
        return written, data[start:]

    def _read(self, came: bytes) -> bytes:
        """The bytes to send on for whole events that may be of any kind."""
        count = came.count(_END)
        if not self._chat or count > _LAST_EVENTS:
            return self._read_any(came)
        if count > 1:
            return b"".join([self._read(block + _END) for block in came[:-2].split(_END)])
        plain = self._read_plain(came)
        return self._read_any(came) if plain is None else plain

    def _read_plain(self, came: bytes) -> bytes | None:
        """One event as it goes out that is just as OpenAI writes it, or ends the stream; None for any other."""
        if self._done or self.error:
            return b""
        if came == DONE:
            self._done = True
            return b""
        if not came.startswith(_BEGIN) or came.count(_LINE_END) != 2:
            return None
        data = came
        if not self._show_usage and data.find(NO_USAGE) >= 0:
            data = data.replace(b',"usage":null', b"")
        data = data[len(_BEGIN) : -2]
        chunk = decode_plain_chunk(data)
        if chunk is None:
            return None
        choices, report, told = chunk.choices, chunk.usage, self._told
        if report is not None and (not report.says_anything() or (choices and not self._show_usage)):
            return None
        said, over, new = False, 0, b""
        for choice in choices:
            delta, index = choice.delta, b"%d" % choice.index
            ends_calls = choice.finish_reason is not None and self._repair.calls is not None
            if ends_calls or (delta.role is None) is not (index in told):
                return None
            if delta.role is not None:
                if len(choices) > 1:
                    return None
                new = index
            said = said or bool(delta.content or delta.reasoning_content or delta.reasoning)
            if choice.finish_reason is not None:
                over += 1
        served = chunk.model
        if served != self._call.model and not self._call.as_served:
            data = renamed(data, served, self._call.answer_name)
        data = b"".join((_BEGIN, data, _END))
        if new:
            told.add(new)
        self._events += len(choices)
        self._ends += over
        if not self.begun:
            self.begun = said or over > 0
            self._said = said
        self._last = data
        if report is not None:
            self._reported = self._total(usage_of(report))
            return data if self._show_usage else b""
        # One that tells the role, or the end, is like no other.
        if self._said and not over and not new:
            self._alike.learn(came[:-2], data[:-2])
        return data

    def _read_any(self, came: bytes) -> bytes:
        """The same for events that need not be as OpenAI's."""
        data, told = mended(came), len(self._told)
        if not self._show_usage and data.find(NO_USAGE) >= 0:
            data = data.replace(b',"usage":null', b"")
        count = data.count(_END)
        data = self._naming.events(data, count)
        over = has_any(data, _REASONS)
        if over:
            self._ends += ends(data, _REASONS[0]) + ends(data, _REASONS[1])
        self._last = data
        special = (
            says_usage(data)
            or data.find(b'"error":') >= 0
            or data.find(b"[DONE]\n\n") >= 0
            or has_calls(data)
            or has_pieces(data)
            or has_lists(data)
            or has_empties(data)
            or (over and self._repair.calls is not None)
            or data.find(SIGNATURE) >= 0
        )
        # Of one line each, all of them are followed by two line ends.
        if special or data.count(_LINE_END) != 2 * count or self._is_odd(data, count):
            data = b"".join([self._inspect(block) for block in data[:-2].split(_END)])
        # What it says may have been put in its place just now.
        self._events += data.count(_DELTA if self._chat else _TEXT)
        if not self.begun:
            self.begun, self._said = beginning(data)
        # One that tells the role is like no other.
        if self._said and not special and not over and len(self._told) == told:
            self._alike.learn(last_event(came), last_event(data))
        return data

    def _is_odd(self, data: bytes, count: int) -> bool:
        """Tells whether there may be chunks among `count` events that OpenAI's clients could not read."""
        return self._chat and (
            data.count(KIND) != count
            or data.count(_DELTA) != count
            or has_any(data, _NO_DELTA)
            or data.count(_INDEX) < count
            or data.find(ROLE) >= 0
            or len(self._told) < self._call.request.choices
        )

    def finish(self) -> bytes:
        """`[DONE]`. Raises UpstreamFailure if the upstream never said that it had finished."""
        if self._plain:
            return self._whole()
        # A last event without its blank line: some servers close right after it.
        rest = b""
        if self._tail.strip() and (self.owed_s == inf or chunk_of(event_data(bytes(self._tail))) is not None):
            rest = self.feed(_END)
        if self.error is not None:
            raise self.error
        last = last_event(self._last.removesuffix(DONE))
        if self.owed_s < inf or self._finished(last):
            if self._chat and not self._ends and last.find(_FAR_COLON) < 0:
                rest += self._repair.ending(event_data(last), self._told)
            return rest + DONE
        raise cut()

    def _open(self, data: bytes) -> bytes:
        """`data` without what may stand before a stream, as far as it is known how that begins."""
        if BOM.startswith(data):
            return data
        start = data.removeprefix(BOM).lstrip()
        if start:
            self._opened = True
            self._plain = start[:1] in _JSON
        return start

    def _whole(self) -> bytes:
        """An answer that came in one piece, as the stream that was asked for."""
        body = mended(bounded(bytes(self._tail)))
        self._tail.clear()
        self._plain = False
        try:
            completion = decode_completion(body)
        except UNREADABLE as error:
            raise cut() from error
        if is_error(completion.error):
            self.error = inner_error(completion.error)
            raise self.error
        if not completion.choices:
            raise cut()
        try:
            events = as_events(put_right(body, chat=self._chat))
        except UNREADABLE as error:
            raise unreadable(error) from error
        return self.feed(events) + DONE

    def _finished(self, block: bytes) -> bool:
        """Tells whether `block` is a chunk that can only come at the end."""
        chunk = chunk_of(event_data(block.rstrip()))
        if chunk is None or chunk.choices is None:
            return False
        ended = any(choice.finish_reason for choice in chunk.choices)
        return ended or (not chunk.choices and self._reported is not None)

    def _total(self, reported: Usage) -> Usage:
        """All usage, with what has just been reported: by OpenAI's upstreams for all of the answer."""
        return reported

    def _inspect(self, block: bytes) -> bytes:
        """The bytes to send on for one event; `block` is without its closing blank line."""
        if self._done or self.error:
            return b""
        # Some servers answer a request for a stream with a plain error.
        data = event_data(block) or block
        if data is block and has_no_data(block):
            return b""
        if data.strip() == _DONE_DATA:
            self._done = True
            return b""
        chunk = chunk_of(data)
        if chunk is None:
            return b"" if data == NULL else block + _END
        if LF in data:
            # In one line, as it may be written anew, and what stays raw in it is not.
            data = msgspec.json.format(data, indent=-1)
            block = b"data: " + data
        if has_pieces(data):
            try:
                data = joined(data)
            except UNREADABLE as error:
                raise unreadable(error) from error
            block = b"data: " + data
        written = data
        if chunk.choices and self._is_odd(data, 1):
            written = as_chunk(data, self._told)
        written = self._repair.chunk(written)
        if written is not data:
            data, block = written, b"data: " + written
        if is_error(chunk.error):
            self.error = inner_error(chunk.error)
            return b""
        if chunk.usage is None or not chunk.usage.says_anything():
            if chunk.x_groq is not None and chunk.x_groq.usage is not None:
                self._reported = self._total(usage_of(chunk.x_groq.usage))
            return block + _END
        self._reported = self._total(usage_of(chunk.usage))
        if self._show_usage:
            return block + _END
        if not chunk.choices:
            return b""
        try:
            fields = decode_object(data)
        except UNREADABLE as error:
            raise unreadable(error) from error
        del fields["usage"]
        return event(msgspec.json.encode(fields))
