"""Turns as the messages of Chat Completions.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat_create-messages
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from weebill.providers.base import Quirks, Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.given_images import shown_after
from weebill.providers.media import typed
from weebill.providers.openai.quirks import call_id
from weebill.providers.openai.request_shapes import Message, ThinkingPart, WrittenPart
from weebill.wire.anthropic import CacheControl, cache_control
from weebill.wire.conversation import (
    Audio,
    CacheMark,
    Document,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.openai_chat import (
    ExtraContent,
    File,
    GoogleExtra,
    ImagePart,
    ImageUrl,
    InputAudio,
    ReasoningDetail,
    file_data,
    image_url,
    reasoning_details,
)
from weebill.wire.openai_chat_request import (
    AudioPart,
    AudioReference,
    CalledFunction,
    FilePart,
    ImageUrlPart,
    TextPart,
    ToolCall,
)

FAMILY: Final = "openai"
UNKNOWN_FORMAT: Final = "unknown"


def messages(turns: Sequence[Turn], target: Target, fit: Fit) -> list[Message]:
    """The messages. Raises Unsupported."""
    quirks = target.quirks
    result: list[Message] = []
    for turn in shown_after(turns, (Text,)):
        if turn.role == "tool":
            result += [_tool_result(part, target) for part in turn.parts if isinstance(part, ToolResult)]
        elif turn.role == "assistant":
            result.append(_assistant(turn, target))
        else:
            role = "system" if turn.role == "developer" and not quirks.developer else turn.role
            result.append(Message(role, _content(turn.parts, quirks, fit), turn.name or UNSET))
    return result


def _content(parts: tuple[Part, ...], quirks: Quirks, fit: Fit) -> str | list[WrittenPart]:
    if len(parts) == 1 and isinstance(parts[0], Text) and not (quirks.cache_marks and parts[0].cache):
        return parts[0].text
    return [_part(part, quirks, fit) for part in parts]


def _part(part: Part, quirks: Quirks, fit: Fit) -> WrittenPart:
    if isinstance(part, Text):
        return TextPart(part.text, cache_control=_mark(part.cache, quirks))
    if isinstance(part, Image):
        url = image_url(typed(part))
        if url is None:
            raise Unsupported("turns", "images by file id")
        return ImageUrlPart(ImageUrl(url, part.detail), cache_control=_mark(part.cache, quirks))
    if isinstance(part, Audio):
        return AudioPart(InputAudio(part.data, part.format))
    if isinstance(part, Document):
        return _document(part, quirks, fit)
    raise Unsupported("turns", f"parts of type '{part.__struct_config__.tag}' in this role")


def _document(part: Document, quirks: Quirks, fit: Fit) -> WrittenPart:
    if part.cite:
        fit.hint("citations", "citations of documents")
    cache = _mark(part.cache, quirks)
    if part.text is not None:
        return TextPart(f"{part.name}\n\n{part.text}" if part.name else part.text, cache_control=cache)
    data = file_data(part)
    if data is None and part.url is not None:
        if not quirks.file_urls:
            raise Unsupported("turns", "documents by address")
        data = part.url
    if data is None:
        return FilePart(File(file_id=part.file_id), cache_control=cache)
    return FilePart(File(data, filename=part.name or "document.pdf"), cache_control=cache)


def _mark(cache: CacheMark | None, quirks: Quirks) -> CacheControl | None:
    return cache_control(cache) if quirks.cache_marks else None


def _tool_result(result: ToolResult, target: Target) -> Message:
    quirks = target.quirks
    text = "\n".join([part.text for part in result.content if isinstance(part, Text)])
    if result.is_error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    content: str | list[WrittenPart] = text
    if quirks.cache_marks and result.cache is not None:
        content = [TextPart(text, cache_control=_mark(result.cache, quirks))]
    return Message("tool", content, tool_call_id=call_id(result.call_id, quirks))


def _assistant(turn: Turn, target: Target) -> Message:
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[ToolCall] = []
    images: list[ImagePart] = []
    thoughts: list[str] = []
    details: list[ReasoningDetail] = []
    audio: AudioReference | UnsetType = UNSET
    for part in turn.parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, ToolUse):
            calls.append(_tool_call(part, target))
        elif isinstance(part, Refusal):
            refusals.append(part.text)
        elif isinstance(part, Reasoning):
            if part.origin == FAMILY and part.encrypted is None and part.id is None:
                thoughts.append(part.text)
            elif is_detailed(part.origin):
                details += reasoning_details(part, len(details))
        elif isinstance(part, Image) and target.quirks.model_images and (url := image_url(typed(part))) is not None:
            images.append(ImagePart(ImageUrl(url)))
        elif isinstance(part, Audio) and part.id is not None:
            audio = AudioReference(part.id)
        else:
            raise Unsupported("turns", f"parts of type '{part.__struct_config__.tag}' in what the model said")
    field, refused = target.quirks.reasoning_field, target.quirks.refuse
    thought = "" if field in refused else "".join(thoughts)
    text = "".join(texts)
    content: str | list[WrittenPart] | None = text or (None if calls or refusals or audio is not UNSET else "")
    if thought and field == "content":
        content = [ThinkingPart((TextPart(thought),)), *([TextPart(text)] if text else [])]
    return Message(
        "assistant",
        content,
        turn.name or UNSET,
        calls or UNSET,
        refusal="".join(refusals) if refusals else UNSET,
        audio=audio,
        images=images or UNSET,
        reasoning_content=thought if thought and field == "reasoning_content" else UNSET,
        reasoning=thought if thought and field == "reasoning" else UNSET,
        reasoning_details=details if details and "reasoning_details" not in refused else UNSET,
    )


def is_detailed(origin: str) -> bool:
    """Tells whether a provider gave it as `reasoning_details`: OpenRouter's are "unknown" or end in a version."""
    return origin == UNKNOWN_FORMAT or origin.endswith("-v1")


def _tool_call(part: ToolUse, target: Target) -> ToolCall:
    extra: ExtraContent | None = None
    if part.signature is not None and part.origin == FAMILY:
        extra = ExtraContent(GoogleExtra(part.signature))
    identity = call_id(part.id, target.quirks)
    return ToolCall(identity, "function", CalledFunction(part.name, part.arguments), extra_content=extra)
