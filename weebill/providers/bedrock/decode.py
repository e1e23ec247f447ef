"""Answers in the format of Bedrock's Converse API, whole, and what its answers and streams share.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_ResponseSyntax
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.bedrock.encode import FAMILY
from weebill.providers.bedrock.models import JSON_TOOL
from weebill.providers.error_bodies import said_in
from weebill.providers.failures import failure_of
from weebill.providers.signs import Sign
from weebill.wire.anthropic_text import readable
from weebill.wire.arguments import NO_ARGUMENTS, as_text
from weebill.wire.conversation import Citation, Image, Part, Reasoning, Text, ToolUse
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.json_values import decode_object, decode_text
from weebill.wire.lenient import reader
from weebill.wire.reply import ONE_OF_THEM, Choice, FinishReason, Reply, Usage

_STOPPED: Final = "stop_sequence"
_FINISHES: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    _STOPPED: "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# Reasons that leave no answer: what the model said cannot be read.
_FAILURES: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
# Of exceptions, by their names in a stream. Those that are the model's own fault are Bedrock's 424.
_STATUSES: Final = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 408,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
_MODEL_FAILED: Final = 424
# Source: https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
_SIGNS: Final = (Sign("quota", "model", frozenset({429}), words=("too many tokens per day",)),)
_NONE: Final = Raw()
_NO_INPUT: Final = frozenset({b"", b"null", b"{}", b'""'})
SERVER_TOOL: Final = "server_tool_use"
# The members of a block that say something; another is passed over and named.
_KNOWN: Final = frozenset({"text", "toolUse", "reasoningContent", "citationsContent", "image"})
_LONG: Final = "1h"
_format: Final = msgspec.json.format


class CacheDetail(Struct, frozen=True, rename="camel"):
    """The tokens that were written to the cache, to be kept for as long as `ttl`: "5m" or "1h"."""

    input_tokens: int | None = None
    ttl: str | None = None


class TokenUsage(Struct, frozen=True, rename="camel"):
    """`inputTokens` are those that came neither from the cache nor into it.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: tuple[CacheDetail, ...] | None = None

    def usage(self) -> Usage:
        """The report as usage."""
        read, written = self.cache_read_input_tokens or 0, self.cache_write_input_tokens or 0
        prompt = (self.input_tokens or 0) + read + written
        long = sum(each.input_tokens or 0 for each in self.cache_details or () if each.ttl == _LONG)
        return Usage.reported(prompt, self.output_tokens or 0, cached=read, cache_write=written, long_write=long)


class ModelFields(Struct, frozen=True):
    """The fields that were asked for of the model's own answer."""

    stop_sequence: str | None = None


class _ReasoningText(Struct, frozen=True):
    text: str = ""
    signature: str | None = None


class _ReasoningContent(Struct, frozen=True, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class ToolUseBlock(Struct, frozen=True, rename="camel"):
    """A call, whole or as it begins; `type` is SERVER_TOOL for one that Bedrock answers itself."""

    tool_use_id: str = ""
    name: str = ""
    type: str = ""
    # Not `Raw | None`, which takes nothing but null.
    input: Raw = _NONE


class ImageSource(Struct, frozen=True):
    """`bytes` is base64."""

    bytes: str | None = None


class _ImageBlock(Struct, frozen=True):
    format: str = "png"
    source: ImageSource | None = None


class _TextPiece(Struct, frozen=True):
    text: str = ""


class _CitationsContent(Struct, frozen=True):
    content: list[_TextPiece] = []
    citations: list[Raw] = []


class _Block(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: ToolUseBlock | None = None
    reasoning_content: _ReasoningContent | None = None
    citations_content: _CitationsContent | None = None
    image: _ImageBlock | None = None


class _Message(Struct, frozen=True):
    content: list[Raw] = []


class _Output(Struct, frozen=True):
    message: _Message = _Message()


class _Converse(Struct, frozen=True, rename="camel"):
    output: _Output | None = None
    stop_reason: str | None = None
    usage: TokenUsage | None = None
    additional_model_response_fields: ModelFields | None = None
    message: str | None = None


class _Web(Struct, frozen=True):
    url: str | None = None


class _Location(Struct, frozen=True):
    web: _Web | None = None


class _Citation(Struct, frozen=True, rename="camel"):
    title: str | None = None
    source_content: list[_TextPiece] | None = None
    location: _Location | None = None


_decode_answer: Final = reader(_Converse)
_decode_block: Final = reader(_Block)
_decode_citation: Final = reader(_Citation)


def decode_reply(body: bytes) -> Reply:
    """The answer in a whole body. Raises UpstreamFailure for an error in it, or if it is no answer."""
    try:
        answer = _decode_answer(body)
    except UNREADABLE as error:
        raise not_an_answer(str(error)) from error
    if answer.output is None:
        raise failure_of(200, answer.message, "") if answer.message else not_an_answer("it has no output")
    parts: list[Part] = []
    passed: dict[str, None] = {}
    hidden: list[str] = []
    for raw in answer.output.message.content:
        try:
            block = _decode_block(raw)
        except UNREADABLE:
            continue  # No block is anything but an object.
        part = _part(block)
        if part is not None:
            parts.append(part)
        elif block.text is None:
            name = SERVER_TOOL if block.tool_use is not None else unknown(raw)
            passed[name] = None
            hidden += [text] if (text := readable(raw)) else ()
    if hidden and not parts:
        parts.append(Text("\n".join(hidden)))
    called = any(isinstance(part, ToolUse) for part in parts)
    fields = answer.additional_model_response_fields
    stop_sequence = stopped_by(answer.stop_reason, fields)
    finish = finish_of(answer.stop_reason, called)
    usage = answer.usage.usage() if answer.usage is not None else Usage()
    return Reply("", "", (Choice(tuple(parts), finish, stop_sequence),), usage, dropped=tuple(passed))


def unknown(raw: Raw) -> str:
    """The name of a block whose kind is not known."""
    names = [name for name in decode_object(raw) if name not in _KNOWN]
    return names[0] if names else "content"


def compact(given: Raw) -> str:
    """A call's input as the text of its arguments, whether it comes as an object or as text."""
    text = bytes(given)
    if text in _NO_INPUT:
        return NO_ARGUMENTS
    if text.startswith(b'"'):
        return decode_text(text)
    return as_text(_format(text, indent=-1))


def _part(block: _Block) -> Part | None:
    """The part that a block is; None for what is not for the client, such as results of Bedrock's own tools."""
    if block.text is not None:
        return Text(block.text) if block.text else None
    if block.tool_use is not None:
        used = block.tool_use
        if used.type == SERVER_TOOL:
            return None
        arguments = compact(used.input)
        return Text(arguments) if used.name == JSON_TOOL else ToolUse(used.tool_use_id, used.name, arguments)
    if block.reasoning_content is not None:
        thought = block.reasoning_content
        if thought.redacted_content is not None:
            return Reasoning(encrypted=thought.redacted_content, origin=FAMILY)
        text = thought.reasoning_text or _ReasoningText()
        return Reasoning(text.text, text.signature, origin=FAMILY)
    if block.citations_content is not None:
        cited = block.citations_content
        text_said = "".join([piece.text for piece in cited.content])
        return Text(text_said, citations=tuple([citation(raw) for raw in cited.citations]))
    if block.image is not None and block.image.source is not None:
        return image(block.image.format, block.image.source.bytes or "")
    return None


def image(form: str, data: str) -> Image:
    """An image that a model made; `data` is base64."""
    return Image(data=data, media_type=f"image/{form}")


def citation(raw: Raw) -> Citation:
    """A citation of the text it comes with."""
    cited = _decode_citation(raw)
    url = cited.location.web.url if cited.location is not None and cited.location.web is not None else None
    quoted = "".join([piece.text for piece in cited.source_content or ()])
    return Citation(
        url=url, title=cited.title, quote=quoted or None, origin=FAMILY, raw=Raw(_format(bytes(raw), indent=-1))
    )


def stopped_by(reason: str | None, fields: ModelFields | None) -> str | None:
    """The stop sequence that ended an answer; only Anthropic's models say which."""
    named = fields.stop_sequence if fields is not None else None
    return ONE_OF_THEM if named is None and reason == _STOPPED else named


def finish_of(reason: str | None, called: bool) -> FinishReason:
    """The reason for an answer's end; `called`: tools of the client's are. Raises UpstreamFailure for no use."""
    if reason in _FAILURES:
        raise invalid_answer(f"The model's answer cannot be read ({reason}).")
    finish = _FINISHES.get(reason or "", "stop")
    if finish == "tool_calls" and not called:
        return "stop"  # The tool that stands for the output's schema.
    return "tool_calls" if finish == "stop" and called and reason != _STOPPED else finish


def exception_error(name: str, payload: bytes) -> UpstreamFailure:
    """The failure that an exception means inside a stream, by its name."""
    return body_error(_STATUSES.get(name, 500), payload, "")


def body_error(status: int, body: bytes, upstream: str) -> UpstreamFailure:
    """The failure that an answer with a status other than 200 means."""
    # What the model does wrong is no fault of the client's.
    return failure_of(502 if status == _MODEL_FAILED else status, said_in(body).message, upstream, signs=_SIGNS)


def not_an_answer(why: str) -> UpstreamFailure:
    """For what an upstream sent instead of an answer."""
    return invalid_answer(f"The upstream's answer is not Bedrock's: {why}.")
