"""What is opaque goes back to the very provider that made it: marked in answers, and looked at in requests."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from weebill.wire.conversation import Conversation, Part, Reasoning, ToolUse
from weebill.wire.marks import mark_of, unmarked
from weebill.wire.reply import Event, ReasoningDelta, Reply, ToolStarted


def fit_origins(conversation: Conversation, provider: str) -> Conversation:
    """The conversation without marks, and without what is opaque and another provider's; words of it stay."""
    if not any(_is_opaque(part) for turn in conversation.turns for part in turn.parts):
        return conversation
    turns = []
    for turn in conversation.turns:
        parts = [part for each in turn.parts if (part := _unmarked(each, provider)) is not None]
        if parts or not turn.parts:
            turns.append(structs.replace(turn, parts=tuple(parts)))
    return structs.replace(conversation, turns=tuple(turns))


def _is_opaque(part: Part) -> bool:
    if isinstance(part, Reasoning):
        return part.signature is not None or part.encrypted is not None
    return isinstance(part, ToolUse) and part.signature is not None


def _unmarked(part: Part, provider: str) -> Part | None:
    """A part as its provider said it; None for reasoning of which only another provider could make anything."""
    if isinstance(part, Reasoning):
        signature = None if part.signature is None else unmarked(part.signature, provider)
        encrypted = None if part.encrypted is None else unmarked(part.encrypted, provider)
        if signature is None and encrypted is None and not part.text and _is_opaque(part):
            return None
        return structs.replace(part, signature=signature, encrypted=encrypted)
    if isinstance(part, ToolUse) and part.signature is not None:
        return structs.replace(part, signature=unmarked(part.signature, provider))
    return part


def mark_reply(reply: Reply, provider: str) -> Reply:
    """An answer whose opaque parts bear the mark of the provider that made them."""
    mark = mark_of(provider)
    if not mark or not any(_is_opaque(part) for choice in reply.choices for part in choice.parts):
        return reply
    choices = [
        structs.replace(choice, parts=tuple([_marked(part, mark) for part in choice.parts])) for choice in reply.choices
    ]
    return structs.replace(reply, choices=tuple(choices))


def _marked(part: Part, mark: str) -> Part:
    if isinstance(part, Reasoning):
        signature = None if part.signature is None else mark + part.signature
        return structs.replace(
            part, signature=signature, encrypted=None if part.encrypted is None else mark + part.encrypted
        )
    if isinstance(part, ToolUse) and part.signature is not None:
        return structs.replace(part, signature=mark + part.signature)
    return part


def mark_events(events: Sequence[Event], provider: str) -> Sequence[Event]:
    """Events of an answer whose opaque parts bear the mark of the provider that made them."""
    mark = mark_of(provider)
    if not mark or not any(_says_opaque(event) for event in events):
        return events
    return [_marked_event(event, mark) if _says_opaque(event) else event for event in events]


def _says_opaque(event: Event) -> bool:
    if isinstance(event, ReasoningDelta):
        return event.signature is not None or event.encrypted is not None
    return isinstance(event, ToolStarted) and event.signature is not None


def _marked_event(event: Event, mark: str) -> Event:
    if isinstance(event, ReasoningDelta):
        signature = None if event.signature is None else mark + event.signature
        encrypted = None if event.encrypted is None else mark + event.encrypted
        return structs.replace(event, signature=signature, encrypted=encrypted)
    if isinstance(event, ToolStarted) and event.signature is not None:
        return structs.replace(event, signature=mark + event.signature)
    return event
