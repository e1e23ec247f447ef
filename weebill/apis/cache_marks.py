"""Marks for a provider's prompt cache, where a request has any: a hint that targets without them pass over, and say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Raw

from weebill.wire.conversation import Audio, Part, Reasoning, Refusal, Tool, ToolResult, Turn

CACHE_CONTROL: Final = "cache_control"
"""The hint's name; the parts themselves say what is marked, and for how long."""
EPHEMERAL: Final = Raw(b'{"type":"ephemeral"}')
_NEEDLE: Final = b'"cache_control"'


def may_mark(raw: bytes) -> bool:
    """True if JSON has a member of that name; cheap, and true of some that marks nothing."""
    return _NEEDLE in raw


def marked(turns: Iterable[Turn], tools: Iterable[Tool]) -> bool:
    """True if any part or tool bears a mark."""
    return any(tool.cache for tool in tools) or any(_is_marked(part) for turn in turns for part in turn.parts)


def _is_marked(part: Part) -> bool:
    if isinstance(part, Reasoning | Refusal | Audio):
        return False
    return bool(part.cache) or (isinstance(part, ToolResult) and any(_is_marked(piece) for piece in part.content))
