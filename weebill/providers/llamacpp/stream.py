"""The stream of llama.cpp's server as OpenAI's clients expect one."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.llamacpp.collected_answer import decode_chunk, decode_stopped
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_object, decode_objects
from weebill.wire.reply import Usage
from weebill.wire.requests import ChatRequest, CompletionRequest
from weebill.wire.sse import event, event_data

_END: Final = b"\n\n"
_PROGRESS: Final = b'"prompt_progress":'
# Longer than any event that says how far a prompt is read.
_MAX_PROGRESS: Final = 2048
_VERBOSE: Final = "__verbose"
_VERBOSE_MARK: Final = b'"__verbose":'
_encode: Final = msgspec.json.encode


class LlamaCppStream(OpenAIStream):
    """llama.cpp reports the usage of each choice, and of each prompt, in a chunk of its own.

    Which word ended a choice it says among what it tells for debugging; here it is the choice's `stop_reason`, as vLLM
    has it. Choices begin in their order, by which the SDKs put them together. How far the prompt is read, it tells
    only those who have asked for that.
    """

    __slots__ = ("_begin_of_event", "_order", "_stops", "_tells_progress")

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        request = call.request
        stop = request.stop if isinstance(request, ChatRequest) else None
        self._tells_progress = bytes(call.fields.get("return_progress", b"")) == b"true"
        self._begin_of_event = b""
        self._stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
        self._order = _Order() if isinstance(request, ChatRequest) and request.choices > 1 else None

    def feed(self, data: bytes) -> bytes:
        """As any relay's, with the word that ended a choice where it belongs."""
        if not self._tells_progress:
            data = self._without_progress(data)
        events = super().feed(data) if data else b""
        if self._stops and events.find(_VERBOSE_MARK) >= 0:
            events = b"".join([self._explained(block) for block in events.removesuffix(_END).split(_END)])
        if self._order is not None and events:
            events = b"".join([self._order.take(block) for block in events.removesuffix(_END).split(_END)])
        return events

    def finish(self) -> bytes:
        """As any relay's, after what waited for a choice that has never come."""
        rest, self._begin_of_event = self._begin_of_event, b""
        last = super().feed(rest) + super().finish() if rest else super().finish()
        return last if self._order is None else self._order.rest() + last

    def _without_progress(self, data: bytes) -> bytes:
        """The part of `data` to be read by now, without events that say how far a prompt is read."""
        if self._begin_of_event:
            data = self._begin_of_event + data
            self._begin_of_event = b""
        end = data.rfind(_END) + 2
        if end == 1:
            end = 0
        if 0 < len(data) - end <= _MAX_PROGRESS:
            self._begin_of_event = data[end:]
            data = data[:end]
        if data.find(_PROGRESS) < 0:
            return data
        blocks = data.split(_END)
        return _END.join([block for block in blocks if block.find(_PROGRESS) < 0])

    def _explained(self, block: bytes) -> bytes:
        if block.find(_VERBOSE_MARK) < 0:
            return block + _END
        fields = decode_object(event_data(block))
        word = decode_stopped(fields.pop(_VERBOSE)).stopping_word
        if word in self._stops:
            choices = [{**choice, "stop_reason": Raw(_encode(word))} for choice in decode_objects(fields["choices"])]
            fields["choices"] = Raw(_encode(choices))
        return event(_encode(fields))

    def _total(self, reported: Usage) -> Usage:
        before = self._reported or Usage(measured=True)
        # Choices share a prompt; several prompts do not.
        add = sum if _has_many_prompts(self._call) else max
        return Usage(
            add((before.prompt_tokens, reported.prompt_tokens)),
            add((before.cached_tokens, reported.cached_tokens)),
            before.completion_tokens + reported.completion_tokens,
            measured=True,
            reasoning_tokens=before.reasoning_tokens + reported.reasoning_tokens,
        )


class _Order:
    """Holds back the events of a choice until those before it have begun."""

    __slots__ = ("_begun", "_held")

    def __init__(self) -> None:
        self._begun = 0
        self._held: dict[int, list[bytes]] = {}

    def take(self, block: bytes) -> bytes:
        """The bytes to send once an event has come; `block` is without its closing blank line."""
        index = _index(block)
        if index < self._begun:
            return block + _END
        self._held.setdefault(index, []).append(block + _END)
        ready: list[bytes] = []
        while self._begun in self._held:
            ready += self._held.pop(self._begun)
            self._begun += 1
        return b"".join(ready)

    def rest(self) -> bytes:
        """The bytes that have been held back."""
        held, self._held = self._held, {}
        return b"".join([block for index in sorted(held) for block in held[index]])


def _index(block: bytes) -> int:
    """Of the choice that an event is of; -1 for all others."""
    try:
        choices = decode_chunk(event_data(block)).choices
    except UNREADABLE:  # a comment
        return -1
    return choices[0].index if choices else -1


def _has_many_prompts(call: Call) -> bool:
    prompt = call.request.prompt if isinstance(call.request, CompletionRequest) else ""
    return isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)
