"""Messages of a request, block by block: as Anthropic documents them, and as its clients send them.

What has a place in canonical form is read into the structs of `weebill.wire.anthropic`; a block of another kind becomes
its text, and is set aside if it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.apis.anthropic.request_shapes import EMPTY_TEXT, MessageHead
from weebill.apis.anthropic.tolerant import SetAside, read, type_of
from weebill.wire import anthropic as wire
from weebill.wire.anthropic_text import readable
from weebill.wire.body import invalid_at
from weebill.wire.errors import UNREADABLE, invalid_value
from weebill.wire.json_values import decode_list, decode_object, decode_text
from weebill.wire.tool_texts import is_json

_KINDS: Final[Mapping[str, type[wire.Block]]] = {
    "text": wire.TextBlock,
    "image": wire.ImageBlock,
    "document": wire.DocumentBlock,
    "tool_use": wire.ToolUseBlock,
    "tool_result": wire.ToolResultBlock,
    "thinking": wire.ThinkingBlock,
    "redacted_thinking": wire.RedactedThinkingBlock,
}
# What clients leave out, or send as null.
_ABSENT: Final[Mapping[str, Mapping[str, Raw]]] = {
    "text": {"text": EMPTY_TEXT},
    "tool_use": {"input": Raw(b"{}")},
    "thinking": {"thinking": EMPTY_TEXT, "signature": EMPTY_TEXT},
    "redacted_thinking": {"data": EMPTY_TEXT},
}
_NO_MEMBERS: Final[Mapping[str, Raw]] = {}


_decode_messages: Final = msgspec.json.Decoder(list[wire.Message]).decode
_decode_message: Final = msgspec.json.Decoder(wire.Message).decode
_decode_system: Final[Callable[[Raw], str | list[wire.TextBlock]]] = msgspec.json.Decoder(
    str | list[wire.TextBlock]
).decode
_decode_block: Final[Callable[[Raw], wire.Block]] = msgspec.json.Decoder(wire.Block).decode
_encode: Final = msgspec.json.encode


def messages(raw: Raw, aside: SetAside) -> Iterable[wire.Message]:
    """The messages of a request. Raises ApiError 400 for what is none."""
    try:
        return _decode_messages(raw)
    except UNREADABLE:
        return _messages(decode_list(raw), aside)


def _messages(raws: Sequence[Raw], aside: SetAside) -> Iterator[wire.Message]:
    for index, raw in enumerate(raws):
        try:
            yield _decode_message(raw)
        except UNREADABLE:
            path = f"messages[{index}]"
            head = read(MessageHead, raw, path, aside)
            yield wire.Message(head.role, _content(head.content, f"{path}.content", aside))


def system(raw: Raw, aside: SetAside) -> str | list[wire.TextBlock]:
    """The system prompt: a string, or blocks of text. Raises ApiError 400 for what is neither."""
    try:
        return _decode_system(raw)
    except UNREADABLE:
        content = _content(raw, "system", aside)
    if isinstance(content, str):
        return content
    for index, block in enumerate(content):
        if not isinstance(block, wire.TextBlock):
            raise invalid_value(f"system[{index}].type", "a system prompt holds text only")
    return [block for block in content if isinstance(block, wire.TextBlock)]


def _content(raw: Raw, path: str, aside: SetAside) -> str | list[wire.Block]:
    """A string, blocks, a single block, or nothing. Raises ApiError 400 for anything else."""
    try:
        match bytes(raw)[:1]:
            case b'"':
                return decode_text(raw)
            case b"n":
                return []
            case b"{":
                return _known([_block(raw, path, aside)])
            case _:
                each = enumerate(decode_list(raw))
    except UNREADABLE as error:
        raise invalid_at(error, path) from error
    return _known([_block(block, f"{path}[{index}]", aside) for index, block in each])


def _known(blocks: list[wire.Block | None]) -> list[wire.Block]:
    return [block for block in blocks if block is not None]


def _block(raw: Raw, path: str, aside: SetAside) -> wire.Block | None:
    """The block at `path`; None for one that nothing is left of."""
    try:
        if bytes(raw).startswith(b'"'):
            return wire.TextBlock(decode_text(raw))
        return _decode_block(raw)
    except UNREADABLE:
        name = type_of(raw)
    kind = _KINDS.get(name)
    if kind is None:
        if not name:
            raise invalid_value(f"{path}.type", "a block is an object that says of what type it is")
        return _foreign(raw, path, aside)
    if kind is wire.ToolResultBlock:
        return _tool_result(raw, path, aside)
    if kind is wire.DocumentBlock and type_of(decode_object(raw).get("source", EMPTY_TEXT)) == "content":
        return _foreign(raw, path, aside)
    return read(kind, raw, path, aside, absent=_ABSENT.get(name, _NO_MEMBERS))


def _foreign(raw: Raw, path: str, aside: SetAside) -> wire.TextBlock | None:
    text = readable(raw)
    if text:
        return wire.TextBlock(text)
    aside.add(path, raw)
    return None


def _tool_result(raw: Raw, path: str, aside: SetAside) -> wire.ToolResultBlock:
    fields = decode_object(raw)
    given = fields.pop("content", Raw(b"null"))
    result = read(wire.ToolResultBlock, Raw(_encode(fields)), path, aside)
    content = _result_content(given, f"{path}.content", aside)
    return msgspec.structs.replace(result, content=content)


def _result_content(
    raw: Raw, path: str, aside: SetAside
) -> str | list[wire.TextBlock | wire.ImageBlock | wire.DocumentBlock] | None:
    if is_json(bytes(raw)):
        return bytes(raw).decode()
    content = _content(raw, path, aside)
    if isinstance(content, str):
        return content
    kept: list[wire.TextBlock | wire.ImageBlock | wire.DocumentBlock] = []
    for index, block in enumerate(content):
        if isinstance(block, wire.TextBlock | wire.ImageBlock | wire.DocumentBlock):
            kept.append(block)
        else:
            aside.add(f"{path}[{index}]", Raw(_encode(block)))
    return kept or None
