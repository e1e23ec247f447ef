"""Server-sent events: how they are framed, and taken out of a stream of bytes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.wire.errors import ApiError
from weebill.wire.failure import invalid_answer
from weebill.wire.literals import CR, LF
from weebill.wire.surrogates import mended

DONE = b"data: [DONE]\n\n"
NULL: Final = b"null"
NO_EVENT: Final = frozenset({b"[DONE]", NULL})
"""Data that say nothing where a stream ends by an event of its own."""
"""The data of an event that says nothing, which some servers send to keep a connection alive."""
HEADERS = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
"""As much as a whole answer may have: an image that a model made comes in one event."""
MOST_OBJECTS: Final = 100_000
"""That one event or a whole answer may hold: each may be a part, a call, an annotation, which takes time to read."""
LONG_BYTES: Final = 65_536
"""An event from there on is looked at before it is read."""
_MOST_LOGPROBS: Final = 1_000_000  # a token's have an object for each alternative
_LOGPROBS: Final = b'"logprobs"'
BOM: Final = b"\xef\xbb\xbf"
_END: Final = b"\n\n"
# What an event may begin with, a comment included.
_FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_LOOKED_AT: Final = 1024
_NEXT_LINE: Final = b"}\n{"


def event(data: bytes) -> bytes:
    """One event with `data`, which holds no line break."""
    return b"data: " + data + b"\n\n"


def error_event(error: ApiError) -> bytes:
    """The event that ends a stream that failed."""
    return event(error.body())


def bounded(block: bytes) -> bytes:
    """The JSON of a long event or answer. Raises UpstreamFailure if it holds more objects than any would."""
    if len(block) >= LONG_BYTES:
        count = block.count(b"{")
        if count > MOST_OBJECTS and (count > _MOST_LOGPROBS or block.find(_LOGPROBS) < 0):
            message = f"The upstream sent {count} objects at once."
            raise invalid_answer(message)
    return block


def bound(tail: bytearray) -> None:
    """Raises UpstreamFailure where what has come of an event is more than one may hold."""
    if len(tail) > MAX_EVENT_BYTES:
        raise invalid_answer(f"The upstream sent an event of over {MAX_EVENT_BYTES} bytes.")


def is_streamed(body: bytes) -> bool:
    """Tells whether a whole body is the events of a stream, or objects line by line, by its beginning."""
    begun = body[:_LOOKED_AT].removeprefix(BOM).lstrip()
    return begun.startswith(_FIELDS) or (begun.startswith(b"{") and body.rstrip().find(_NEXT_LINE) >= 0)


def event_data(block: bytes) -> bytes:
    """The data of one event block (without its blank line): its `data:` lines joined; b"" for a comment."""
    if block.startswith(b"data: ") and LF not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)


def in_one_line(block: bytes) -> bytes:
    """An event block with its JSON in one `data:` line: not every client joins several."""
    if LF not in block or block.count(b"\ndata:") + block.startswith(b"data:") < 2:
        return block
    try:
        data = msgspec.json.format(event_data(block), indent=-1)
    except msgspec.DecodeError:
        return block
    others = [line for line in block.split(b"\n") if not line.startswith(b"data:")]
    return b"\n".join([*others, b"data: " + data])


def event_name(block: bytes) -> bytes:
    """The name of one event block: its `event:` line; b"" if it has none."""
    for line in block.split(b"\n"):
        if line.startswith(b"event:"):
            return line[6:].strip()
    return b""


class EventSplitter:
    """Cuts a stream of server-sent events into blocks, wherever its reads were split.

    `plain` is whether the upstream sends none but one JSON text, as those do that do not stream what they were asked
    to stream: then there are no blocks, and `rest` is all of it.
    """

    __slots__ = ("_begun", "_cr", "_tail", "plain")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._cr = False
        self._begun = False
        self.plain = False

    def feed(self, data: bytes) -> list[bytes]:
        """The event blocks that `data` completes, without their blank lines and with LF as line end.

        Raises UpstreamFailure if what is left is over MAX_EVENT_BYTES.
        """
        if not self._begun:
            data = self._begin(data)
        if self.plain:
            self._tail += data
            bound(self._tail)
            return []
        if self._cr or CR in data:
            data = self._without_cr(data)
        tail = self._tail
        if tail:
            start = len(tail) - 1
            tail += data
            if tail.find(_END, start) < 0:
                bound(self._tail)
                return []
            data = bytes(tail)
            tail.clear()
        blocks = data.split(_END)
        rest = blocks.pop()
        if rest:
            tail += rest
            bound(self._tail)
        if len(data) >= LONG_BYTES:
            for block in blocks:
                bounded(block)
        if data.find(b"\\u") >= 0:
            return [mended(block) for block in blocks if block]
        return [block for block in blocks if block]

    def rest(self) -> bytes:
        """The rest after the last blank line, stripped: a last event without its blank line, or half of one."""
        rest = bounded(bytes(self._tail).strip())
        self._tail.clear()
        return mended(rest)

    def _begin(self, data: bytes) -> bytes:
        """`data` without what may stand before a stream; b"" until it is known how that begins."""
        data = bytes(self._tail) + data
        self._tail.clear()
        if BOM.startswith(data):
            self._tail += data
            return b""
        data = data.removeprefix(BOM).lstrip()
        if data:
            self._begun = True
            self.plain = data[:1] in (b"{", b"[")
        return data

    def _without_cr(self, data: bytes) -> bytes:
        """`data` with LF for CR LF and CR; a CR at its end waits for what follows, unless it ends an event."""
        if self._cr:
            data = b"\r" + data
        self._cr = data.endswith(b"\r") and not data.endswith(b"\r\r")
        if self._cr:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
