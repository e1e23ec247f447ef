"""Streams in Ollama's format: a line of JSON for each piece.

Text goes out as it comes, a call once its arguments are complete, since Ollama has them whole. The last line has the
reason, the counts and the times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec
from msgspec import Raw

from weebill.apis.ollama.answer import created_at, end, is_chat, logprobs, request_of, tool_call
from weebill.apis.ollama.errors import error_line
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.reply import (
    Event,
    Finished,
    FinishReason,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)

HEADERS: Final = b"content-type: application/x-ndjson\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"

_encode: Final = msgspec.json.encode
_NO_TEXT: Final = b'""'
# Ends of a line to Python's clients, which may stand in JSON's texts as they are; nothing else has these bytes.
_LINE_ENDS: Final = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


class OllamaStream:
    """A `StreamEncoder` of both endpoints: what is said is in a message in a chat, else in the piece itself."""

    __slots__ = (
        "_arguments", "_calls", "_close", "_finish", "_first", "_model", "_open", "_since", "_under_way", "_usage",
    )  # fmt: skip

    most_choices: ClassVar[int] = 1

    def __init__(self, call: Call) -> None:
        chat = is_chat(call)
        self._open = b'"message":{"role":"assistant","content":' if chat else b'"response":'
        self._close = b"}" if chat else b""
        self._model = _encode(call.model)
        self._since = request_of(call).since
        self._first = 0
        self._under_way: ToolStarted | None = None
        self._arguments: list[str] = []
        self._calls = 0
        self._finish: FinishReason = "stop"
        self._usage = Usage()

    def feed(self, events: list[Event]) -> bytes:
        """The lines for `events`; nothing for choices after the first."""
        out: list[bytes] = []
        for at, event in enumerate(events):
            if isinstance(event, Started):
                self._model = _encode(event.model) if event.model else self._model
            elif isinstance(event, UsageReported):
                self._usage = event.usage
            elif not getattr(event, "choice", 0):
                self._take(event, events, at, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """The last line."""
        out: list[bytes] = []
        self._end_call(out)
        now = time.monotonic_ns()
        first = self._first or now
        last = _encode(end(self._finish, self._usage, now - self._since, first - self._since, now - first))
        out.append(self._piece(_NO_TEXT, b"", b",%b\n" % last[1:]))
        return b"".join(out)

    def fail(self, error: ApiError) -> bytes:
        """The end of a stream that failed."""
        return error_line(error)

    def _take(self, event: Event, events: Sequence[Event], at: int, out: list[bytes]) -> None:
        if isinstance(event, TextDelta):
            following = events[at + 1] if at + 1 < len(events) else None
            entries = following.entries if isinstance(following, Logprobs) and not following.choice else ()
            self._say(_encode(event.text), b"", out, entries)
        elif isinstance(event, ToolArguments):
            self._arguments.append(event.json)
        elif isinstance(event, ReasoningDelta):
            if event.text:
                self._say(_NO_TEXT, b',"thinking":%b' % _encode(event.text), out)
        elif isinstance(event, ToolStarted):
            self._end_call(out)
            self._under_way = event
        elif isinstance(event, Logprobs):
            before = events[at - 1] if at else None
            if not isinstance(before, TextDelta) or before.choice:
                self._say(_NO_TEXT, b"", out, event.entries)
        elif isinstance(event, RefusalDelta):
            self._say(_encode(event.text), b"", out)
        elif isinstance(event, Finished):
            self._finish = event.reason

    def _say(self, text: bytes, beside: bytes, out: list[bytes], entries: Sequence[Raw] = ()) -> None:
        """Writes a piece, after the call under way."""
        self._end_call(out)
        if not self._first:
            self._first = time.monotonic_ns()
        ending = b',"logprobs":%b,"done":false}\n' % _encode(logprobs(entries)) if entries else b',"done":false}\n'
        out.append(self._piece(text, beside, ending))

    def _piece(self, text: bytes, beside: bytes, ending: bytes) -> bytes:
        line = b'{"model":%b,"created_at":"%b",%b%b%b%b%b' % (
            self._model, created_at().encode(), self._open, text, beside, self._close, ending,
        )  # fmt: skip
        if not line.isascii():
            for raw, escaped in _LINE_ENDS:
                line = line.replace(raw, escaped)
        return line

    def _end_call(self, out: list[bytes]) -> None:
        """Writes the call under way, if there is one."""
        started = self._under_way
        if started is None:
            return
        self._under_way = None
        called = tool_call(self._calls, started.id, started.name, "".join(self._arguments))
        self._arguments.clear()
        self._calls += 1
        self._say(_NO_TEXT, b',"tool_calls":%b' % _encode([called]), out)
