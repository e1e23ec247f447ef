"""Blocks that only their provider understands, such as what its own tools gave, as text that any model can read.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE

# The members that hold text for people, in the order in which they are said. What is encrypted is none.
_TEXTS: Final = (
    "title", "url", "source", "tool_name", "tool_references", "text", "stdout", "stderr", "content", "summary",
    "error_code", "error_message", "toolResult",
)  # fmt: skip
_MAX_DEPTH: Final = 8

_decode: Final = msgspec.json.Decoder().decode


def readable(block: Raw) -> str:
    """The text in a block, a line for each piece; "" if it has none.

    >>> readable(Raw(b'{"type": "compaction", "content": "They spoke of birds."}'))
    'They spoke of birds.'
    """
    try:
        return "\n".join(_texts(_decode(block), 0))
    except UNREADABLE:
        return ""


def _texts(value: object, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if depth == _MAX_DEPTH:
        return []
    if isinstance(value, list):
        return [text for each in value for text in _texts(each, depth + 1)]
    if not isinstance(value, dict):
        return []
    if value.get("type") == "text" and isinstance(value.get("data"), str):
        return [value["data"]]  # the source of a document
    return [text for name in _TEXTS for text in _texts(value.get(name), depth + 1)]
