"""Responses events as the events of a reply.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import inf
from typing import Final

from msgspec.structs import replace

from weebill.providers.responses.body import NOTHING, ResponseBody
from weebill.providers.responses.decode import (
    Said,
    add_item,
    add_message,
    decode_reply,
    image,
    reasoning,
    reasoning_text,
)
from weebill.providers.responses.errors import not_a_response
from weebill.providers.responses.event import LAST, LIFECYCLE, THOUGHTS, StreamEvent, bare_error, decode_event, failure
from weebill.providers.responses.told import ToldArguments, ToldTexts, arguments_in, events_of_part, item_of
from weebill.providers.responses.undecided import Undecided
from weebill.wire.conversation import Part, Refusal, Text, ToolUse
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.literals import SILENT
from weebill.wire.replay import events_of
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    Logprobs,
    PassedOver,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)
from weebill.wire.responses import ORIGIN, citation
from weebill.wire.responses_calls import CALLS, RESULTS, MadeCall, is_providers, made_call, with_results
from weebill.wire.responses_items import is_object, list_of
from weebill.wire.responses_shapes import InputItem
from weebill.wire.sse import NO_EVENT, EventSplitter, event_data, event_name

_MAY_BE_LAST: Final = frozenset({"message", *CALLS})
"""Items after which an answer may be over, for upstreams that do not say so."""


class ResponsesStream:
    """A `StreamDecoder`. Parts of which only the end came are taken from there, or from the whole response at last.

    `offered` are the functions that the client can run, None if that is not known.
    """

    __slots__ = (
        "_block", "_call", "_called", "_calling", "_calls", "_closed", "_done", "_ended_calls", "_held", "_open",
        "_refused", "_said", "_splitter", "_started", "_summary", "_texts", "_thought", "_told_of_call", "_undecided",
        "_unplaced",
    )  # fmt: skip

    def __init__(self, offered: frozenset[str] | None = None) -> None:
        self._splitter = EventSplitter()
        self._started = self._done = False
        self._open: tuple[int, int] = (-1, -1)  # where the part under way is: its output index and its content index
        self._block = -1
        self._summary = 0
        self._texts = ToldTexts()
        self._told_of_call = ToldArguments()  # of the call under way
        self._call = ""
        self._called = self._refused = False
        # The output index of the call under way, if any. Some servers write parallel calls side by side: what belongs
        # to others waits until that call is complete, for the parts of a reply come one after the other.
        self._calling = -1
        self._held: list[StreamEvent] = []
        # The output indexes of messages and of thoughts of which something was said, and of calls that are complete.
        self._said: set[int] = set()
        self._thought: set[int] = set()
        self._ended_calls: set[int] = set()
        self._calls: set[str] = set()
        self._undecided = Undecided(offered)
        self._unplaced = 0  # how many items have ended of which nobody said where they are
        self._closed = False  # whether nothing is under way, and the answer may be over

    @property
    def owed_s(self) -> float:
        """Nothing after the event that holds all of the response."""
        return 0.0 if self._done else inf

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises UpstreamFailure on one that cannot be read."""
        events: list[Event] = []
        for block in self._splitter.feed(data):
            self._read(block, events)
        return events

    def finish(self) -> list[Event]:
        """The last events. Raises UpstreamFailure if the response had not ended."""
        events: list[Event] = []
        rest = self._splitter.rest()
        if self._splitter.plain:
            with suppress(UpstreamFailure):  # an error, which is read below
                return events_of(decode_reply(rest))
        if rest:
            try:
                self._read(rest, events)
            except UpstreamFailure as error:
                raise cut() from error
        if not self._done:
            if not self._closed:
                raise cut()
            self._end(NOTHING, events)
        return events

    def _read(self, block: bytes, events: list[Event]) -> None:
        data = event_data(block)
        if self._done or not data or data in NO_EVENT:
            # What is no event at all, as some servers write their errors.
            if not self._done and block.startswith(b"{"):
                self._fail(bare_error(block), events)
            return
        try:
            event = decode_event(data)
            if not event.type:
                event = replace(event, type=event_name(block).decode())
            self._take(event, events)
        except UNREADABLE as error:
            raise not_a_response(str(error)) from error

    def _take(self, event: StreamEvent, events: list[Event]) -> None:
        kind = event.type
        if kind in LIFECYCLE:
            self._lifecycle(kind, event, events)
            return
        if event.output_index < 0:
            event = replace(event, output_index=self._unplaced)
            self._unplaced += int(kind == "response.output_item.done")
        if self._calling not in (-1, event.output_index):
            self._held.append(event)
        elif kind == "response.output_text.delta":
            self._text(event, event.delta, events)
        elif kind == "response.function_call_arguments.delta":
            self._arguments(event, events)
        elif kind in THOUGHTS:
            self._think(event, events)
        elif kind == "response.refusal.delta":
            self._refusal(event, event.delta, events)
        else:
            self._rare(kind, event, events)

    def _lifecycle(self, kind: str, event: StreamEvent, events: list[Event]) -> None:
        if (error := failure(event)) is not None:
            self._fail(error, events)
        elif kind in LAST:
            self._end(event.response or NOTHING, events)
        elif kind and not self._started and event.response is not None:
            self._start(event.response, events)

    def _rare(self, kind: str, event: StreamEvent, events: list[Event]) -> None:
        """The events that come less often than once a piece."""
        at = (event.output_index, event.content_index)
        match kind:
            case "response.output_item.added":
                self._item_added(event, events)
            case "response.output_item.done":
                self._item_done(event, events)
            case "response.output_text.annotation.added" if is_object(event.annotation):
                self._text(event, "", events)
                events.append(CitationAdded(citation(event.annotation), self._block))
            case "response.function_call_arguments.done" if event.arguments:
                if at[0] == self._calling:
                    self._rest_of_call(event.arguments, events)
                else:
                    self._undecided.whole(at[0], event.arguments)
            case "response.output_text.done" if rest := self._texts.rest(event.text, at[0] in self._said):
                self._text(event, rest, events)
            case "response.refusal.done" if rest := self._texts.rest(event.refusal, at[0] in self._said):
                self._refusal(event, rest, events)

    def _start(self, response: ResponseBody, events: list[Event]) -> None:
        self._started = True
        events.append(response.started())

    def _part(self, at: tuple[int, int], events: list[Event]) -> int:
        """The block of what is at an output index and a content index: the one under way, or a new one."""
        if not self._started:
            self._start(NOTHING, events)
        if self._undecided.waiting:
            self._tell_calls(self._undecided.taken(), events)
        self._closed = False
        if at != self._open:
            self._open = at
            self._block += 1
        return self._block

    def _text(self, event: StreamEvent, text: str, events: list[Event]) -> None:
        block = self._part((event.output_index, event.content_index), events)
        self._said.add(event.output_index)
        if text:
            self._texts.add(self._open, text)
            events.append(TextDelta(text, block))
        if event.logprobs:
            events.append(Logprobs(tuple(event.logprobs)))

    def _refusal(self, event: StreamEvent, text: str, events: list[Event]) -> None:
        self._refused = True
        self._said.add(event.output_index)
        block = self._part((event.output_index, event.content_index), events)
        self._texts.add(self._open, text)
        events.append(RefusalDelta(text, block))

    def _arguments(self, event: StreamEvent, events: list[Event]) -> None:
        # Those of a call that has not begun come again at its end.
        if event.delta and event.output_index == self._calling:
            if piece := self._told_of_call.add(event.delta):
                events.append(ToolArguments(piece, self._block))
        else:
            self._undecided.piece(event.output_index, event.delta)

    def _think(self, event: StreamEvent, events: list[Event]) -> None:
        begun = event.output_index in self._thought
        self._thought.add(event.output_index)
        block = self._part((event.output_index, -1), events)
        text = event.delta
        # The second summary of an item and those after it.
        if event.summary_index != self._summary:
            self._summary = event.summary_index
            text = "\n\n" + text if begun else text
        if text:
            events.append(ReasoningDelta(text, origin=ORIGIN, block=block))

    def _item_added(self, event: StreamEvent, events: list[Event]) -> None:
        item, kind = item_of(event.item)
        self._closed = False
        self._summary = 0
        if kind in CALLS:
            call = made_call(item, kind)
            if kind != "function_call" or not call.name or event.output_index in self._ended_calls:
                return  # one of another kind is told of as a whole
            if self._undecided.is_clients(call.name):
                self._begin_call(call, event.output_index, events)
            else:
                self._undecided.begin(event.output_index, call)
        elif kind == "reasoning":
            block = self._part((event.output_index, -1), events)
            events.append(ReasoningDelta(id=item.id or None, origin=ORIGIN, block=block))

    def _begin_call(self, call: MadeCall, at: int, events: list[Event]) -> None:
        block = self._part((at, -1), events)
        self._called = True
        self._calling, self._told_of_call, self._call = at, ToldArguments(), call.id
        self._calls.add(call.id)
        events.append(ToolStarted(call.id, call.name, block))

    def _item_done(self, event: StreamEvent, events: list[Event]) -> None:
        item, kind = item_of(event.item)
        at = event.output_index
        if kind in CALLS:
            call = made_call(item, kind)
            if is_providers(item):
                self._undecided.provider_runs(call.id)
                events.append(PassedOver(kind))
                return
            given = kind != "function_call" or bytes(item.arguments) not in SILENT
            if kind == "function_call" and (at == self._calling or self._undecided.is_clients(call.name)):
                self._call_done(call, at, events, given=given)
            else:
                self._undecided.end(at, call, given=given)
        elif kind == "reasoning":
            self._reasoning_done(item, at, events)
        elif kind == "message":
            self._message(item, at, events)
        elif kind == "image_generation_call" and (made := image(item)) is not None:
            block = self._part((at, -1), events)
            events.append(WholePart(made, block))
            self._said.add(at)
        elif kind:
            if kind in RESULTS:
                self._was_run(item, RESULTS[kind], events)
            events.append(PassedOver(kind))
        self._closed = kind in _MAY_BE_LAST and not self._held

    def _was_run(self, result: InputItem, kind: str, events: list[Event]) -> None:
        """A call, of type `kind`, has its result, so the provider has run it."""
        if result.call_id and self._undecided.provider_runs(result.call_id):
            events.append(PassedOver(kind))

    def _tell_calls(self, calls: Sequence[tuple[int, MadeCall]], events: list[Event]) -> None:
        """Tell of calls that have no results: they are for the client."""
        for at, call in calls:
            if call.name and call.id not in self._calls:
                self._ended_calls.add(at)
                self._calls.add(call.id)
                self._open = (-1, -1)  # Not every server says where a call is.
                self._told(ToolUse(call.id, call.name, call.arguments), self._part((at, -1), events), events)

    def _call_done(self, call: MadeCall, at: int, events: list[Event], *, given: bool) -> None:
        """The end of a call; one whose arguments were not `given` waits for the whole response, which may hold them."""
        if at != self._calling:
            if at in self._ended_calls or not call.name:
                return
            self._begin_call(call, at, events)
        self._ended_calls.add(at)
        if given:
            self._rest_of_call(call.arguments, events)
        if self._told_of_call.pieces:
            self._release(events)

    def _rest_of_call(self, arguments: str, events: list[Event]) -> None:
        """Tell what was not told of the arguments of the call under way."""
        if rest := self._told_of_call.rest(arguments):
            events.append(ToolArguments(rest, self._block))

    def _message(self, item: InputItem, at: int, events: list[Event]) -> None:
        """Tell what was not told of a message."""
        add_message(item, said := Said([], [], []))
        if at not in self._said and not self._texts.any():
            self._whole(said, at, events)
            return
        for index, part in enumerate(said.parts):
            if isinstance(part, Text | Refusal) and (rest := self._texts.rest(part.text, at in self._said)):
                self._told(part if rest == part.text else type(part)(rest), self._part((at, index), events), events)
        self._said.add(at)

    def _reasoning_done(self, item: InputItem, at: int, events: list[Event]) -> None:
        begun = at == self._open[0] or at in self._thought
        whole = reasoning(item, "" if at in self._thought else reasoning_text(item))
        # Some items close after what follows them has begun: what was said must not be said again.
        if at == self._open[0] or not begun or whole.encrypted is not None:
            block = self._part((at, -1), events)
            events.append(ReasoningDelta(whole.text, None, whole.encrypted, whole.id, ORIGIN, block))
        self._thought.add(at)

    def _release(self, events: list[Event]) -> None:
        """The call under way is complete: go on with what has waited for that."""
        self._calling = -1
        held, self._held = self._held, []
        for event in held:
            self._take(event, events)

    def _whole(self, said: Said, at: int, events: list[Event]) -> None:
        """Tell of parts of which nothing has been told."""
        for index, part in enumerate(said.parts):
            self._told(part, self._part((at, index), events), events)
        if said.logprobs:
            events.append(Logprobs(tuple(said.logprobs)))
        events.extend(map(PassedOver, said.dropped))
        self._said.add(at)

    def _told(self, part: Part, block: int, events: list[Event]) -> None:
        if isinstance(part, Text | Refusal):
            self._texts.add(self._open, part.text)
        self._refused = self._refused or isinstance(part, Refusal)
        self._called = self._called or isinstance(part, ToolUse)
        events += events_of_part(part, block)

    def _end(self, response: ResponseBody, events: list[Event]) -> None:
        if not self._started:
            self._start(response, events)
        while self._calling != -1 or self._held:
            if self._calling != -1:
                self._rest_of_call(arguments_in(response, self._call), events)
            self._release(events)
        self._tell_calls(self._undecided.taken(), events)
        self._untold(response, events)
        self._tell_calls(self._undecided.rest(), events)
        self._done = True
        if (usage := response.reported()) is not None:
            events.append(UsageReported(usage))
        called = self._called and not (self._calls and self._calls <= self._undecided.run)
        events.append(Finished(response.finish(called, self._refused)))

    def _untold(self, response: ResponseBody, events: list[Event]) -> None:
        """Tell of what only the whole response holds: all of an answer, calls that no event told of, ends of texts."""
        nothing = not self._said and not self._calls
        output = list_of(response.output)
        known, run = self._calls | self._undecided.run, None
        for at, raw in enumerate(output):
            item, kind = item_of(raw)
            called = item.call_id or item.id or ""
            if kind == "message":
                self._message(item, at, events)
            elif (kind in CALLS and called not in known) or (nothing and kind == "image_generation_call"):
                run = with_results(output) if run is None else run
                add_item(raw, said := Said([], [], [], run))
                self._whole(said, at, events)
                self._calls.add(called)

    def _fail(self, error: UpstreamFailure, events: list[Event]) -> None:
        self._done = True
        events.append(Failed(error))
