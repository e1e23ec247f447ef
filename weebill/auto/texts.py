"""The texts of a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from weebill.wire.conversation import Conversation, Document, Part, Reasoning, Refusal, Text, ToolResult, ToolUse


def question(asked: Conversation) -> str:
    """Returns the user's last message, from which the estimator works; "" if it has no text."""
    for turn in reversed(asked.turns):
        if turn.role == "user":
            return "\n".join(part.text for part in turn.parts if isinstance(part, Text))
    return ""


def texts(asked: Conversation) -> Iterator[str]:
    """Yields all texts, tools and documents included, for rules."""
    for turn in asked.turns:
        yield from _texts(turn.parts)


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Text | Reasoning | Refusal):
            yield part.text
        elif isinstance(part, Document):
            yield part.text or ""
        elif isinstance(part, ToolUse):
            yield part.arguments
        elif isinstance(part, ToolResult):
            yield from _texts(part.content)
