"""Answers as Anthropic's clients get them: whole messages.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw

from weebill.apis.anthropic.answer_shapes import AnswerBlock, AnswerMessage, MediaBlock, Stop
from weebill.wire.anthropic import (
    Base64Source,
    Opaque,
    RedactedThinkingBlock,
    StopDetails,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    UrlSource,
    citation_written,
)
from weebill.wire.anthropic_usage import UsageReport
from weebill.wire.arguments import as_object
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation, Image, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import UNREADABLE
from weebill.wire.reply import ONE_OF_THEM, FinishReason, Reply

_encode = msgspec.json.encode
_decode_texts: Final = msgspec.json.Decoder(list[str]).decode
_MESSAGE_ID: Final = "msg_"

_STOP_REASONS: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_FILTERED: Final = StopDetails("refusal", explanation="The provider's content filter stopped this answer.")


def answer(call: Call, reply: Reply) -> bytes:
    """The body for a complete answer."""
    choice = reply.choices[0]
    blocks = [block for part in choice.parts for block in _blocks(part)]
    ended = stop(call, choice.finish, choice.stop_sequence, any(isinstance(part, Refusal) for part in choice.parts))
    return _encode(
        AnswerMessage(
            message_id(reply.id),
            "assistant",
            reply.model or call.model,
            blocks,
            ended.stop_reason,
            ended.stop_sequence,
            UsageReport.of(reply.usage),
            ended.stop_details,
        )
    )


def message_id(given: str) -> str:
    """The upstream's own if it has the shape of this API's, else one of ours."""
    return given if given.startswith(_MESSAGE_ID) else f"{_MESSAGE_ID}{secrets.token_hex(12)}"


def tool_id(given: str) -> str:
    """The upstream's own, or one of ours where it has none."""
    return given or f"toolu_{secrets.token_hex(12)}"


def stop(call: Call, reason: FinishReason, sequence: str | None, refused: bool) -> Stop:
    """The reason for an answer's end, in Anthropic's words; `refused` is whether it holds a refusal."""
    if sequence == ONE_OF_THEM:
        sequence = _only_sequence(call)
    if refused:
        return Stop("refusal", None)
    if reason == "content_filter":
        return Stop("refusal", None, _FILTERED)
    if reason == "stop" and sequence is not None:
        return Stop("stop_sequence", sequence)
    return Stop(_STOP_REASONS[reason], None)


def _only_sequence(call: Call) -> str | None:
    """The stop sequence that was asked for, if it was one."""
    try:
        asked = _decode_texts(call.fields.get("stop_sequences", b"[]"))
    except UNREADABLE:
        return None
    return asked[0] if len(asked) == 1 else None


def reasoning_signature(signature: str | None, encrypted: str | None, item: str | None, origin: str) -> str:
    """The signature of a thinking block, in which other origins' opaque things travel as well."""
    if encrypted is not None:
        return Opaque(encrypted, origin, "encrypted", item).written()
    return Opaque(signature or "", origin, id=item).written()


def tool_signature(signature: str, origin: str) -> RedactedThinkingBlock:
    """The block that keeps a tool call's signature; it goes just before the call."""
    return RedactedThinkingBlock(Opaque(signature, origin, "tool").written())


def media_block(part: Part) -> MediaBlock | None:
    """The block for an image."""
    match part:
        case Image(data=str(data)):
            return MediaBlock("image", Base64Source(part.media_type or "image/png", data))
        case Image(url=str(url)):
            return MediaBlock("image", UrlSource(url))
    return None


def citations(cited: tuple[Citation, ...]) -> list[Raw] | None:
    return [citation_written(citation) for citation in cited] or None


def _blocks(part: Part) -> Iterator[AnswerBlock]:
    match part:
        case Text(text) | Refusal(text):
            if text:
                yield TextBlock(text, citations(part.citations) if isinstance(part, Text) else None)
        case Reasoning():
            if not part.text and part.encrypted is not None:
                yield RedactedThinkingBlock(Opaque(part.encrypted, part.origin, id=part.id).written())
            elif part.text or part.signature is not None:
                signature = reasoning_signature(part.signature, part.encrypted, part.id, part.origin)
                yield ThinkingBlock(part.text, signature)
        case ToolUse():
            if part.signature is not None:
                yield tool_signature(part.signature, part.origin)
            yield ToolUseBlock(tool_id(part.id), part.name, as_object(part.arguments))
        case Audio():
            # No block of an answer holds sound: what is said in it is told.
            if part.transcript:
                yield TextBlock(part.transcript)
        case _:
            media = media_block(part)
            if media is not None:
                yield media
