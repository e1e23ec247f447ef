"""Streams of Chat Completions as canonical events.

Source: https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from msgspec import Raw, Struct

from weebill.providers.base import LATE_S, LINGER_S
from weebill.providers.openai.calls import CallSorter, Slot, may_say_nothing
from weebill.providers.openai.decode import (
    FAILURES,
    Message,
    SearchResult,
    ToolCall,
    call_id,
    citations,
    decode,
    finish_reason,
    joined_base64,
    not_a_completion,
    signature_of,
    stopped_by,
)
from weebill.providers.openai.errors import NO_ERROR, inner_error, is_error
from weebill.providers.openai.messages import FAMILY, UNKNOWN_FORMAT
from weebill.wire.conversation import Audio
from weebill.wire.custom_input import BEGINNING, END, inner
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.lenient import reader
from weebill.wire.openai_chat import (
    GroqExtra,
    LogprobsReport,
    ReasoningDetail,
    UsageReport,
    audio_format,
    goes_on,
    image_of,
    reasoning_piece,
)
from weebill.wire.openai_usage import usage_of
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
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)
from weebill.wire.sse import NULL, EventSplitter, event_data

_DONE: Final = b"[DONE]"
_DETAILS: Final = "reasoning details"
# How many pieces of what is said wait for the call that they came amid.
_MAX_HELD: Final = 4096


class _Choice(Struct, frozen=True):
    """A choice of a chunk; `usage` is where Moonshot puts it, `message` where a whole answer comes in an event.

    `text` is for servers that say it as Completions do.
    """

    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: LogprobsReport | None = None
    usage: UsageReport | None = None
    error: Raw = NO_ERROR


class _Chunk(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: UsageReport | None = None
    x_groq: GroqExtra | None = None
    search_results: list[SearchResult] | None = None
    error: Raw = NO_ERROR


_decode = reader(_Chunk)


class _State:
    """The state of one choice; `kind` is that of the part under way, "" before the first.

    `call` is the tool call under way; what is said meanwhile is `held`. `ending` is why it ended, as it said, and by
    which sequence: that may come before the last of what it has to say.
    """

    __slots__ = (
        "audio", "block", "call", "called", "calls", "detail", "ending", "finished", "held", "kind", "refused",
        "spoken",
    )  # fmt: skip

    def __init__(self) -> None:
        self.kind = ""
        self.block = -1
        self.calls = CallSorter()
        self.call: Slot | None = None
        self.called = False
        self.detail: ReasoningDetail | None = None
        self.held: list[Message] = []
        self.refused = False
        self.ending: tuple[str, str | int | None] | None = None
        self.finished = False
        self.audio: list[str] = []
        self.spoken = Audio("", "pcm16")


class ChatDecoder:
    """A `StreamDecoder`; `asked` is how many choices there should be."""

    __slots__ = ("_asked", "_choices", "_done", "_id", "_spent", "_splitter", "_started")

    def __init__(self, asked: int = 1) -> None:
        self._splitter = EventSplitter()
        self._choices: dict[int, _State] = {}
        self._id = ""
        self._started = False
        self._done = False
        self._spent = False
        """True where the last that came was the usage."""
        self._asked = asked

    @property
    def owed_s(self) -> float:
        """Nothing after `[DONE]`; not much once all choices have said why they ended, which is yet to be told.

        Those that have not begun by then are waited for longer.
        """
        if self._done:
            return 0.0
        if not self._choices or any(state.ending is None for state in self._choices.values()):
            return inf
        return LATE_S if len(self._choices) < self._asked and not self._spent else LINGER_S

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes."""
        events: list[Event] = []
        for block in self._splitter.feed(data):
            self._take(event_data(block), events)
        return events

    def finish(self) -> Sequence[Event]:
        """The last events. Raises UpstreamFailure if no choice ever ended, or one had begun that did not."""
        events: list[Event] = []
        rest = self._splitter.rest()
        if self._splitter.plain:
            return self._whole(rest)
        # A last event without its blank line: some servers close right after it.
        self._take(event_data(rest), events)
        if events and isinstance(events[-1], Failed):
            return events
        self._end_all(events)
        unfinished = [choice for choice, state in self._choices.items() if not state.finished]
        if not self._choices or (unfinished and not self._done and not self._spent):
            raise cut()
        for choice in unfinished:
            self._end(choice, self._choices[choice], "", None, events)
        return events

    def _whole(self, body: bytes) -> Sequence[Event]:
        """An answer that came in one piece."""
        try:
            reply = decode(body)
        except UpstreamFailure as error:
            return [Failed(error)]
        return events_of(reply)

    def _take(self, data: bytes, events: list[Event]) -> None:
        if not data or data == NULL or self._done:
            return
        if data.strip() == _DONE:
            self._end_all(events)
            self._done = True
            return
        chunk = _read(data)
        if is_error(chunk.error):
            self._fail(inner_error(chunk.error), events)
            return
        usage = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
        self._spent = usage is not None and not chunk.choices
        if not self._started and (chunk.id or chunk.choices or usage):
            self._started = True
            self._id = chunk.id or ""
            events.append(Started(self._id, chunk.model or "", int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if is_error(choice.error):
                self._fail(inner_error(choice.error), events)
                return
            usage = usage or choice.usage
            try:
                self._say(choice, chunk.search_results, events)
            except UpstreamFailure as error:
                self._fail(error, events)
                return
        if usage is not None and usage.says_anything():
            self._end_all(events)
            events.append(UsageReported(usage_of(usage)))

    def _fail(self, error: UpstreamFailure, events: list[Event]) -> None:
        self._done = True
        events.append(Failed(error))

    def _say(self, choice: _Choice, found: list[SearchResult] | None, events: list[Event]) -> None:
        index = choice.index or 0
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = _State()
        said = choice.delta if choice.delta is not None else choice.message
        if said is None and choice.text:
            said = Message(choice.text)
        if said is not None:
            self._delta(index, state, said, events)
        if choice.logprobs is not None and choice.logprobs.content:
            events.append(Logprobs(tuple(choice.logprobs.content), index))
        if choice.finish_reason and not state.finished:
            if choice.finish_reason.lower() in FAILURES:
                self._end(index, state, choice.finish_reason, None, events)
            if state.ending is None:
                # Perplexity repeats them with every chunk.
                for result in found or ():
                    self._enter(index, state, "text", events)
                    events.append(CitationAdded(result.citation(), state.block, index))
            state.ending = (choice.finish_reason, choice.stop_reason)

    def _delta(self, choice: int, state: _State, delta: Message, events: list[Event]) -> None:
        call = state.call
        if call is None or not delta.says_anything():
            self._speak(choice, state, delta, events)
        elif len(state.held) < _MAX_HELD and call.may_go_on():
            # What belongs to a part comes before the next part begins.
            state.held.append(delta)
        else:
            self._close_calls(choice, state, events)
            self._speak(choice, state, delta, events)
        for piece in delta.calls():
            self._call(choice, state, piece, events)
        if delta.audio is not None:
            spoken = state.spoken
            transcript = (spoken.transcript or "") + (delta.audio.transcript or "")
            state.spoken = Audio("", "", transcript or None, delta.audio.id or spoken.id)
            if delta.audio.data:
                state.audio.append(delta.audio.data)

    def _speak(self, choice: int, state: _State, delta: Message, events: list[Event]) -> None:
        """All of what a delta says but for calls and sound."""
        text, thought = delta.texts()
        if delta.reasoning_details:
            for detail in delta.reasoning_details:
                piece = reasoning_piece(detail, UNKNOWN_FORMAT)
                if state.kind != _DETAILS or state.detail is None or not goes_on(state.detail, detail):
                    self._enter(choice, state, "", events)
                    state.kind = _DETAILS
                state.detail = detail
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
        for image in delta.images or ():
            self._enter(choice, state, "", events)
            events.append(WholePart(image_of(image.image_url), state.block, choice))

    def _enter(self, choice: int, state: _State, kind: str, events: list[Event]) -> None:
        """Begin another part unless one of `kind` is under way; every "" is a part of its own."""
        if kind and kind == state.kind:
            return
        state.kind = kind
        state.block += 1

    def _call(self, choice: int, state: _State, piece: ToolCall, events: list[Event]) -> None:
        slot = state.calls.take(piece)
        custom = piece.custom_call()
        text = custom.input if custom is not None else piece.called().text()
        if slot.ended:
            if text and text.strip():
                events.append(PassedOver("tool_calls"))
            return
        if text:
            slot.pending.append(text)
        if state.call is None or not (state.call.started or state.call.pending):
            state.call = slot
        while state.call is not None:
            self._write(choice, state, state.call, events)
            waiting = state.calls.waiting(state.call)
            if waiting is None or not state.call.complete():
                return
            self._close(choice, state, state.call, events)
            state.call = waiting

    def _write(self, choice: int, state: _State, slot: Slot, events: list[Event]) -> None:
        """The members of a call that are sure: a name, and arguments that say something."""
        if not slot.started:
            # A name may come in pieces, until there are arguments.
            if not slot.name or not slot.pending:
                return
            self._start(choice, state, slot, events)
        text = "".join(slot.pending)
        if not text or not (slot.custom or slot.written or not may_say_nothing(text.strip())):
            return
        if slot.custom:
            text = ("" if slot.written else BEGINNING) + inner(text)
        slot.written = True
        slot.pending.clear()
        events.append(ToolArguments(text, state.block, choice))

    def _start(self, choice: int, state: _State, slot: Slot, events: list[Event]) -> None:
        self._enter(choice, state, "", events)
        state.kind = "call"
        state.called = True
        slot.started = True
        identity = slot.id or call_id(self._id, choice, slot.number)
        signature, origin = signature_of(slot.piece) if slot.piece is not None else (None, "")
        events.append(ToolStarted(identity, slot.name, state.block, choice, signature, origin))

    def _close(self, choice: int, state: _State, slot: Slot, events: list[Event]) -> None:
        slot.ended = True
        if slot.is_blank():
            return
        if not slot.started:
            self._start(choice, state, slot, events)
        rest = "".join(slot.pending)
        if slot.custom:
            rest = ("" if slot.written else BEGINNING) + inner(rest) + END
        elif not slot.written and rest.strip() in ("", "null"):
            rest = "{}"
        slot.pending.clear()
        if rest:
            events.append(ToolArguments(rest, state.block, choice))

    def _close_calls(self, choice: int, state: _State, events: list[Event]) -> None:
        """End the call under way, and those that waited for it."""
        while state.call is not None:
            self._close(choice, state, state.call, events)
            state.call = state.calls.waiting(state.call)

    def _end_all(self, events: list[Event]) -> None:
        """End the choices that have said that they ended."""
        for choice, state in self._choices.items():
            if state.ending is not None and not state.finished:
                self._end(choice, state, state.ending[0], state.ending[1], events)

    def _end(self, choice: int, state: _State, word: str, sequence: str | int | None, events: list[Event]) -> None:
        self._close_calls(choice, state, events)
        for delta in state.held:
            self._speak(choice, state, delta, events)
        state.held.clear()
        if state.audio or state.spoken.id:
            data = joined_base64(state.audio) if state.audio else ""
            self._enter(choice, state, "", events)
            whole = Audio(data, audio_format(data), state.spoken.transcript, state.spoken.id)
            events.append(WholePart(whole, state.block, choice))
        reason = finish_reason(word, called=state.called, refused=state.refused)
        state.finished = True
        events.append(Finished(reason, stopped_by(word, sequence), choice))


def _read(data: bytes) -> _Chunk:
    """Raises UpstreamFailure."""
    try:
        return _decode(data)
    except UNREADABLE as error:
        raise not_a_completion(str(error)) from error
