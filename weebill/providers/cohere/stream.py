"""Streams in the format of Cohere's Chat API, version 2.

Source: https://docs.cohere.com/v2/docs/streaming and https://docs.cohere.com/v2/docs/tool-use-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.providers.cohere.decode import (
    NO_ARGUMENTS,
    Content,
    LogprobItem,
    ToolCall,
    UsageReport,
    citations,
    decode_reply,
    finish_of,
    not_an_answer,
    openai_logprobs,
    stopped_by,
)
from weebill.providers.cohere.encode import FAMILY, PLAN
from weebill.providers.failures import failure_of
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.lenient import reader
from weebill.wire.replay import events_of
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    Logprobs,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
)
from weebill.wire.sse import NO_EVENT, EventSplitter, event_data


class _Message(Struct, frozen=True):
    """A piece of a message; in the first event, lists that are empty."""

    content: Content | list[Raw] | None = None
    tool_plan: str | None = None
    tool_calls: ToolCall | list[Raw] | None = None
    # Not `Raw | None`, which takes nothing but null.
    citations: Raw | UnsetType = UNSET


class _Delta(Struct, frozen=True):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: UsageReport | None = None
    error: str | None = None


class _Event(Struct, frozen=True):
    """`message` is that of an error, which has no type."""

    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    logprobs: LogprobItem | None = None
    message: str | None = None


_decode_event: Final = reader(_Event)


class CohereStream:
    """A `StreamDecoder`."""

    __slots__ = ("_block", "_failed", "_key", "_missing", "_splitter", "_started", "_stopped")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._started = False
        self._block = -1
        self._key: tuple[str, int | None] = ("", None)
        """The kind of the part under way, and its index among them."""
        self._missing = False
        """True while the call under way has no arguments yet."""
        self._stopped = False
        self._failed = False

    @property
    def owed_s(self) -> float:
        """Nothing after `message-end`."""
        return 0.0 if self._stopped else inf

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises UpstreamFailure on one that is too large or cannot be read."""
        return self._read_all(self._splitter.feed(data))

    def finish(self) -> list[Event]:
        """The last events. Raises UpstreamFailure if the upstream never said that it had finished."""
        rest = self._splitter.rest()
        if self._splitter.plain:
            self._stopped = True
            return events_of(decode_reply(rest))
        events: list[Event] = []
        if rest and not self._stopped and not self._failed:
            try:
                events = self._read_all([rest])
            except UpstreamFailure:
                events = []  # Half an event is the end of a stream that was cut.
        if not self._stopped and not self._failed:
            raise cut()
        return events

    def _read_all(self, blocks: Iterable[bytes]) -> list[Event]:
        events: list[Event] = []
        for block in blocks:
            data = event_data(block)
            if not data or data in NO_EVENT:
                continue
            if self._failed:
                break
            try:
                event = _decode_event(data)
                read = _READERS.get(event.type)
                if read is not None:
                    read(self, event, event.delta or _NO_DELTA, events)
                elif event.message is not None:
                    self._fail(failure_of(500, event.message, ""), events)
            except UNREADABLE as error:
                raise not_an_answer(str(error)) from error
        return events

    def _fail(self, error: UpstreamFailure, events: list[Event]) -> None:
        self._failed = True
        events.append(Failed(error))

    def _open(self, kind: str, index: int | None, events: list[Event]) -> None:
        """Begin a part, unless what is said belongs to the one under way."""
        if self._key != (kind, index):
            self._close_call(events)
            self._key = (kind, index)
            self._block += 1

    def _close_call(self, events: list[Event]) -> None:
        if self._missing:
            self._missing = False
            events.append(ToolArguments("{}", self._block))

    def _read_message_start(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        events.append(Started(event.id or "", ""))

    def _read_content(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        content = delta.message.content if delta.message is not None else None
        if not isinstance(content, Content):
            return
        if content.text:
            self._open("text", event.index, events)
            events.append(TextDelta(content.text, self._block))
        elif content.thinking:
            self._open("thinking", event.index, events)
            events.append(ReasoningDelta(content.thinking, None, None, None, FAMILY, self._block))
        if event.logprobs is not None:
            entries = openai_logprobs(event.logprobs)
            if entries:
                events.append(Logprobs(entries))

    def _read_plan(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        plan = delta.message.tool_plan if delta.message is not None else None
        if plan:
            signature = None if self._key[0] == PLAN else PLAN
            self._open(PLAN, None, events)
            events.append(ReasoningDelta(plan, signature, None, None, FAMILY, self._block))

    def _read_call_start(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        call = delta.message.tool_calls if delta.message is not None else None
        if not isinstance(call, ToolCall) or call.function is None:
            return
        self._open("call", event.index, events)
        events.append(ToolStarted(call.id or "", call.function.name or "", self._block))
        self._missing = True
        self._read_arguments(call, events)

    def _read_call_delta(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        call = delta.message.tool_calls if delta.message is not None else None
        if isinstance(call, ToolCall) and self._key == ("call", event.index):
            self._read_arguments(call, events)

    def _read_arguments(self, call: ToolCall, events: list[Event]) -> None:
        arguments = call.function.text() if call.function is not None else ""
        if arguments and not (self._missing and arguments in NO_ARGUMENTS):
            self._missing = False
            events.append(ToolArguments(arguments, self._block))

    def _read_call_end(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        self._close_call(events)

    def _read_citation(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        raw = delta.message.citations if delta.message is not None else UNSET
        if raw is UNSET or self._key[0] != "text":
            return
        events += [CitationAdded(citation, self._block) for citation in citations(raw)[1]]

    def _read_message_end(self, event: _Event, delta: _Delta, events: list[Event]) -> None:
        self._close_call(events)
        if delta.usage is not None:
            events.append(UsageReported(delta.usage.usage()))
        try:
            finish = finish_of("ERROR" if delta.error else delta.finish_reason, delta.error)
        except UpstreamFailure as error:
            self._fail(error, events)
            return
        self._stopped = True
        events.append(Finished(finish, stopped_by(delta.finish_reason)))


_NO_DELTA: Final = _Delta()
_READERS: Final[dict[str, Callable[[CohereStream, _Event, _Delta, list[Event]], None]]] = {
    "message-start": CohereStream._read_message_start,
    "content-start": CohereStream._read_content,
    "content-delta": CohereStream._read_content,
    "tool-plan-delta": CohereStream._read_plan,
    "tool-call-start": CohereStream._read_call_start,
    "tool-call-delta": CohereStream._read_call_delta,
    "tool-call-end": CohereStream._read_call_end,
    "citation-start": CohereStream._read_citation,
    "message-end": CohereStream._read_message_end,
}
