"""Anthropic's answers and errors in canonical form.

Blocks of tools that Anthropic runs itself (`HIDDEN`) are passed over and named: what came of them is in the text and
its citations, and only Anthropic could do anything with them. Of any other block that is not known the text is kept,
and of the hidden ones where there is nothing else.

Source: https://platform.claude.com/docs/en/api/messages and .../api/errors
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.anthropic.encode import JSON_TOOL
from weebill.providers.error_bodies import said_in
from weebill.providers.failures import failure_of
from weebill.providers.signs import Sign
from weebill.wire.anthropic import ERROR_STATUS, ORIGIN, STOP_REASONS, StopDetails, citation
from weebill.wire.anthropic_text import readable
from weebill.wire.anthropic_usage import UsageReport
from weebill.wire.arguments import NO_ARGUMENTS, as_text
from weebill.wire.conversation import Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.json_values import decode_list, decode_text
from weebill.wire.lenient import reader
from weebill.wire.reply import Choice, FinishReason, Reply, Usage

HIDDEN: Final = frozenset(
    {"server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
     "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
     "mcp_tool_use", "mcp_tool_result", "advisor_tool_result", "compaction", "fallback"}
)  # fmt: skip
_KNOWN: Final = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})

_NONE: Final = Raw()


class UpstreamError(Struct, frozen=True):
    """The inner object of an error; `type` is one of Anthropic's words, or of who speaks its dialect."""

    type: str | None = None
    message: str | None = None


class Block(Struct, frozen=True):
    """A block of an answer, whatever its type."""

    type: str = ""
    text: str | None = None
    citations: list[Raw] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    # Not `Raw | None`, which takes nothing but null.
    input: Raw = _NONE


class Message(Struct, frozen=True):
    """An answer; in a stream's first event one that has no content yet."""

    type: str = "message"
    id: str = ""
    model: str = ""
    content: Raw = _NONE
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: UsageReport | None = None
    error: UpstreamError | str | None = None


_decode_message = reader(Message)
# What its types mean besides their statuses. Source: https://platform.claude.com/docs/en/api/errors
_SIGNS: Final = (
    Sign("quota", "key", codes=frozenset({"billing_error"})),
    Sign("not_found", "model", frozenset({404}), frozenset({"model_not_found"})),
    # Where the request comes from; not in the documentation, but https://github.com/anthropics/claude-code/issues/1613.
    Sign("forbidden", "model", frozenset({403}), frozenset({"forbidden"})),
)
read_block = reader(Block)
_format = msgspec.json.format
CONTENT: Final = (b"[", b"{", b'"')
_NO_INPUT: Final = frozenset({b"", b"null", b"{}", b'""'})


def decode(body: bytes) -> Reply:
    """The answer in a whole body. Raises UpstreamFailure if it holds an error, or is no answer."""
    message = read_message(body)
    parts: list[Part] = []
    passed: dict[str, None] = {}
    hidden: list[str] = []
    for raw in blocks_of(message.content):
        try:
            block = read_block(raw)
        except UNREADABLE:
            continue  # No block is anything but an object.
        part = _part(block, raw)
        if part is not None:
            parts.append(part)
        if block.type not in _KNOWN:
            passed[block.type] = None
            hidden += [text] if part is None and (text := readable(raw)) else ()
    called = any(isinstance(part, ToolUse) for part in parts)
    reason = finish_reason(message.stop_reason, message.stop_details, called=called)
    refusal = explanation(message.stop_details)
    if refusal is not None:
        parts.append(refusal)
    if hidden and not parts:
        parts.append(Text("\n".join(hidden)))
    usage = message.usage.usage() if message.usage is not None else Usage()
    choice = Choice(tuple(parts), reason, message.stop_sequence)
    return Reply(message.id, message.model, (choice,), usage, dropped=tuple(passed))


def read_message(body: bytes) -> Message:
    """The message in a whole body. Raises UpstreamFailure if it holds an error, 502 if it is no message."""
    try:
        message = _decode_message(body)
    except UNREADABLE as error:
        raise invalid(f"is not a message: {error}") from error
    if message.error is not None:
        raise stream_error(message.error)
    if bytes(message.content)[:1] not in CONTENT:
        raise invalid("is not a message: it has no content")
    return message


def blocks_of(content: Raw) -> list[Raw]:
    """The blocks of a message's content; some servers give one alone, or text for blocks of text."""
    data = bytes(content)
    if data[:1] not in CONTENT:
        return []
    blocks = decode_list(content) if data.startswith(b"[") else [content]
    return [_text_block(raw) if bytes(raw).startswith(b'"') else raw for raw in blocks]


def _text_block(text: Raw) -> Raw:
    return Raw(b'{"type":"text","text":%b}' % bytes(text))


def invalid(why: str) -> UpstreamFailure:
    """The error for an answer that is none; `why` follows "The upstream's answer"."""
    return invalid_answer(f"The upstream's answer {why}.")


def finish_reason(reason: str | None, details: StopDetails | None, *, called: bool) -> FinishReason:
    """The reason for an answer's end; `called` is whether the client's tools are called.

    A refusal that has the category of a policy was decided by a filter, not the model. Without calls of the client's,
    the one call was the answer itself; not every server says that there are some.
    """
    finish = STOP_REASONS.get(reason or "", "stop")
    if finish == "refusal" and details is not None and details.category is not None:
        return "content_filter"
    if finish == "tool_calls" and not called:
        return "stop"
    return "tool_calls" if finish == "stop" and called and reason != "stop_sequence" else finish


def explanation(details: StopDetails | None) -> Refusal | None:
    """The words about a refusal."""
    return Refusal(details.explanation) if details is not None and details.explanation else None


def compact(given: Raw) -> str:
    """A call's input as the text of its arguments; some servers give the text itself."""
    text = bytes(given)
    if text in _NO_INPUT:
        return NO_ARGUMENTS
    if text.startswith(b'"'):
        return decode_text(text) or NO_ARGUMENTS
    return as_text(_format(text, indent=-1))


def _part(block: Block, raw: Raw) -> Part | None:
    match block.type:
        case "text":
            cited = tuple(citation(raw) for raw in block.citations or ())
            return Text(block.text, citations=cited) if block.text else None
        case "tool_use":
            arguments = compact(block.input)
            if block.name == JSON_TOOL:
                return Text(arguments)
            return ToolUse(block.id or "", block.name or "", arguments)
        case "thinking":
            return Reasoning(block.thinking or "", signature=block.signature or None, origin=ORIGIN)
        case "redacted_thinking":
            return Reasoning(encrypted=block.data or "", origin=ORIGIN)
        case kind if kind in HIDDEN:
            return None
        case _:
            text = readable(raw)
            return Text(text) if text else None


# --- Errors.


def error(status: int, body: bytes, upstream: str) -> UpstreamFailure:
    """The failure that an answer with a status other than 200 means."""
    found = said_in(body)
    return _error(status, found.type, found.message, upstream)


def stream_error(said: UpstreamError | str) -> UpstreamFailure:
    """The failure that an error means inside a stream, or inside an answer with status 200."""
    if isinstance(said, str):
        return _error(200, None, said, "")
    return _error(ERROR_STATUS.get(said.type or "", 200), said.type, said.message, "")


def _error(status: int, kind: str | None, message: str | None, upstream: str) -> UpstreamFailure:
    said = message or ""
    code = "model_not_found" if kind == "not_found_error" and said.startswith("model:") else None
    param = _param(said) if status == 400 else None
    return failure_of(status, message, upstream, code=code, param=param, codes=(kind,), signs=_SIGNS)


def _param(message: str) -> str | None:
    """The field that a message begins with, as in "messages.0.content: ..." and "max_tokens: ..."."""
    field, colon, _ = message.partition(": ")
    plain = field.replace(".", "").replace("_", "")
    return field if colon and plain.isalnum() and plain.isascii() and field.islower() else None
