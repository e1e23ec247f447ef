"""An answer's events as the chunks of Chat Completions.

What all chunks of a stream have in common is written once; a delta of text costs one JSON string.

Source: https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from weebill.apis.chat.answer import audio_body, extra_content, finish_reason, image_part, own_id, sources, usage_body
from weebill.apis.chat.answer_shapes import Delta, LogprobsBody
from weebill.apis.chat.custom import custom_names
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Image, Reasoning
from weebill.wire.custom_input import InputReader
from weebill.wire.errors import ApiError
from weebill.wire.openai_chat import FunctionDelta, ToolCallDelta, reasoning_details
from weebill.wire.openai_chat_request import CalledCustom, ToolCall
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)
from weebill.wire.sse import DONE, error_event

_encode = msgspec.json.encode
_UNNAMED: Final = Started("", "")
_ROLE: Final = b'"role":"assistant",'


class _State:
    """The state of one choice; `annotations`, `quoted`, `details` and `images` count what it has said of each.

    Clients put lists together by `index`: in each, every entry has its own. `custom` reads the input of a custom tool's
    call that is under way.
    """

    __slots__ = (
        "annotations", "arguments", "begun", "block", "calls", "custom", "details", "head", "images", "length",
        "opaque", "quoted", "refused", "start", "thoughts",
    )  # fmt: skip

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.begun = False
        self.block = -1
        self.calls = 0
        self.custom: InputReader | None = None
        self.arguments = True
        self.annotations = 0
        self.quoted = 0
        self.details = 0
        self.images = 0
        self.refused = False
        self.start = 0
        self.length = 0
        self.thoughts: list[str] = []
        self.opaque: Reasoning | None = None


class ChatStream:
    """A `StreamEncoder`."""

    __slots__ = ("_choices", "_custom", "_envelope", "_legacy", "_model", "_tail", "_usage", "_wants_usage")

    def __init__(self, call: Call) -> None:
        self._model = call.model
        self._wants_usage = call.wants_usage
        self._legacy = "functions" in call.fields
        self._custom = custom_names(call)
        self._tail = b'}],"usage":null}\n\n' if call.wants_usage else b"}]}\n\n"
        self._envelope = b""
        self._choices: dict[int, _State] = {}
        self._usage: Usage | None = None

    def feed(self, events: list[Event]) -> bytes:
        """The chunks for `events`."""
        written = []
        last = len(events) - 1
        for at, event in enumerate(events):
            if isinstance(event, TextDelta):
                following = events[at + 1] if at < last else None
                logprobs = following if isinstance(following, Logprobs) and following.choice == event.choice else None
                written.append(self._text(event, logprobs))
            elif isinstance(event, Logprobs):
                before = events[at - 1] if at else None
                if not (isinstance(before, TextDelta) and before.choice == event.choice):
                    written.append(self._bare(self._state(event.choice), b"", _logprobs(event)))
            else:
                write = _WRITERS.get(type(event))
                if write is not None:
                    written.append(write(self, event))
        return b"".join(written)

    def fail(self, error: ApiError) -> bytes:
        return error_event(error)

    def finish(self) -> bytes:
        """The usage, where the client asked for it, and `[DONE]`."""
        if not self._wants_usage or self._usage is None:
            return DONE
        return self._head() + b'],"usage":' + _encode(usage_body(self._usage)) + b"}\n\n" + DONE

    def _head(self) -> bytes:
        """The beginning of every chunk, for an upstream that has not said who it is, too."""
        if not self._envelope:
            self._started(_UNNAMED)
        return self._envelope

    def _started(self, event: Started) -> bytes:
        if self._envelope:
            return b""
        identity = _encode(own_id(event.id, "chatcmpl"))
        created = event.created or int(time.time())
        model = _encode(event.model or self._model)
        self._envelope = (
            b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":['
            % (identity, created, model)
        )  # fmt: skip
        return b""

    def _state(self, choice: int) -> _State:
        state = self._choices.get(choice)
        if state is None:
            head = self._head() + b'{"index":%d,"delta":{' % choice
            state = self._choices[choice] = _State(head)
        return state

    def _text(self, event: TextDelta, logprobs: Logprobs | None) -> bytes:
        state = self._state(event.choice)
        closing = self._enter(state, event.block)
        state.length += len(event.text)
        delta = b'"content":' + _encode(event.text)
        return closing + self._bare(state, delta, b"null" if logprobs is None else _logprobs(logprobs))

    def _bare(self, state: _State, delta: bytes, logprobs: bytes = b"null", reason: bytes = b"null") -> bytes:
        """A chunk, with the role if it is the choice's first."""
        head = state.head
        if not state.begun:
            state.begun = True
            head += _ROLE if delta else _ROLE[:-1]
        return head + delta + b'},"logprobs":' + logprobs + b',"finish_reason":' + reason + self._tail

    def _delta(self, state: _State, delta: Delta) -> bytes:
        return self._bare(state, _encode(delta)[1:-1])

    def _enter(self, state: _State, block: int) -> bytes:
        """The end of the part before `block`, if it is another."""
        if block == state.block:
            return b""
        written = self._leave(state)
        state.block = block
        state.start += state.length
        state.length = 0
        return written

    def _leave(self, state: _State) -> bytes:
        written = b""
        if not state.arguments:
            state.arguments = True
            written = self._arguments_of(state, "{}")
        if state.custom is not None:
            custom, state.custom = state.custom, None
            written += self._input(state, custom.close())
        if state.opaque is not None:
            # In one piece, so that clients that only collect entries can send them back as they are.
            thought = replace(state.opaque, text="".join(state.thoughts))
            details = reasoning_details(thought, state.details)
            state.details += len(details)
            written += self._delta(state, Delta(reasoning_details=details))
            state.opaque = None
        state.thoughts.clear()
        return written

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        state = self._state(event.choice)
        written = self._enter(state, event.block)
        if event.signature is not None or event.encrypted is not None or event.id is not None:
            before = state.opaque or Reasoning()
            state.opaque = Reasoning(
                "",
                event.signature or before.signature,
                event.encrypted or before.encrypted,
                event.id or before.id,
                event.origin or before.origin,
            )
        if not event.text:
            return written
        state.thoughts.append(event.text)
        return written + self._bare(state, b'"reasoning_content":' + _encode(event.text))

    def _tool_started(self, event: ToolStarted) -> bytes:
        state = self._state(event.choice)
        written = self._enter(state, event.block)
        index, state.calls = state.calls, state.calls + 1
        content = UNSET if state.begun else None
        if event.name in self._custom:
            state.custom = InputReader()
            begun = ToolCall(event.id, "custom", custom=CalledCustom(event.name), index=index)
            return written + self._delta(state, Delta(content, [begun]))
        state.arguments = False
        function = FunctionDelta("", event.name)
        if self._legacy:
            return written + self._delta(state, Delta(content, function_call=function))
        extra = extra_content(event.signature, event.origin)
        call = ToolCallDelta(index, function, event.id, "function", extra)
        return written + self._delta(state, Delta(content, [call]))

    def _arguments(self, event: ToolArguments) -> bytes:
        state = self._state(event.choice)
        if state.custom is not None:
            return self._input(state, state.custom.feed(event.json))
        if event.json:
            state.arguments = True
        return self._arguments_of(state, event.json) if event.json else b""

    def _arguments_of(self, state: _State, json: str) -> bytes:
        text = _encode(json)
        if self._legacy:
            return self._bare(state, b'"function_call":{"arguments":%b}' % text)
        return self._bare(state, b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (state.calls - 1, text))

    def _input(self, state: _State, text: str) -> bytes:
        """More of the input of a custom tool's call."""
        if not text:
            return b""
        return self._bare(
            state, b'"tool_calls":[{"index":%d,"custom":{"input":%b}}]' % (state.calls - 1, _encode(text))
        )

    def _refusal(self, event: RefusalDelta) -> bytes:
        state = self._state(event.choice)
        written = self._enter(state, event.block)
        state.refused = True
        return written + self._delta(state, Delta(refusal=event.text))

    def _citation(self, event: CitationAdded) -> bytes:
        state = self._state(event.choice)
        written = self._enter(state, event.block)
        annotations, quoted = sources((event.citation,), state.start, state.length)
        annotations = [replace(each, index=state.annotations + at) for at, each in enumerate(annotations)]
        quoted = [replace(each, index=state.quoted + at) for at, each in enumerate(quoted)]
        state.annotations += len(annotations)
        state.quoted += len(quoted)
        return written + self._delta(state, Delta(annotations=annotations or UNSET, citations=quoted or UNSET))

    def _whole(self, event: WholePart) -> bytes:
        state = self._state(event.choice)
        written = self._enter(state, event.block)
        if isinstance(event.part, Image):
            image = replace(image_part(event.part), index=state.images)
            state.images += 1
            return written + self._delta(state, Delta(images=[image]))
        if isinstance(event.part, Audio):
            return written + self._delta(state, Delta(audio=audio_body(event.part)))
        return written

    def _finished(self, event: Finished) -> bytes:
        state = self._state(event.choice)
        written = self._leave(state)
        reason = finish_reason(event.reason, refused=state.refused, legacy=self._legacy)
        return written + self._bare(state, b"", reason=_encode(reason))

    def _reported(self, event: UsageReported) -> bytes:
        self._usage = event.usage
        return b""


def _logprobs(event: Logprobs) -> bytes:
    return _encode(LogprobsBody(event.entries))


_WRITERS: Final[dict[type, Callable[..., bytes]]] = {
    Started: ChatStream._started,
    ReasoningDelta: ChatStream._reasoning,
    ToolStarted: ChatStream._tool_started,
    ToolArguments: ChatStream._arguments,
    RefusalDelta: ChatStream._refusal,
    CitationAdded: ChatStream._citation,
    WholePart: ChatStream._whole,
    Finished: ChatStream._finished,
    UsageReported: ChatStream._reported,
}
