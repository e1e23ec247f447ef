"""Streams of Chat Completions as canonical events.

Source: https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec
from msgspec import Struct

from weebill.providers.openai.decode import (
    Function,
    LogprobsReport,
    Message,
    SearchResult,
    ToolCall,
    audio_format,
    call_id,
    citations,
    finish_reason,
    joined_base64,
    not_a_completion,
    signature_of,
)
from weebill.providers.openai.errors import ErrorDetail, inner_error
from weebill.providers.openai.messages import FAMILY, UNKNOWN_FORMAT
from weebill.wire.conversation import Audio
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.openai_chat import UsageReport, image_of, reasoning_piece
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
from weebill.wire.sse import EventSplitter, event_data

_DONE: Final = b"[DONE]"


class _Choice(Struct, frozen=True):
    """A choice of a chunk; `usage` is where Moonshot puts it."""

    index: int | None = None
    delta: Message | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: LogprobsReport | None = None
    usage: UsageReport | None = None
    error: ErrorDetail | str | None = None


class _Groq(Struct, frozen=True):
    usage: UsageReport | None = None


class _Chunk(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: UsageReport | None = None
    x_groq: _Groq | None = None
    search_results: list[SearchResult] | None = None
    error: ErrorDetail | str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class _State:
    """What one choice has said so far; `kind` is what the part under way is, "" before the first."""

    __slots__ = (
        "arguments", "audio", "block", "call_id", "call_index", "calls", "finished", "kind", "refused", "seen", "spoken"
    )  # fmt: skip

    def __init__(self) -> None:
        self.kind = ""
        self.block = -1
        self.calls = 0
        self.call_index: int | None = None
        self.call_id: str | None = None
        self.seen: set[str | int | None] = set()
        self.arguments = True
        self.refused = False
        self.finished = False
        self.audio: list[str] = []
        self.spoken = Audio("", "pcm16")


class ChatDecoder:
    """A `StreamDecoder`."""

    __slots__ = ("_choices", "_done", "_id", "_splitter", "_started")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._choices: dict[int, _State] = {}
        self._id = ""
        self._started = False
        self._done = False

    @property
    def owed_s(self) -> float:
        """Nothing after `[DONE]`; what is owed before it, the events tell."""
        return 0.0 if self._done else inf

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes."""
        events: list[Event] = []
        for block in self._splitter.feed(data):
            self._take(event_data(block), events)
        return events

    def finish(self) -> Sequence[Event]:
        """The last events. Raises ApiError 502 if no choice ever ended, or one had begun that did not."""
        events: list[Event] = []
        # A last event without its blank line: some servers close right after it.
        self._take(event_data(self._splitter.rest()), events)
        if events and isinstance(events[-1], Failed):
            return events
        unfinished = [choice for choice, state in self._choices.items() if not state.finished]
        if not self._choices or (unfinished and not self._done):
            raise ApiError(502, "The upstream ended its stream before the answer was complete.", code="upstream_cut")
        for choice in unfinished:
            self._end(choice, self._choices[choice], "", None, events)
        return events

    def _take(self, data: bytes, events: list[Event]) -> None:
        if not data or self._done:
            return
        if data.strip() == _DONE:
            self._done = True
            return
        try:
            chunk = _decode(data)
        except UNREADABLE as error:
            raise not_a_completion(str(error)) from error
        if chunk.error is not None:
            self._fail(inner_error(chunk.error).with_more(data), events)
            return
        usage = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
        if not self._started and (chunk.id or chunk.choices or usage):
            self._started = True
            self._id = chunk.id or ""
            events.append(Started(self._id, chunk.model or "", int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if choice.error is not None:
                self._fail(inner_error(choice.error), events)
                return
            usage = usage or choice.usage
            try:
                self._say(choice, chunk.search_results, events)
            except ApiError as error:
                self._fail(error, events)
                return
        if usage is not None:
            events.append(UsageReported(usage.usage()))

    def _fail(self, error: ApiError, events: list[Event]) -> None:
        self._done = True
        events.append(Failed(error))

    def _say(self, choice: _Choice, found: list[SearchResult] | None, events: list[Event]) -> None:
        index = choice.index or 0
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = _State()
        if choice.delta is not None:
            self._delta(index, state, choice.delta, events)
        if choice.logprobs is not None and choice.logprobs.content:
            events.append(Logprobs(tuple(choice.logprobs.content), index))
        if choice.finish_reason and not state.finished:
            # Perplexity repeats them with every chunk.
            for result in found or ():
                self._enter(index, state, "text", events)
                events.append(CitationAdded(result.citation(), state.block, index))
            self._end(index, state, choice.finish_reason, choice.stop_reason, events)

    def _delta(self, choice: int, state: _State, delta: Message, events: list[Event]) -> None:
        text, thought = delta.texts()
        if delta.reasoning_details:
            for detail in delta.reasoning_details:
                piece = reasoning_piece(detail, UNKNOWN_FORMAT)
                self._enter(choice, state, f"reasoning {detail.index}", events)
                events.append(
                    ReasoningDelta(
                        piece.text, piece.signature, piece.encrypted, piece.id, piece.origin, state.block, choice
                    )
                )
        elif thought:
            self._enter(choice, state, "reasoning", events)
            events.append(ReasoningDelta(thought, origin=FAMILY, block=state.block, choice=choice))
        if text:
            self._enter(choice, state, "text", events)
            events.append(TextDelta(text, state.block, choice))
        if delta.annotations:
            for citation in citations(delta.annotations):
                self._enter(choice, state, "text", events)
                events.append(CitationAdded(citation, state.block, choice))
        if delta.refusal:
            self._enter(choice, state, "refusal", events)
            state.refused = True
            events.append(RefusalDelta(delta.refusal, state.block, choice))
        for call in delta.calls():
            self._call(choice, state, call, events)
        for image in delta.images or ():
            self._enter(choice, state, "", events)
            events.append(WholePart(image_of(image.image_url), state.block, choice))
        if delta.audio is not None:
            spoken = state.spoken
            transcript = (spoken.transcript or "") + (delta.audio.transcript or "")
            state.spoken = Audio("", "", transcript or None, delta.audio.id or spoken.id)
            if delta.audio.data:
                state.audio.append(delta.audio.data)

    def _enter(self, choice: int, state: _State, kind: str, events: list[Event]) -> None:
        """Begin another part unless one of `kind` is under way; every "" is a part of its own."""
        if kind and kind == state.kind:
            return
        self._leave(choice, state, events)
        state.kind = kind
        state.block += 1

    def _leave(self, choice: int, state: _State, events: list[Event]) -> None:
        if not state.arguments:
            state.arguments = True
            events.append(ToolArguments("{}", state.block, choice))

    def _call(self, choice: int, state: _State, call: ToolCall, events: list[Event]) -> None:
        function = call.function or Function()
        if self._is_new(state, call, function):
            known = call.id or call.index
            if known is not None and known in state.seen:
                raise not_a_completion("pieces of its tool calls are mixed up")
            self._enter(choice, state, "", events)
            state.kind = "call"
            state.call_index, state.call_id = call.index, call.id
            state.seen.update((call.id, call.index))
            state.arguments = False
            identity = call.id or call_id(self._id, choice, state.calls)
            state.calls += 1
            signature, origin = signature_of(call)
            events.append(ToolStarted(identity, function.name or "", state.block, choice, signature, origin))
        arguments = function.text()
        if arguments:
            state.arguments = True
            events.append(ToolArguments(arguments, state.block, choice))

    def _is_new(self, state: _State, call: ToolCall, function: Function) -> bool:
        """Whether a piece begins a call: by index, else by id, else by name. Google numbers all of them 0."""
        if state.kind != "call":
            return True
        if call.id and function.name and call.id != state.call_id:
            return True
        if call.index is not None:
            return call.index != state.call_index
        return not call.id and bool(function.name)

    def _end(self, choice: int, state: _State, word: str, stopped_by: str | int | None, events: list[Event]) -> None:
        self._leave(choice, state, events)
        if state.audio or state.spoken.id:
            data = joined_base64(state.audio) if state.audio else ""
            self._enter(choice, state, "", events)
            whole = Audio(data, audio_format(data), state.spoken.transcript, state.spoken.id)
            events.append(WholePart(whole, state.block, choice))
        reason = finish_reason(word, called=state.calls > 0, refused=state.refused)
        state.finished = True
        events.append(Finished(reason, stopped_by if isinstance(stopped_by, str) else None, choice))
