"""One answer put together from an OpenAI stream, for clients that want it in one piece."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from weebill.providers.base import Answer, ByteStream
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.openai_chat import LogprobsReport
from weebill.wire.reply import Usage
from weebill.wire.requests import ChatRequest
from weebill.wire.sse import DONE, event_data


class _FunctionDelta(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _ToolCallDelta(msgspec.Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _FunctionDelta = _FunctionDelta()


class _Delta(msgspec.Struct, frozen=True):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCallDelta] | None = None


class _ChunkChoice(msgspec.Struct, frozen=True):
    """A choice of a chunk; `delta` is of chat, `text` of completions; `stop_reason` is the word that ended it."""

    index: int = 0
    delta: _Delta = _Delta()
    text: str = ""
    logprobs: LogprobsReport | None = None
    finish_reason: str | None = None
    stop_reason: str | None = None


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_ChunkChoice] = []


class _Function(msgspec.Struct):
    name: str = ""
    arguments: str = ""


class _ToolCall(msgspec.Struct):
    id: str
    type: str
    function: _Function


class _AnswerMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | None
    tool_calls: list[_ToolCall] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class _AnswerChoice(msgspec.Struct, frozen=True):
    index: int
    logprobs: LogprobsReport | None
    finish_reason: str | None
    message: _AnswerMessage | UnsetType = UNSET
    text: str | UnsetType = UNSET
    stop_reason: str | UnsetType = UNSET


class _Stopped(msgspec.Struct, frozen=True):
    """The members in which llama.cpp tells more of how a choice ended."""

    stopping_word: str = ""


decode_chunk = msgspec.json.Decoder(_Chunk).decode
decode_stopped = msgspec.json.Decoder(_Stopped).decode


class _Parts:
    """The answer of one choice so far."""

    def __init__(self) -> None:
        self.role = "assistant"
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, _ToolCall] = {}
        self.logprobs: list[Raw] | None = None
        self.finish_reason: str | None = None
        self.stop_reason: str | UnsetType = UNSET

    def add(self, choice: _ChunkChoice) -> None:
        self.role = choice.delta.role or self.role
        self.content.append(choice.delta.content or choice.text)
        self.reasoning.append(choice.delta.reasoning_content or "")
        for piece in choice.delta.tool_calls or ():
            call = self.calls.setdefault(piece.index, _ToolCall("", "function", _Function()))
            call.id = piece.id or call.id
            call.function.name += piece.function.name or ""
            call.function.arguments += piece.function.arguments or ""
        if choice.logprobs is not None and choice.logprobs.content is not None:
            self.logprobs = self.logprobs or []
            self.logprobs += choice.logprobs.content
        self.finish_reason = choice.finish_reason or self.finish_reason
        self.stop_reason = choice.stop_reason or self.stop_reason

    def choice(self, index: int, chat: bool) -> _AnswerChoice:
        content, reasoning = "".join(self.content), "".join(self.reasoning)
        logprobs = None if self.logprobs is None else LogprobsReport(self.logprobs)
        if not chat:
            return _AnswerChoice(index, logprobs, self.finish_reason, text=content)
        calls = [self.calls[index] for index in sorted(self.calls)]
        message = _AnswerMessage(self.role, content or (None if calls else ""), calls or UNSET, reasoning or UNSET)
        return _AnswerChoice(index, logprobs, self.finish_reason, message=message, stop_reason=self.stop_reason)


class CollectedAnswer:
    """An `AnswerCollector` over the relay of the same dialect, so that both ways say the same."""

    def __init__(self, call: Call, relay: ByteStream) -> None:
        self._chat = isinstance(call.request, ChatRequest)
        self._relay = relay
        self._fields: Json = {}
        self._parts: dict[int, _Parts] = {}

    @property
    def usage(self) -> Usage:
        return self._relay.usage

    @property
    def error(self) -> UpstreamFailure | None:
        return self._relay.error

    @property
    def owed_s(self) -> float:
        return self._relay.owed_s

    def feed(self, data: bytes) -> None:
        """Take in a piece of the stream."""
        self._take(self._relay.feed(data))

    def finish(self) -> Answer:
        """The answer in OpenAI's form, with the usage of all of it."""
        self._take(self._relay.finish().removesuffix(DONE))
        usage = self._relay.usage
        body = msgspec.json.encode(
            {
                **self._fields,
                "object": "chat.completion" if self._chat else "text_completion",
                "choices": [self._parts[index].choice(index, self._chat) for index in sorted(self._parts)],
                "usage": {
                    "prompt_tokens": usage.prompt_tokens,
                    "completion_tokens": usage.completion_tokens,
                    "total_tokens": usage.prompt_tokens + usage.completion_tokens,
                    "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
                },
            }
        )
        return Answer(body, usage)

    def _take(self, events: bytes) -> None:
        for block in events.split(b"\n\n"):
            try:
                data = event_data(block)
                chunk = decode_chunk(data)
                self._fields = self._fields or decode_object(data)
            except UNREADABLE:  # a comment
                continue
            for choice in chunk.choices:
                self._parts.setdefault(choice.index, _Parts()).add(choice)
