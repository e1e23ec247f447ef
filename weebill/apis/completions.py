"""OpenAI's Completions as an inbound API: a text to go on from is what a user says.

Source: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.apis.base import Api, StreamEncoder, Unsaid
from weebill.apis.chat.answer import FINISH_REASONS, own_id, usage_body
from weebill.apis.chat.answer_shapes import UsageBody
from weebill.wire import sse
from weebill.wire.body import decode_completion
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation, Conversation, Image, Refusal, Text, ToolUse, Turn
from weebill.wire.errors import ApiError
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json
from weebill.wire.openai_chat import HINTS
from weebill.wire.openai_logprobs import token_logprob
from weebill.wire.reply import (
    Choice,
    Event,
    Finished,
    Logprobs,
    RefusalDelta,
    Reply,
    Started,
    TextDelta,
    Usage,
    UsageReported,
)
from weebill.wire.requests import CompletionRequest

_encode = msgspec.json.encode
FIELDS: Final = {"turns": "prompt", "top_logprobs": "logprobs"}
# There are no tools here, nor a reason that would say so.
_REASONS: Final = {**FINISH_REASONS, "tool_calls": "stop"}
_FORMAT_FIELDS: Final = frozenset(
    {"model", "prompt", "stream", "stream_options", "n", "max_tokens", "temperature", "top_p", "presence_penalty"}
    | {"frequency_penalty", "stop", "seed", "logit_bias", "logprobs"}
)
_UNSAID: Final[Unsaid] = {Audio: "audio", Image: "images", ToolUse: "tool_calls", Citation: "citations"}


class _LogprobsBody(Struct, frozen=True):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class _Choice(Struct, frozen=True):
    text: str
    index: int
    logprobs: _LogprobsBody | None
    finish_reason: str | None


class _Completion(Struct, frozen=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[_Choice]
    usage: UsageBody


class Completions:
    """`POST /v1/completions`."""

    name = "completions"
    native = "openai.completions"
    headers: frozenset[bytes] = frozenset()
    unsaid: Unsaid = _UNSAID

    def decode(self, body: bytes, headers: Mapping[bytes, bytes], tail: str) -> Call:
        return decode_completion(body)

    def conversation(self, call: Call) -> Conversation:
        """One user turn. Raises ApiError 400 for prompts in tokens and for several."""
        request = call.request
        assert isinstance(request, CompletionRequest)  # noqa: S101 - what `decode` makes
        hints, extra = _rest(call.fields)
        return Conversation(
            turns=(Turn("user", (Text(_prompt(request)),)),),
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            presence_penalty=request.presence_penalty or None,
            frequency_penalty=request.frequency_penalty or None,
            stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ()),
            seed=request.seed,
            n=None if request.n == 1 else request.n,
            logprobs=None if request.logprobs is None else True,
            top_logprobs=request.logprobs,
            logit_bias=request.logit_bias or None,
            hints=hints,
            extra=extra,
        )

    def fields(self) -> Mapping[str, str]:
        return FIELDS

    def answer(self, call: Call, reply: Reply) -> bytes:
        body = _Completion(
            own_id(reply.id, "cmpl"),
            "text_completion",
            reply.created or int(time.time()),
            reply.model or call.model,
            [_choice(index, choice) for index, choice in enumerate(reply.choices)],
            usage_body(reply.usage),
        )
        return _encode(body)

    def stream_headers(self, call: Call) -> bytes:
        return sse.HEADERS

    def stream(self, call: Call) -> StreamEncoder:
        return CompletionStream(call)

    def error_body(self, error: ApiError) -> bytes:
        return error.body()

    def error_event(self, error: ApiError) -> bytes:
        return sse.error_event(error)


COMPLETIONS: Final[Api] = Completions()


def _prompt(request: CompletionRequest) -> str:
    prompt = request.prompt
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and isinstance(prompt[0], str):
        return prompt[0]
    what = "several prompts" if prompt and isinstance(prompt[0], str) else "prompts in tokens"
    message = f"This model does not support {what}: give one text."
    raise ApiError(400, message, code="unsupported_parameter", param="prompt")


def _rest(fields: Json) -> tuple[Json, Json]:
    """The hints, and what has no place in the canonical form."""
    hints: Json = {}
    extra: Json = {}
    for name, value in fields.items():
        if name in _FORMAT_FIELDS or asks_nothing(name, value):
            continue
        (hints if name in HINTS else extra)[name] = value
    return hints, extra


def _choice(index: int, choice: Choice) -> _Choice:
    text = "".join([part.text for part in choice.parts if isinstance(part, Text | Refusal)])
    logprobs = None if choice.logprobs is None else _logprobs(choice.logprobs, 0)
    return _Choice(text, index, logprobs, _REASONS[choice.finish])


def _logprobs(entries: tuple[Raw, ...], offset: int) -> _LogprobsBody:
    """Chat's entries in the old form; the first token begins at `offset` in the text."""
    tokens = [token_logprob(entry) for entry in entries]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return _LogprobsBody(
        [token.token for token in tokens],
        [token.logprob for token in tokens],
        [{each.token: each.logprob for each in token.top_logprobs} for token in tokens],
        offsets,
    )


class CompletionStream:
    """A `StreamEncoder`."""

    def __init__(self, call: Call) -> None:
        self._model = call.model
        self._wants_usage = call.wants_usage
        self._tail = b'],"usage":null}\n\n' if call.wants_usage else b"]}\n\n"
        self._head = b""
        self._offsets: dict[int, int] = {}
        self._usage: Usage | None = None

    def feed(self, events: list[Event]) -> bytes:
        """The chunks for `events`; of what has no place in a text, nothing."""
        return b"".join([self._chunk(event) for event in events])

    def fail(self, error: ApiError) -> bytes:
        return sse.error_event(error)

    def finish(self) -> bytes:
        """The usage, where the client asked for it, and `[DONE]`."""
        if not self._wants_usage or self._usage is None:
            return sse.DONE
        return self._head + b'],"usage":' + _encode(usage_body(self._usage)) + b"}\n\n" + sse.DONE

    def _chunk(self, event: Event) -> bytes:
        if not self._head and not isinstance(event, Started):
            self._begin(Started("", ""))
        if isinstance(event, TextDelta | RefusalDelta):
            return self._choice(_Choice(event.text, event.choice, None, None))
        if isinstance(event, Logprobs):
            offset = self._offsets.get(event.choice, 0)
            logprobs = _logprobs(event.entries, offset)
            self._offsets[event.choice] = offset + sum(map(len, logprobs.tokens))
            return self._choice(_Choice("", event.choice, logprobs, None))
        if isinstance(event, Finished):
            return self._choice(_Choice("", event.choice, None, _REASONS[event.reason]))
        if isinstance(event, UsageReported):
            self._usage = event.usage
        elif isinstance(event, Started):
            self._begin(event)
        return b""

    def _begin(self, event: Started) -> None:
        """Write what all chunks begin with, once."""
        if not self._head:
            self._head = b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,"choices":[' % (
                _encode(own_id(event.id, "cmpl")),
                event.created or int(time.time()),
                _encode(event.model or self._model),
            )

    def _choice(self, choice: _Choice) -> bytes:
        return self._head + _encode(choice) + self._tail
