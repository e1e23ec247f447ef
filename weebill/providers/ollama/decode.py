"""Answers in the format of Ollama's chat endpoint; a whole answer is read as a stream of one piece.

Source: https://docs.ollama.com/api/chat, https://docs.ollama.com/api/errors and
https://github.com/ollama/ollama/blob/main/api/types.go
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.error_bodies import said_in
from weebill.providers.failures import failure_of
from weebill.providers.ollama.encode import FAMILY
from weebill.providers.ollama.forced import ForcedCall, Offered
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut, invalid_answer
from weebill.wire.lenient import reader
from weebill.wire.openai_logprobs import TokenLogprob
from weebill.wire.reply import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    ReasoningDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)
from weebill.wire.sse import MAX_EVENT_BYTES, bounded

# "load" and "unload" answer a request without messages, which only moves the model in or out of memory.
_FINISHES: Final[dict[str, FinishReason]] = {"stop": "stop", "length": "length", "load": "stop", "unload": "stop"}
_NO_ARGUMENTS: Final = Raw(b"{}")
_format: Final = msgspec.json.format
_encode: Final = msgspec.json.encode


class _Function(Struct, frozen=True):
    name: str
    # Not `Raw | None`, which takes nothing but null.
    arguments: Raw = _NO_ARGUMENTS


class _ToolCall(Struct, frozen=True):
    """Older versions give no id."""

    function: _Function = _Function("")
    id: str | None = None


class _Message(Struct, frozen=True):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class Piece(Struct, frozen=True):
    """One object of a stream, or all of an answer; `status` goes with an error."""

    model: str = ""
    created_at: str = ""
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    prompt_eval_cached_count: int | None = None
    eval_count: int | None = None
    logprobs: list[TokenLogprob] | None = None
    error: str | None = None
    status: int | None = None


read_piece: Final = reader(Piece)
"""Reads one, as far as it can be read."""


def decode_reply(body: bytes, offered: Sequence[Offered] = ()) -> Reply:
    """The answer in a whole body. Raises UpstreamFailure for an error in it, or if it is no answer.

    `offered` are the tools of which one had to be called: the call is in the text then.
    """
    decoder = OllamaStream()
    events: list[Event] = []
    decoder.read(body, events)
    builder = ReplyBuilder()
    for event in ForcedCall(decoder, offered).read(events) if offered else events:
        builder.add(event)
    if not decoder.stopped:
        raise not_an_answer("it is not done")
    return builder.reply()


class OllamaStream:
    """A `StreamDecoder`; each line is a piece."""

    __slots__ = ("_block", "_calls", "_failed", "_kind", "_started", "_tail", "stopped")

    def __init__(self) -> None:
        self.stopped = False
        """True once the upstream has said that it is done."""
        self._tail = bytearray()
        self._started = False
        self._failed = False
        self._block = -1
        self._kind = ""
        self._calls = 0

    @property
    def owed_s(self) -> float:
        """Nothing after the piece that is done."""
        return 0.0 if self.stopped else inf

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises UpstreamFailure on a line that is too long or cannot be read."""
        events: list[Event] = []
        tail = self._tail
        end = data.rfind(b"\n") + 1
        if end:
            lines = data[:end]
            if tail:
                tail += lines
                lines = bounded(bytes(tail))
                tail.clear()
            for line in lines.split(b"\n"):
                self.read(line, events)
        tail += data[end:]
        if len(tail) > MAX_EVENT_BYTES:
            message = f"The upstream sent an event of over {MAX_EVENT_BYTES} bytes."
            raise invalid_answer(message)
        return events

    def finish(self) -> list[Event]:
        """The last events. Raises UpstreamFailure if the upstream never said that it had finished."""
        events: list[Event] = []
        try:
            self.read(bounded(bytes(self._tail)), events)
        except UpstreamFailure:
            events = []  # Half a line is the end of a stream that was cut.
        if not self.stopped and not self._failed:
            raise cut()
        return events

    def read(self, line: bytes, events: list[Event]) -> None:
        """Append the events of one piece. Raises UpstreamFailure if it is none."""
        if self._failed or self.stopped or not line or line.isspace():
            return
        try:
            piece = read_piece(line)
        except UNREADABLE as error:
            raise not_an_answer(str(error)) from error
        if piece.error is not None:
            self._failed = True
            events.append(Failed(failure_within(piece, piece.error)))
            return
        if not self._started:
            self._started = True
            events.append(Started("", piece.model, _unix(piece.created_at)))
        if piece.message is not None:
            self._read_message(piece.message, piece, events)
        if piece.logprobs:
            events.append(Logprobs(tuple([Raw(_encode(entry)) for entry in piece.logprobs])))
        if piece.done:
            self.stopped = True
            finish = _FINISHES.get(piece.done_reason or "", "stop")
            events.append(Finished("tool_calls" if self._calls and finish == "stop" else finish))
            events.append(UsageReported(usage_of(piece)))

    def _open(self, kind: str) -> None:
        if self._kind != kind:
            self._kind = kind
            self._block += 1

    def _read_message(self, message: _Message, piece: Piece, events: list[Event]) -> None:
        if message.thinking:
            self._open("thinking")
            events.append(ReasoningDelta(message.thinking, None, None, None, FAMILY, self._block))
        if message.content:
            self._open("text")
            events.append(TextDelta(message.content, self._block))
        for call in message.tool_calls or ():
            self._kind = ""
            self._block += 1
            function = call.function
            if not function.name:
                continue
            arguments = _arguments(bytes(function.arguments))
            identifier = call.id or _call_id(piece.created_at, self._calls, function.name, arguments)
            self._calls += 1
            events.append(ToolStarted(identifier, function.name, self._block))
            events.append(ToolArguments(arguments, self._block))


def _arguments(given: bytes) -> str:
    """The arguments' JSON text; some servers in its place write it as text already."""
    if given[:1] == b'"':
        return msgspec.json.decode(given, type=str) or "{}"
    return "{}" if given == b"null" else _format(given, indent=-1).decode()


def _call_id(created_at: str, index: int, name: str, arguments: str) -> str:
    """An id for a call of a version that gives none: of what tells it from all other calls."""
    told = "\0".join((created_at, str(index), name, arguments))
    return f"call_{hashlib.blake2b(told.encode(), digest_size=12).hexdigest()}"


def _unix(created_at: str) -> int:
    try:
        return int(datetime.fromisoformat(created_at).timestamp())
    except (ValueError, OverflowError, OSError):
        return 0


def failure_within(piece: Piece, message: str) -> UpstreamFailure:
    """The failure that a piece with an error means."""
    return failure_of(piece.status or 500, message, "")


def usage_of(piece: Piece) -> Usage:
    """The usage. Older versions leave out the prompt's count where it was cached: that measures nothing."""
    completion = max(0, piece.eval_count or 0)
    if piece.prompt_eval_count is None:
        return Usage(completion_tokens=completion)
    return Usage.reported(piece.prompt_eval_count, completion, cached=piece.prompt_eval_cached_count or 0)


def body_error(status: int, body: bytes, upstream: str) -> UpstreamFailure:
    """The failure that an answer with a status other than 200 means."""
    return failure_of(status, said_in(body).message, upstream)


def not_an_answer(why: str) -> UpstreamFailure:
    """For what an upstream sent instead of an answer."""
    return invalid_answer(f"The upstream's answer is not Ollama's: {why}.")
