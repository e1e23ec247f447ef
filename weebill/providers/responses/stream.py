"""Responses events as the events of a reply.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.openai.errors import ErrorDetail
from weebill.providers.responses.decode import ResponseBody, finish_of, image, output_item, reasoning
from weebill.providers.responses.errors import cut, inner_error, invalid_answer
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)
from weebill.wire.responses import ORIGIN, FunctionCallItem, ImageItem, ReasoningItem, citation
from weebill.wire.sse import EventSplitter, event_data

_DONE: Final = b"[DONE]"
_ABSENT: Final = Raw(b"")


class StreamEvent(Struct, frozen=True):
    """The part of an event, of any type, that is read. An error's fields come flat or under `error`."""

    type: str = ""
    delta: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    logprobs: list[Raw] | None = None
    annotation: Raw = _ABSENT
    item: Raw = _ABSENT
    response: ResponseBody | None = None
    error: ErrorDetail | str | None = None
    message: str | None = None
    code: str | int | None = None
    param: str | None = None


class _EventType(Struct, frozen=True):
    type: str = ""


_decode_event: Final = msgspec.json.Decoder(StreamEvent).decode
_decode_type: Final = msgspec.json.Decoder(_EventType).decode
# Events about the response rather than about one of its items.
_LIFECYCLE: Final = frozenset(
    {"response.created", "response.queued", "response.in_progress", "response.completed", "response.incomplete"}
    | {"response.failed", "error", ""}
)
# Events without which the answer is not whole.
_ESSENTIAL: Final = frozenset(
    {"response.output_item.added", "response.output_item.done", "response.output_text.delta", "response.refusal.delta"}
    | {"response.function_call_arguments.delta", "response.reasoning_summary_text.delta"}
    | {"response.reasoning_text.delta", "response.output_text.annotation.added"}
) | (_LIFECYCLE - {"response.queued", "response.in_progress"})


class ResponsesStream:
    """A `StreamDecoder`. Parts of which only the end came are taken from there."""

    __slots__ = ("_block", "_called", "_calling", "_done", "_held", "_open", "_refused", "_splitter", "_summary")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        # Where the part under way is: its output index, and its content index in a message.
        self._open: tuple[int, int] = (-1, -1)
        self._block = -1
        self._summary = 0
        self._called = self._refused = False
        # The output index of the call under way, if any. Some servers write parallel calls side by side: what belongs
        # to others waits until that call is complete, for the parts of a reply come one after the other.
        self._calling = -1
        self._held: list[StreamEvent] = []
        self._done = False

    @property
    def owed_s(self) -> float:
        """Nothing after the event that holds all of the response."""
        return 0.0 if self._done else inf

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises ApiError 502 on one that cannot be read."""
        events: list[Event] = []
        for block in self._splitter.feed(data):
            self._read(block, events)
        return events

    def finish(self) -> list[Event]:
        """The last events. Raises ApiError 502 if the response had not ended."""
        events: list[Event] = []
        rest = self._splitter.rest()
        if rest:
            try:
                self._read(rest, events)
            except ApiError as error:
                raise cut() from error
        if not self._done:
            raise cut()
        return events

    def _read(self, block: bytes, events: list[Event]) -> None:
        data = event_data(block)
        if self._done or not data or data == _DONE:
            # What is no event at all, as some servers write their errors.
            if not self._done and block.startswith(b"{"):
                self._fail(bare_error(block), events)
            return
        event = decode_event(data)
        if event is None:
            return
        try:
            self._take(event, events)
        except UNREADABLE as error:
            raise invalid_answer(str(error)) from error

    def _take(self, event: StreamEvent, events: list[Event]) -> None:
        kind = event.type
        if self._calling not in (-1, event.output_index) and kind not in _LIFECYCLE:
            self._held.append(event)
        elif kind == "response.output_text.delta":
            self._text(event, event.delta, events)
        elif kind == "response.function_call_arguments.delta":
            self._arguments(event, event.delta, events)
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            self._thought(event, events)
        elif kind == "response.refusal.delta":
            self._refusal(event, event.delta, events)
        else:
            self._rare(kind, event, events)

    def _rare(self, kind: str, event: StreamEvent, events: list[Event]) -> None:
        """What does not come once a piece."""
        at = (event.output_index, event.content_index)
        match kind:
            case "response.created":
                response = event.response or ResponseBody()
                events.append(Started(response.id, response.model, int(response.created_at or 0)))
            case "response.output_item.added":
                self._item_added(event, events)
            case "response.output_item.done":
                self._item_done(event, events)
            case "response.output_text.annotation.added":
                self._text(event, "", events)
                events.append(CitationAdded(citation(event.annotation), self._block))
            case "response.output_text.done" if event.text and self._open != at:
                self._text(event, event.text, events)
            case "response.refusal.done" if event.refusal and self._open != at:
                self._refusal(event, event.refusal, events)
            case "response.completed" | "response.incomplete":
                self._ended(event.response or ResponseBody(), events)
            case "response.failed" | "error":
                self._fail(event_error(event), events)
            case "" if event.error is not None:
                self._fail(event_error(event), events)

    def _part(self, at: tuple[int, int]) -> int:
        """The block of what is at an output index and a content index: the one under way, or a new one."""
        if at != self._open:
            self._open = at
            self._block += 1
        return self._block

    def _text(self, event: StreamEvent, text: str, events: list[Event]) -> None:
        block = self._part((event.output_index, event.content_index))
        if text:
            events.append(TextDelta(text, block))
        if event.logprobs:
            events.append(Logprobs(tuple(event.logprobs)))

    def _refusal(self, event: StreamEvent, text: str, events: list[Event]) -> None:
        self._refused = True
        events.append(RefusalDelta(text, self._part((event.output_index, event.content_index))))

    def _arguments(self, event: StreamEvent, arguments: str, events: list[Event]) -> None:
        if event.output_index != self._calling:
            raise invalid_answer("arguments of a call that has not begun")
        if arguments:
            self._summary += 1
            events.append(ToolArguments(arguments, self._block))

    def _thought(self, event: StreamEvent, events: list[Event]) -> None:
        block = self._part((event.output_index, -1))
        text = event.delta
        # The second summary of an item and those after it.
        if event.summary_index != self._summary:
            self._summary = event.summary_index
            text = "\n\n" + text
        if text:
            events.append(ReasoningDelta(text, origin=ORIGIN, block=block))

    def _item_added(self, event: StreamEvent, events: list[Event]) -> None:
        item = output_item(event.item)
        # For a call this counts the pieces of its arguments.
        self._summary = 0
        if isinstance(item, FunctionCallItem):
            self._called = True
            self._calling = event.output_index
            block = self._part((event.output_index, -1))
            events.append(ToolStarted(item.call_id, item.name, block))
        elif isinstance(item, ReasoningItem):
            block = self._part((event.output_index, -1))
            events.append(ReasoningDelta(id=item.id, origin=ORIGIN, block=block))

    def _item_done(self, event: StreamEvent, events: list[Event]) -> None:
        item = output_item(event.item)
        if isinstance(item, FunctionCallItem):
            if event.output_index != self._calling:
                self._item_added(event, events)
            if not self._summary:
                self._arguments(event, item.arguments, events)
            self._release(events)
        elif isinstance(item, ReasoningItem):
            begun = event.output_index == self._open[0]
            whole = reasoning(item, "" if begun else item.text())
            block = self._part((event.output_index, -1))
            events.append(ReasoningDelta(whole.text, None, whole.encrypted, whole.id, ORIGIN, block))
        elif isinstance(item, ImageItem) and item.result:
            events.append(WholePart(image(item), self._part((event.output_index, -1))))

    def _release(self, events: list[Event]) -> None:
        """The call under way is complete: go on with what has waited for that."""
        self._calling = -1
        held, self._held = self._held, []
        for event in held:
            self._take(event, events)

    def _ended(self, response: ResponseBody, events: list[Event]) -> None:
        while self._held:
            self._release(events)
        self._done = True
        if response.usage is not None:
            events.append(UsageReported(response.usage.usage()))
        events.append(Finished(finish_of(response, self._called, self._refused)))

    def _fail(self, error: ApiError, events: list[Event]) -> None:
        self._done = True
        events.append(Failed(error))


def decode_event(data: bytes) -> StreamEvent | None:
    """An event; None if it can be done without. Raises ApiError 502 if it cannot be read."""
    try:
        return _decode_event(data)
    except UNREADABLE as error:
        try:
            kind = _decode_type(data).type
        except UNREADABLE:
            kind = ""
        if kind in _ESSENTIAL:
            raise invalid_answer(str(error)) from error
        return None


def event_error(event: StreamEvent) -> ApiError:
    """What an event says went wrong, in whichever of the three places."""
    response = event.response
    error = event.error or (response.error if response is not None else None)
    if isinstance(error, str):
        error = ErrorDetail(error)
    return inner_error(error or ErrorDetail(event.message, None, event.param, event.code))


def bare_error(block: bytes) -> ApiError:
    """The error in what is JSON but no event."""
    event = decode_event(block)
    return invalid_answer("it is no event") if event is None else event_error(event)
