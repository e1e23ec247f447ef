"""The messages of a chat as turns.

Ollama's calls may have no ids, and its results name no call: ids are made that are the same each time the conversation
is sent, and a result answers the first open call of its id, else of its tool, else of any.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Raw, json

from weebill.apis.anthropic.tolerant import SetAside
from weebill.apis.ollama.members import list_at, read
from weebill.apis.ollama.request_shapes import Message, ToolCall
from weebill.wire.arguments import as_text
from weebill.wire.conversation import Image, Part, Reasoning, Text, ToolResult, ToolUse, Turn
from weebill.wire.errors import UNREADABLE, ApiError, invalid_value
from weebill.wire.json_values import decode_text
from weebill.wire.media_types import type_of_image

_ROLES: Final[dict[str, Literal["system", "developer", "user", "assistant"]]] = {
    "system": "system", "developer": "developer", "user": "user", "assistant": "assistant",
}  # fmt: skip
_DATA_URI: Final = "data:"
_SAID: Final = Raw(b"true")

_decode: Final = json.Decoder(list[Message]).decode


def read_messages(raw: Raw, aside: SetAside) -> list[Message]:
    """The messages; members that are not known are set aside. Raises ApiError 400."""
    try:
        return _decode(raw)
    except UNREADABLE:
        pass
    return [read(Message, each, f"messages[{at}]", aside) for at, each in enumerate(list_at(raw, "messages"))]


class Turns:
    """Reads messages."""

    def __init__(self, aside: SetAside) -> None:
        self._aside = aside
        self._ids: set[str] = set()
        self._open: list[tuple[str, str, str]] = []
        """Of each call without a result: the client's id for it, its tool, and the id that it has here."""

    def read(self, messages: list[Message]) -> tuple[Turn, ...]:
        """The turns. Raises ApiError 400."""
        turns: list[Turn] = []
        for at, message in enumerate(messages):
            role = message.role.lower()
            if role == "tool":
                turns.append(Turn("tool", (self._result(message),)))
                continue
            known = _ROLES.get(role)
            if known is None:
                raise _unknown_role(message.role, at)
            if known == "assistant":
                turns.append(Turn(known, self._assistant(message, at)))
            elif known == "user":
                turns.append(Turn(known, user_parts(message.content, message.images)))
            else:
                turns.append(Turn(known, (Text(message.content or ""),)))
                self._unseen(message, at)
        return tuple(turns)

    def _assistant(self, message: Message, at: int) -> tuple[Part, ...]:
        parts: list[Part] = []
        if message.thinking:
            parts.append(Reasoning(message.thinking))
        if message.content:
            parts.append(Text(message.content))
        self._unseen(message, at)
        for index, call in enumerate(message.tool_calls or ()):
            parts.append(self._call(call, at, index))
        return tuple(parts)

    def _unseen(self, message: Message, at: int) -> None:
        """Sets images aside where no model reads any."""
        if message.images:
            self._aside.add(f"messages[{at}].images", _SAID)

    def _call(self, call: ToolCall, at: int, index: int) -> ToolUse:
        here = call.id or f"call_{at}_{index}"
        if here in self._ids:
            here = f"{here}_{at}_{index}"
        self._ids.add(here)
        self._open.append((call.id or "", call.function.name, here))
        return ToolUse(here, call.function.name, _arguments(call.function.arguments))

    def _result(self, message: Message) -> ToolResult:
        given, tool = message.tool_call_id or "", message.tool_name or message.name or ""
        call_id, name = self._answered(given, tool)
        content = user_parts(message.content, message.images)
        return ToolResult(call_id, tuple([part for part in content if isinstance(part, Text | Image)]), name)

    def _answered(self, given: str, tool: str) -> tuple[str, str | None]:
        """The id and the tool of the call that is answered; those that were given if there is none."""
        matching = [call for call in self._open if given and call[0] == given]
        if not matching and not (given and given in self._ids):
            matching = [call for call in self._open if call[1] == tool] or ([] if tool else self._open)
        if not matching:
            return given, tool or None
        answered = matching[0]
        self._open.remove(answered)
        return answered[2], tool or answered[1]


def user_parts(content: str | None, images: list[str] | None) -> tuple[Part, ...]:
    """The parts of a message: Ollama shows the images before the text."""
    parts: list[Part] = [image_of(data) for data in images or ()]
    if content or not parts:
        parts.append(Text(content or ""))
    return tuple(parts)


def image_of(data: str) -> Image:
    """An image of base64, or of a data URI, which some clients send."""
    if data.startswith(_DATA_URI):
        head, _, data = data.partition(",")
        given = head.removeprefix(_DATA_URI).partition(";")[0]
        return Image(data=data, media_type=type_of_image(data) or given)
    return Image(data=data, media_type=type_of_image(data) or "image/png")


def _arguments(given: Raw) -> str:
    text = bytes(given)
    if text.startswith(b'"'):
        return decode_text(text) or "{}"
    return "{}" if text == b"null" else as_text(text)


def _unknown_role(role: str, at: int) -> ApiError:
    return invalid_value(f"messages[{at}].role", f"expected system, user, assistant or tool, got '{role}'")
