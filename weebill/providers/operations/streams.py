"""Streams of the endpoints other than generation, passed on as they come."""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from weebill.providers.base import LINGER_S
from weebill.providers.operations.errors import error_within, given
from weebill.providers.operations.usage import read_usage
from weebill.providers.usage import estimate
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut, invalid_answer
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage
from weebill.wire.sse import HEADERS, event_data

# An event may hold a whole image as base64.
MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
_END: Final = b"\n\n"
_DONE: Final = b"[DONE]"
# Found by their literal bytes: inside of a JSON text a quote is always escaped.
_MARKS: Final = (b'"usage"', b'"error"', b'.done"', b'.completed"', _DONE)
_LAST: Final = (".done", ".completed")


class _Event(msgspec.Struct, frozen=True):
    """The part of an event that is read."""

    type: str = ""
    usage: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_decode_event = msgspec.json.Decoder(_Event).decode


class EventRelay:
    """An `OperationStream` of server-sent events in OpenAI's format: transcripts, speech, images.

    Whole events pass as they came. The last has a type that ends in `.done` or `.completed`, or is `[DONE]`.
    """

    __slots__ = ("_begun", "_call", "_done", "_reported", "_tail", "error")

    headers = HEADERS
    events = True

    def __init__(self, call: OperationCall) -> None:
        self._call = call
        self._tail = bytearray()
        self._begun = False
        self._done = False
        self._reported: Usage | None = None
        self.error: UpstreamFailure | None = None

    @property
    def usage(self) -> Usage:
        return self._reported or estimate(self._call)

    @property
    def begun(self) -> bool:
        return self._begun

    @property
    def owed_s(self) -> float:
        """There may be several of the last kind, as for several images."""
        return LINGER_S if self._done else inf

    def feed(self, data: bytes) -> bytes:
        if self.error is not None:
            return b""
        tail = self._tail
        # The end of an event may be split over two reads; with a CR before each LF it is four bytes long.
        seen = max(0, len(tail) - 3)
        tail += data
        if tail.find(b"\r", seen) >= 0:
            tail[seen:] = tail[seen:].replace(b"\r\n", b"\n")
        end = tail.rfind(_END, seen) + len(_END)
        if end < len(_END):
            if len(tail) > MAX_EVENT_BYTES:
                message = f"The upstream sent an event of over {MAX_EVENT_BYTES} bytes."
                raise invalid_answer(message)
            return b""
        whole = bytes(tail[:end])
        del tail[:end]
        if any(mark in whole for mark in _MARKS):
            whole = b"".join([self._inspect(block) for block in whole.split(_END) if block])
        # Of a first read that holds an error, nothing has been sent: another upstream can still answer.
        self._begun = self._begun or self.error is None
        return whole

    def finish(self) -> bytes:
        # A last event without its blank line: some servers close right after it.
        rest = self.feed(_END) if self._tail.strip() else b""
        if self.error is not None:
            raise self.error
        if not self._done:
            raise cut()
        return rest

    def _inspect(self, block: bytes) -> bytes:
        """The bytes to send on for one event."""
        if self.error is not None:
            return b""
        data = event_data(block)
        if data.strip() == _DONE:
            self._done = True
            return block + _END
        try:
            event = _decode_event(data)
        except UNREADABLE:
            return block + _END
        error = given(event.error)
        if error is not None or event.type == "error":
            self.error = error_within(error or Raw(data))
            return b""
        self._reported = read_usage(given(event.usage)) or self._reported
        self._done = self._done or event.type.endswith(_LAST)
        return block + _END


class SoundRelay:
    """An `OperationStream` of sound, passed on read by read; what it used can only be estimated."""

    __slots__ = ("_call", "begun", "headers")

    events = False
    error: UpstreamFailure | None = None

    def __init__(self, call: OperationCall, content_type: bytes) -> None:
        self._call = call
        self.begun = False
        self.headers = b"content-type: " + (content_type or b"application/octet-stream") + b"\r\n"

    @property
    def usage(self) -> Usage:
        return estimate(self._call)

    @property
    def owed_s(self) -> float:
        return inf

    def feed(self, data: bytes) -> bytes:
        self.begun = self.begun or bool(data)
        return data

    def finish(self) -> bytes:
        return b""
