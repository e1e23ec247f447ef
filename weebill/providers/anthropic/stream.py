"""Anthropic's streams as canonical events.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.anthropic.decode import (
    HIDDEN,
    Block,
    Message,
    UpstreamError,
    blocks_of,
    compact,
    decode,
    explanation,
    finish_reason,
    invalid,
    read_block,
    stream_error,
)
from weebill.providers.anthropic.encode import JSON_TOOL
from weebill.wire.anthropic import ORIGIN, StopDetails, citation
from weebill.wire.anthropic_text import readable
from weebill.wire.anthropic_usage import UsageReport
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.lenient import reader
from weebill.wire.replay import events_of
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    PassedOver,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
)
from weebill.wire.sse import NULL, EventSplitter, event_data, event_name

_NONE: Final = Raw()
_DONE: Final = b"[DONE]"


class Delta(Struct, frozen=True):
    """The addition that an event brings, whatever its type."""

    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    content: str | None = None
    citation: Raw = _NONE
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class StreamEvent(Struct, frozen=True):
    """An event, whatever its type."""

    type: str = ""
    message: Message | None = None
    content_block: Raw = _NONE
    index: int | None = None
    delta: Delta | None = None
    usage: UsageReport | None = None
    error: UpstreamError | str | None = None


_decode_event = reader(StreamEvent)
# What a block is whose start never came.
_KIND_OF_DELTA: Final = {
    "text_delta": "text", "citations_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking",
}  # fmt: skip
_NO_DELTA: Final = Delta()
_NO_USAGE: Final = UsageReport()
_CALLS: Final = frozenset({"json", "arguments", "tool_use"})


class AnthropicStream:
    """A `StreamDecoder`.

    The usage in the first event is reported as not measured: of what has been generated it counts the first token.
    """

    __slots__ = (
        "_block", "_calls", "_ended", "_failed", "_finished", "_first", "_given", "_hidden", "_index", "_kind", "_open",
        "_reported", "_splitter", "_started", "_stopped", "_usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._usage = _NO_USAGE
        # The part under way: its number, its block's index and type (or "json" for an answer by way of a tool), and
        # whether anything of it has been told.
        self._block = -1
        self._index: int | None = None
        self._kind = ""
        self._open = False
        # The input with which a call began. It counts if no pieces of it come.
        self._given = ""
        # The blocks that the first event held, of which those count that do not come again, and why it says that the
        # answer ended.
        self._first: list[Raw] = []
        self._stopped = _NO_DELTA
        self._hidden: list[str] = []
        """The text of blocks that are passed over, to be told where there is nothing else."""
        self._calls = 0
        self._started = False
        self._reported = False
        self._finished = False
        self._ended = False
        self._failed = False

    @property
    def owed_s(self) -> float:
        """Nothing after `message_stop`."""
        return 0.0 if self._ended else inf

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for block in self._splitter.feed(data):
            self._take(block, event_data(block), events)
        return events

    def finish(self) -> list[Event]:
        """The rest. Raises UpstreamFailure if the upstream never said why it stopped."""
        events: list[Event] = []
        rest = self._splitter.rest()
        if rest.startswith(b"{"):
            # Some servers answer a request for a stream with a plain error, or with all of the answer.
            try:
                return events_of(decode(rest))
            except UpstreamFailure:
                self._take(rest, rest, events)
        elif rest:
            self._take(rest, event_data(rest), events)
        if not self._finished and not self._failed:
            if not self._reported:
                raise cut()
            self._end(_NO_DELTA, events)
        return events

    def _take(self, block: bytes, data: bytes, events: list[Event]) -> None:
        if not data or data == NULL or self._ended or self._failed:
            return
        try:
            event = _decode_event(data)
        except UNREADABLE as error:
            if data.strip() != _DONE:
                raise invalid(f"has an event that cannot be read: {error}") from error
            # As servers of OpenAI's end theirs; where nothing was said before, it is no answer.
            event = StreamEvent("message_stop" if self._started else "")
        if not event.type:
            event = msgspec.structs.replace(event, type=event_name(block).decode())
        before = len(events)
        self._read(event, events)
        if not self._started and len(events) > before and not self._failed:
            self._started = True
            events.insert(before, Started("", ""))

    def _read(self, event: StreamEvent, events: list[Event]) -> None:
        match event.type:
            case "content_block_delta":
                self._delta(event.index, event.delta or _NO_DELTA, events)
            case "content_block_start":
                self._first_blocks(event.index or 0, events)
                self._stop_block(events)
                self._index = event.index
                self._start_block(event.content_block, events)
            case "content_block_stop":
                self._stop_block(events)
            case "message_start":
                self._start(event.message or Message(), events)
            case "message_delta":
                self._finish(event, events)
            case "message_stop":
                self._ended = True
                if not self._finished:
                    self._end(_NO_DELTA, events)
            case _ if event.error is not None:
                self._failed = True
                events.append(Failed(stream_error(event.error)))
            case _:
                # "ping", and events still to be invented, which Anthropic asks to be passed over.
                return

    def _start(self, message: Message, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Started(message.id, message.model))
            self._first = blocks_of(message.content)
            self._stopped = Delta(
                stop_reason=message.stop_reason,
                stop_sequence=message.stop_sequence,
                stop_details=message.stop_details,
            )
            self._reported = message.stop_reason is not None
        if message.usage is not None:
            self._usage = message.usage
            counted = message.usage.usage()
            events.append(
                UsageReported(counted if self._reported else msgspec.structs.replace(counted, measured=False))
            )

    def _finish(self, event: StreamEvent, events: list[Event]) -> None:
        delta = event.delta or _NO_DELTA
        if delta.stop_reason is not None and not self._finished:
            self._end(delta, events)
        if event.usage is not None:
            self._reported = True
            self._usage = self._usage.updated(event.usage)
            events.append(UsageReported(self._usage.usage()))

    def _end(self, delta: Delta, events: list[Event]) -> None:
        """The answer is complete, for the reason that `delta` gives."""
        self._finished = True
        self._first_blocks(len(self._first), events)
        self._stop_block(events)
        if delta.stop_reason is None:
            delta = self._stopped
        refusal = explanation(delta.stop_details)
        if refusal is not None:
            self._open = False
            events.append(RefusalDelta(refusal.text, self._told()))
        if self._hidden and self._block < 0:
            events.append(TextDelta("\n".join(self._hidden), self._told()))
        reason = finish_reason(delta.stop_reason, delta.stop_details, called=bool(self._calls))
        events.append(Finished(reason, delta.stop_sequence))

    def _told(self) -> int:
        """The number of the part under way, of which something is about to be told."""
        if not self._open:
            self._open = True
            self._block += 1
        return self._block

    def _first_blocks(self, number: int, events: list[Event]) -> None:
        """Tell of as many blocks of the first event's: those after them come as events of their own."""
        if self._first:
            first, self._first = self._first[:number], []
            for raw in first:
                self._start_block(raw, events)
                self._stop_block(events)

    def _start_block(self, raw: Raw, events: list[Event]) -> None:
        try:
            block = read_block(raw)
        except UNREADABLE:
            block = Block()  # Its deltas say what it is.
        self._kind = block.type
        self._open = False
        match block.type:
            case "" | "text":
                if block.text:
                    events.append(TextDelta(block.text, self._told()))
                events.extend(CitationAdded(citation(raw), self._told()) for raw in block.citations or ())
            case "thinking":
                if block.thinking or block.signature:
                    events.append(self._reasoning(block.thinking or "", block.signature or None))
            case "redacted_thinking":
                events.append(ReasoningDelta(encrypted=block.data or "", origin=ORIGIN, block=self._told()))
            case "tool_use":
                self._start_call(block, events)
            case kind:
                events.append(PassedOver(kind))
                text = readable(raw)
                if kind in HIDDEN:
                    self._hidden += [text] if text else ()
                    self._kind = "hidden"
                elif text:
                    events.append(TextDelta(text, self._told()))

    def _start_call(self, block: Block, events: list[Event]) -> None:
        self._given = compact(block.input)
        if block.name == JSON_TOOL:
            self._kind = "json"
            return
        self._calls += 1
        events.append(ToolStarted(block.id or "", block.name or "", self._told()))
        self._kind = "arguments"

    def _stop_block(self, events: list[Event]) -> None:
        """End a block; a call or an answer by way of one of which no input has come has what it began with, if any."""
        if self._kind == "arguments":
            events.append(ToolArguments(self._given, self._block))
        elif self._kind == "json" and not self._open:
            events.append(TextDelta(self._given, self._told()))
        self._kind = ""

    def _delta(self, index: int | None, delta: Delta, events: list[Event]) -> None:
        if index != self._index or not self._kind:
            # Not every server says that a block begins.
            self._first_blocks(index or 0, events)
            if index != self._index or index is None:
                self._stop_block(events)
                self._open = False
            self._index = index
            self._kind = _KIND_OF_DELTA.get(delta.type, "")
        kind = self._kind
        if kind == "text":
            if delta.text:
                events.append(TextDelta(delta.text, self._told()))
            elif bytes(delta.citation):
                events.append(CitationAdded(citation(delta.citation), self._told()))
            elif delta.type not in _KIND_OF_DELTA:
                events.append(PassedOver(delta.type))
        elif kind == "thinking":
            if delta.thinking or delta.signature:
                events.append(self._reasoning(delta.thinking or "", delta.signature or None))
        elif kind in _CALLS:
            if delta.partial_json:
                self._input(delta.partial_json, events)
        elif kind == "hidden":
            said = delta.text or delta.content
            self._hidden += [said] if said else ()
        elif delta.text or delta.content:
            # Of a block that is not known.
            events.append(TextDelta(delta.text or delta.content or "", self._told()))
        elif delta.type:
            events.append(PassedOver(delta.type))

    def _input(self, piece: str, events: list[Event]) -> None:
        if self._kind == "json":
            events.append(TextDelta(piece, self._told()))
        else:
            self._kind = "tool_use"
            events.append(ToolArguments(piece, self._block))

    def _reasoning(self, text: str, signature: str | None) -> ReasoningDelta:
        return ReasoningDelta(text, signature, origin=ORIGIN, block=self._told())
