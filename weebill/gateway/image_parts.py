"""The images of a conversation: replaced, and named as the client's own request has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Image, Part, ToolResult, Turn
from weebill.wire.errors import UNREADABLE
from weebill.wire.requests import ChatRequest

Given = Mapping[Image, tuple[Part, ...]]
"""The parts that a model is given in place of each image."""

# Fields that a prompt's images are in, API by API.
_PROMPTS: Final = ("messages", "input", "contents", "system", "instructions", "systemInstruction", "images")
# The last step to an image's data, which goes without saying.
_DATA: Final = frozenset({"url", "data"})


def may_have_images(call: Call) -> bool:
    """Returns False for a chat whose messages are plain texts, the most common kind of request."""
    request = call.request
    return not isinstance(request, ChatRequest) or any(isinstance(each.content, list) for each in request.messages)


def with_images(conversation: Conversation, given: Given) -> Conversation:
    """Returns the conversation with what is given in place of its images."""
    turns = tuple([_turn(turn, given) for turn in conversation.turns])
    return msgspec.structs.replace(conversation, turns=turns)


def _turn(turn: Turn, given: Given) -> Turn:
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            content = [new for piece in part.content for new in _given(piece, given)]
            parts.append(msgspec.structs.replace(part, content=tuple(content)))
        else:
            parts += _given(part, given)
    return msgspec.structs.replace(turn, parts=tuple(parts))


def _given(part: Part, given: Given) -> tuple[Part, ...]:
    return given.get(part, (part,)) if isinstance(part, Image) else (part,)


def place_of(image: Image, call: Call, otherwise: str) -> str:
    """Returns the path of an image in the client's own request, for errors: `messages[0].content[1].image_url`.

    It is `otherwise` if the image is not in the request itself, but in an earlier one that this one continues.
    """
    wanted = image.data or image.url or image.file_id or ""
    for name in _PROMPTS:
        if name not in call.fields:
            continue
        try:
            found = _path(msgspec.json.decode(call.fields[name]), wanted, name)
        except UNREADABLE:
            continue
        if found is not None:
            return found
    return otherwise


def _path(value: object, wanted: str, here: str) -> str | None:
    """Returns the path of the first text that ends with `wanted`."""
    if isinstance(value, str):
        return here if value.endswith(wanted) else None
    if isinstance(value, list):
        items = [(f"{here}[{at}]", each) for at, each in enumerate(value)]
    elif isinstance(value, dict):
        items = [(here if name in _DATA else f"{here}.{name}", each) for name, each in value.items()]
    else:
        return None
    for path, each in items:
        found = _path(each, wanted, path)
        if found is not None:
            return found
    return None
