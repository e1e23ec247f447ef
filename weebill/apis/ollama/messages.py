"""The messages of a chat as turns.

Calls of older versions, and of most clients, have no ids, and results then say the tool alone, or nothing: whoever is
asked is told which result is whose by the order (`weebill.providers.pairing`).
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Raw, json

from weebill.apis.anthropic.tolerant import SetAside
from weebill.apis.ollama.members import list_at, read
from weebill.apis.ollama.request_shapes import Message, ToolCall
from weebill.wire.arguments import NO_ARGUMENTS, as_text
from weebill.wire.conversation import Image, Part, Reasoning, Text, ToolResult, ToolUse, Turn
from weebill.wire.errors import UNREADABLE, invalid_value
from weebill.wire.json_values import decode_text
from weebill.wire.media_types import type_of_image

_ROLES: Final[dict[str, Literal["system", "developer", "user", "assistant", "tool"]]] = {
    "system": "system", "developer": "developer", "user": "user", "assistant": "assistant", "tool": "tool",
}  # fmt: skip
_DATA_URI: Final = "data:"
_SAID: Final = Raw(b"true")

_decode: Final = json.Decoder(list[Message]).decode


def read_messages(raw: Raw, aside: SetAside) -> tuple[Turn, ...]:
    """The turns; members that are not known are set aside. Raises ApiError 400."""
    try:
        messages = _decode(raw)
    except UNREADABLE:
        messages = [read(Message, each, f"messages[{at}]", aside) for at, each in enumerate(list_at(raw, "messages"))]
    return tuple([_turn(message, at, aside) for at, message in enumerate(messages)])


def _turn(message: Message, at: int, aside: SetAside) -> Turn:
    role = _ROLES.get(message.role.lower())
    if role is None:
        reason = f"expected system, user, assistant or tool, got '{message.role}'"
        raise invalid_value(f"messages[{at}].role", reason)
    if role == "user":
        return Turn(role, tuple(shown_parts(message.content, message.images)))
    if role == "tool":
        shown = tuple(shown_parts(message.content, message.images))
        return Turn(role, (ToolResult(message.tool_call_id or "", shown, message.tool_name or message.name),))
    if message.images:
        aside.add(f"messages[{at}].images", _SAID)
    return Turn(role, _said(message) if role == "assistant" else (Text(message.content or ""),))


def _said(message: Message) -> tuple[Part, ...]:
    """The parts of a model's message."""
    parts: list[Part] = []
    if message.thinking:
        parts.append(Reasoning(message.thinking))
    if message.content:
        parts.append(Text(message.content))
    parts += [_call(call) for call in message.tool_calls or ()]
    return tuple(parts)


def _call(call: ToolCall) -> ToolUse:
    given = bytes(call.function.arguments)
    if given.startswith(b'"'):
        arguments = decode_text(given) or NO_ARGUMENTS
    else:
        arguments = NO_ARGUMENTS if given == b"null" else as_text(given)
    return ToolUse(call.id or "", call.function.name, arguments)


def shown_parts(content: str | None, images: list[str] | None) -> list[Text | Image]:
    """The parts of a message that no model wrote: Ollama shows the images before the text."""
    parts: list[Text | Image] = [_image(data) for data in images or ()]
    if content or not parts:
        parts.append(Text(content or ""))
    return parts


def _image(data: str) -> Image:
    """An image of base64, or of a data URI, which some clients send."""
    if data.startswith(_DATA_URI):
        head, _, data = data.partition(",")
        given = head.removeprefix(_DATA_URI).partition(";")[0]
        return Image(data=data, media_type=type_of_image(data) or given)
    return Image(data=data, media_type=type_of_image(data) or "image/png")
