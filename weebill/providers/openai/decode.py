"""Whole answers of Chat Completions in canonical form, and the words for why they ended.

Tolerant: what a provider adds is passed over, what it leaves out is made up for.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.openai.errors import NO_ERROR, inner_error, is_error
from weebill.providers.openai.messages import FAMILY, UNKNOWN_FORMAT
from weebill.wire.conversation import Audio, Citation, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.custom_input import wrapped
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import Failure, UpstreamFailure, invalid_answer
from weebill.wire.lenient import leniently
from weebill.wire.openai_chat import (
    Annotation,
    ExtraContent,
    ImagePart,
    LogprobsReport,
    ReasoningDetail,
    UsageReport,
    audio_format,
    citation_of,
    image_of,
    reasoning_of,
)
from weebill.wire.openai_chat_request import AudioReference
from weebill.wire.openai_usage import usage_of
from weebill.wire.reply import ONE_OF_THEM, Choice, FinishReason, Reply, Usage

_STOPPED: Final = "stop_sequence"
# Every provider's words for why an answer ended, in lower case. What is not here is taken for a plain end.
# Sources: https://api-docs.deepseek.com/api/create-chat-completion, https://docs.mistral.ai/api,
# https://docs.together.ai/reference/chat-completions, https://docs.bigmodel.cn/api-reference, https://docs.vllm.ai
FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    _STOPPED: "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "insufficient_system_resource": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "sensitive": "content_filter",
    "refusal": "refusal",
    "pause_turn": "pause",
}
# Those that say that the provider failed, and the answer is none.
FAILURES: Final = frozenset({"error", "network_error", "abort"})
# What models write that call a tool without arguments.
_NO_ARGUMENTS: Final = frozenset({"", "{}", "null"})


class Function(Struct, frozen=True):
    """`function` of a tool call, whole or a piece; some providers give the arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Raw] | list[Raw] | None = None

    def text(self) -> str:
        """The arguments' JSON text, "" if there are none."""
        if self.arguments is None or isinstance(self.arguments, str):
            return self.arguments or ""
        return msgspec.json.encode(self.arguments).decode()


NO_FUNCTION: Final = Function()


class Custom(Struct, frozen=True):
    """`custom` of a tool call, whole or a piece."""

    name: str | None = None
    input: str | None = None


class ToolCall(Struct, frozen=True):
    """An entry of `tool_calls`, whole or a piece; in streams some providers leave out `index`, some `id`."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: ExtraContent | None = None
    # Without `function`, from some servers.
    name: str | None = None
    arguments: str | dict[str, Raw] | list[Raw] | None = None

    def called(self) -> Function:
        """The function, or a piece of it: in its own member, or without one."""
        if self.function is not None:
            return self.function
        return Function(self.name, self.arguments) if self.is_flat() else NO_FUNCTION

    def is_flat(self) -> bool:
        """Tells whether name and arguments stand where the function should."""
        return self.function is None and (self.name is not None or self.arguments is not None)

    def custom_call(self) -> Custom | None:
        """The call of a custom tool that this is; an object of empty texts beside `function` is none."""
        custom = self.custom
        return custom if custom is not None and (self.function is None or custom.name or custom.input) else None


class _Piece(Struct, frozen=True):
    """A piece of content as Mistral gives it: text, or `thinking` made of texts."""

    type: str = "text"
    text: str | None = None
    thinking: list[_Piece] | None = None


class Message(Struct, frozen=True):
    """The message of a choice, `message` or `delta`."""

    content: str | list[_Piece | str | float] | _Piece | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    # From some servers, one that is in no list.
    tool_calls: list[ToolCall] | ToolCall | None = None
    function_call: Function | None = None
    annotations: list[Annotation] | None = None
    images: list[ImagePart] | None = None
    audio: AudioReference | None = None

    def texts(self) -> tuple[str, str]:
        """The text, and the reasoning before it."""
        thought = self.reasoning_content or self.reasoning or ""
        if self.content is None or isinstance(self.content, str):
            return self.content or "", thought
        given = [self.content] if isinstance(self.content, _Piece) else self.content
        pieces = [
            _Piece(text=piece) if isinstance(piece, str) else piece for piece in given if not isinstance(piece, float)
        ]
        said = "".join([piece.text or "" for piece in pieces if piece.thinking is None])
        return said, thought + "".join([inner.text or "" for piece in pieces for inner in piece.thinking or ()])

    def says_anything(self) -> bool:
        """Tells whether there is more in it than calls and sound."""
        return bool(
            self.content
            or self.refusal
            or self.reasoning_content
            or self.reasoning
            or self.reasoning_details
            or self.annotations
            or self.images
        )

    def calls(self) -> Sequence[ToolCall]:
        """The tool calls, or an old function call; an object of empty texts is none."""
        called = self.function_call
        if called is not None and (called.name or called.arguments):
            return [ToolCall(0, function=called)]
        if isinstance(self.tool_calls, ToolCall):
            return [self.tool_calls]
        return self.tool_calls or ()


class SearchResult(Struct, frozen=True):
    """An entry of Perplexity's `search_results`: a source of the whole answer."""

    url: str | None = None
    title: str | None = None

    def citation(self) -> Citation:
        """The same as a citation."""
        return Citation(self.url, self.title)


class _Choice(Struct, frozen=True):
    index: int | None = None
    message: Message | None = None
    # Where some servers put what they say.
    delta: Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: LogprobsReport | None = None
    error: Raw = NO_ERROR

    def said(self) -> Message:
        """The message, wherever it is."""
        return self.message or self.delta or Message(self.text)


class _Completion(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: UsageReport | None = None
    search_results: list[SearchResult] | None = None
    error: Raw = NO_ERROR


_decode = msgspec.json.Decoder(_Completion).decode


def decode(body: bytes) -> Reply:
    """The answer in a whole body. Raises UpstreamFailure if it holds an error, or is no answer."""
    try:
        completion = _decode(body)
    except UNREADABLE:
        try:
            completion = leniently(body, _Completion)
        except UNREADABLE as error:
            raise not_a_completion(str(error)) from error
        if not any(each.finish_reason or each.said() != Message() for each in completion.choices or ()):
            raise not_a_completion("its choices say nothing") from None
    if is_error(completion.error):
        raise inner_error(completion.error)
    if not completion.choices:
        raise not_a_completion("it has no choices")
    identity = completion.id or ""
    choices = sorted(completion.choices, key=lambda choice: choice.index or 0)
    usage = usage_of(completion.usage) if completion.usage else Usage()
    found = tuple([result.citation() for result in completion.search_results or ()])
    return Reply(
        identity,
        completion.model or "",
        tuple([_choice(choice, identity, found) for choice in choices]),
        usage,
        int(completion.created or 0),
    )


def not_a_completion(reason: str) -> UpstreamFailure:
    """The error for what an upstream sent instead of an answer."""
    return invalid_answer(f"The upstream's answer is not a completion: {reason}.")


def stopped_by(word: str, sequence: object) -> str | None:
    """The stop sequence that ended an answer, as vLLM says it; others say at most that it was one."""
    if isinstance(sequence, str) and sequence:
        return sequence
    return ONE_OF_THEM if word.lower() == _STOPPED else None


def finish_reason(word: str, *, called: bool, refused: bool) -> FinishReason:
    """The reason for a choice's end. Raises UpstreamFailure where the word says that the provider failed.

    `called` and `refused` say what it holds: some providers say "stop" after tool calls, as OpenAI after a refusal.
    """
    word = word.lower()
    if word in FAILURES:
        raise UpstreamFailure(Failure("server", "model"), f"The upstream ended the answer with '{word}'.")
    reason = FINISH_REASONS.get(word, "stop")
    if reason == "stop":
        return "tool_calls" if called else "refusal" if refused else "stop"
    return reason


def call_id(answer: str, choice: int, number: int) -> str:
    """The id of a call whose provider gave it none, made of the answer's so that the same bytes give the same."""
    return f"call_{answer.rpartition('-')[2] or 'answer'}_{choice}_{number}"


def joined_base64(pieces: list[str]) -> str:
    """Pieces of base64, each complete in itself, as one. Raises UpstreamFailure if one is none."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join([base64.b64decode(piece) for piece in pieces])).decode()
    except ValueError as error:
        raise not_a_completion(f"its audio is not base64: {error}") from error


def citations(annotations: list[Annotation] | None) -> tuple[Citation, ...]:
    """The citations among `annotations`."""
    return tuple([cited for each in annotations or () if (cited := citation_of(each)) is not None])


def _choice(choice: _Choice, answer: str, found: tuple[Citation, ...]) -> Choice:
    if is_error(choice.error):
        raise inner_error(choice.error)
    message, index = choice.said(), choice.index or 0
    parts: list[Part] = []
    text, thought = message.texts()
    if message.reasoning_details:
        parts += reasoning_of(message.reasoning_details, UNKNOWN_FORMAT)
    elif thought:
        parts.append(Reasoning(thought, origin=FAMILY))
    if text:
        parts.append(Text(text, citations=citations(message.annotations) + found))
    parts += [image_of(image.image_url) for image in message.images or ()]
    if message.audio is not None and message.audio.is_there():
        data = message.audio.data or ""
        parts.append(Audio(data, audio_format(data), message.audio.transcript, message.audio.id))
    calls = [use for at, call in enumerate(message.calls()) if (use := _tool_use(call, call_id(answer, index, at)))]
    parts += calls
    if message.refusal:
        parts.append(Refusal(message.refusal))
    reason = finish_reason(choice.finish_reason or "", called=bool(calls), refused=bool(message.refusal))
    ended_by = stopped_by(choice.finish_reason or "", choice.stop_reason)
    entries = choice.logprobs.content if choice.logprobs else None
    return Choice(tuple(parts), reason, ended_by, None if entries is None else tuple(entries))


def _tool_use(call: ToolCall, default_id: str) -> ToolUse | None:
    """The call; None for one of nothing."""
    identity = call.id or default_id
    custom = call.custom_call()
    if custom is not None:
        return ToolUse(identity, custom.name or "", wrapped(custom.input or ""))
    function = call.called()
    arguments = function.text()
    if arguments.strip() in _NO_ARGUMENTS:
        arguments = "{}"
        if not function.name:
            return None
    signature, origin = signature_of(call)
    return ToolUse(identity, function.name or "", arguments, signature, origin)


def signature_of(call: ToolCall) -> tuple[str | None, str]:
    """A call's signature and its origin."""
    google = call.extra_content.google if call.extra_content else None
    if google is None or google.thought_signature is None:
        return None, ""
    return google.thought_signature, FAMILY
