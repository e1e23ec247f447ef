"""Messages of Anthropic's Messages API as canonical turns.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from weebill.wire import anthropic as wire
from weebill.wire.anthropic import Opaque, cache_mark
from weebill.wire.arguments import NO_ARGUMENTS, as_text
from weebill.wire.conversation import Document, Image, Part, Reasoning, Role, Text, ToolResult, ToolUse, Turn
from weebill.wire.errors import invalid_value


def message_turns(message: wire.Message, path: str) -> Iterator[Turn]:
    """A message as turns: each run of tool results is one of its own."""
    if isinstance(message.content, str):
        yield Turn(message.role, (Text(message.content),))
        return
    parts: list[Part] = []
    role: Role = message.role
    signature: Opaque | None = None
    for index, block in enumerate(message.content):
        where = f"{path}[{index}]"
        if not isinstance(block, wire.TextBlock):
            _check_role(message.role, block, where)
        now: Role = "tool" if isinstance(block, wire.ToolResultBlock) else message.role
        if now != role and parts:
            yield Turn(role, tuple(parts))
            parts = []
        role = now
        match block:
            case wire.TextBlock():
                parts.append(text(block))
            case wire.ImageBlock():
                parts.append(_image(block))
            case wire.DocumentBlock():
                parts.extend(_document(block))
            case wire.ToolUseBlock():
                parts.append(_tool_use(block, signature))
                signature = None
            case wire.ToolResultBlock():
                parts.append(_tool_result(block))
            case wire.ThinkingBlock():
                parts.append(_thinking(block))
            case wire.RedactedThinkingBlock():
                opaque = Opaque.read(block.data)
                if opaque.kind == "tool":
                    signature = opaque
                else:
                    parts.append(Reasoning(encrypted=opaque.value, id=opaque.id, origin=opaque.origin))
    if parts:
        yield Turn(role, tuple(parts))


_BLOCKS_OF_ROLE: Final[dict[str, tuple[type, ...]]] = {
    "user": (wire.ImageBlock, wire.DocumentBlock, wire.ToolResultBlock),
    "assistant": (wire.ImageBlock, wire.ToolUseBlock, wire.ThinkingBlock, wire.RedactedThinkingBlock),
    "system": (),
}


def _check_role(role: str, block: wire.Block, where: str) -> None:
    if not isinstance(block, _BLOCKS_OF_ROLE[role]):
        raise invalid_value(f"{where}.type", f"a message with role '{role}' cannot hold such a block")


def text(block: wire.TextBlock) -> Text:
    citations = tuple(wire.citation(raw) for raw in block.citations) if block.citations else ()
    return Text(block.text, cache_mark(block.cache_control), citations)


def _image(block: wire.ImageBlock) -> Image:
    cache = cache_mark(block.cache_control)
    match block.source:
        case wire.Base64Source(media_type, data):
            return Image(data=data, media_type=media_type, cache=cache)
        case wire.UrlSource(url):
            return Image(url=url, cache=cache)
        case wire.FileSource(file_id):
            return Image(file_id=file_id, cache=cache)


def _document(block: wire.DocumentBlock) -> Iterator[Text | Document]:
    """A document. Its context goes before it as text: no other API has a place for it."""
    if block.context:
        yield Text(block.context)
    document = Document(
        name=block.title,
        cite=block.citations is not None and block.citations.enabled,
        cache=cache_mark(block.cache_control),
    )
    replace = msgspec.structs.replace
    match block.source:
        case wire.Base64Source(media_type, data):
            yield replace(document, data=data, media_type=media_type)
        case wire.TextSource(media_type, data):
            yield replace(document, text=data, media_type=media_type)
        case wire.UrlSource(url):
            yield replace(document, url=url)
        case wire.FileSource(file_id):
            yield replace(document, file_id=file_id)


def _tool_use(block: wire.ToolUseBlock, signature: Opaque | None) -> ToolUse:
    arguments = bytes(block.input)
    return ToolUse(
        block.id,
        block.name,
        NO_ARGUMENTS if arguments == b"null" else as_text(arguments),
        signature.value if signature else None,
        signature.origin if signature else "",
        cache_mark(block.cache_control),
    )


def _tool_result(block: wire.ToolResultBlock) -> ToolResult:
    content: tuple[Text | Image | Document, ...] = ()
    if isinstance(block.content, str):
        content = (Text(block.content),)
    elif block.content:
        content = tuple(part for inner in block.content for part in _result_parts(inner))
    return ToolResult(block.tool_use_id, content, None, bool(block.is_error), cache_mark(block.cache_control))


def _result_parts(block: wire.TextBlock | wire.ImageBlock | wire.DocumentBlock) -> Iterator[Text | Image | Document]:
    match block:
        case wire.TextBlock():
            yield text(block)
        case wire.ImageBlock():
            yield _image(block)
        case wire.DocumentBlock():
            yield from _document(block)


def _thinking(block: wire.ThinkingBlock) -> Reasoning:
    opaque = Opaque.read(block.signature)
    value = opaque.value or None
    if opaque.kind == "encrypted":
        return Reasoning(block.thinking, encrypted=value, id=opaque.id, origin=opaque.origin)
    return Reasoning(block.thinking, signature=value, id=opaque.id, origin=opaque.origin)


def mark_last(turns: list[Turn], control: wire.CacheControl) -> None:
    """Put the request's own cache mark on the last part that can have one, as Anthropic does."""
    for at in range(len(turns) - 1, -1, -1):
        parts = list(turns[at].parts)
        for index in range(len(parts) - 1, -1, -1):
            part = parts[index]
            if isinstance(part, Text | Image | Document | ToolUse | ToolResult):
                parts[index] = msgspec.structs.replace(part, cache=cache_mark(control))
                turns[at] = msgspec.structs.replace(turns[at], parts=tuple(parts))
                return
