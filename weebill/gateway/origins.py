"""Whose an opaque thing is: the very provider's that made it, not that of all who speak its dialect.

Dialects know their family alone: what they read bears its name, and they give back only what does. So between them and
the client the family's name stands for the provider's. What says of itself in which format it is, as entries of
`reasoning_details` do, keeps that and bears the provider's mark. Thinking that is open and unsigned is anybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from weebill.providers.openai.messages import is_detailed
from weebill.wire.conversation import Conversation, Maker, Part, Reasoning, ToolUse, Turn
from weebill.wire.marks import is_marked, mark_of, unmarked
from weebill.wire.reply import Event, ReasoningDelta, Reply, ToolStarted

_ANOTHER: Final[Maker] = "another"
"""Whose the family's is where the provider bears another name: not this one's."""


class MakerNames:
    """Names a provider in place of its dialect's family, and the family in place of the provider."""

    __slots__ = ("_family", "_named", "_provider")

    def __init__(self, family: Maker, provider: str) -> None:
        self._family = family
        self._provider = provider
        self._named = provider not in ("", family)

    def conversation(self, conversation: Conversation) -> Conversation:
        """A client's, as the dialect is to see it."""
        if not self._provider or not _holds_sealed(conversation.turns):
            return conversation
        turns = [self._turn(turn) for turn in conversation.turns]
        changed = any(mine is not theirs for mine, theirs in zip(turns, conversation.turns, strict=True))
        return structs.replace(conversation, turns=tuple(turns)) if changed else conversation

    def _concerns(self, part: Part) -> bool:
        return (_is_sealed(part) and (self._named or _bears_mark(part))) or self._is_told(part)

    def _is_told(self, part: Part) -> bool:
        """True for open thinking that came along with what this provider has sealed."""
        return isinstance(part, Reasoning) and self._named and part.origin == self._provider

    def _turn(self, turn: Turn) -> Turn:
        if not any(self._concerns(part) for part in turn.parts):
            return turn
        return structs.replace(turn, parts=tuple([self._part(part) for part in turn.parts]))

    def _part(self, part: Part) -> Part:
        if not isinstance(part, Reasoning | ToolUse) or not (_is_sealed(part) or self._is_told(part)):
            return part
        if _bears_mark(part):
            return self._unmarked(part)
        if part.origin == self._provider:
            return structs.replace(part, origin=self._family) if self._named else part
        return structs.replace(part, origin=_ANOTHER) if self._named and part.origin == self._family else part

    def _unmarked(self, part: Reasoning | ToolUse) -> Part:
        """A part of which a mark says whose it is."""
        signature = part.signature and unmarked(part.signature, self._provider)
        encrypted = unmarked(part.encrypted, self._provider) if isinstance(part, Reasoning) and part.encrypted else ""
        if (part.signature and signature is None) or encrypted is None:
            return structs.replace(part, origin=_ANOTHER)
        if isinstance(part, ToolUse):
            return structs.replace(part, signature=signature, origin=self._family)
        whose = part.origin if is_detailed(part.origin) else self._family
        return structs.replace(part, signature=signature, encrypted=encrypted or part.encrypted, origin=whose)

    def reply(self, reply: Reply) -> Reply:
        """A dialect's, as the client is to see it."""
        if not self._named or not any(_is_sealed(part) for choice in reply.choices for part in choice.parts):
            return reply
        choices = [
            structs.replace(choice, parts=tuple([self._made(part) for part in choice.parts]))
            for choice in reply.choices
        ]
        return structs.replace(reply, choices=tuple(choices))

    def _made(self, part: Part) -> Part:
        if not isinstance(part, Reasoning | ToolUse) or not _is_sealed(part):
            return part
        if part.origin == self._family:
            return structs.replace(part, origin=self._provider)
        if isinstance(part, Reasoning) and is_detailed(part.origin):
            return structs.replace(part, signature=self._marked(part.signature), encrypted=self._marked(part.encrypted))
        return part

    def _marked(self, sealed: str | None) -> str | None:
        return mark_of(self._provider) + sealed if sealed else sealed

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """A dialect's, as the client is to see them."""
        if not self._named:
            return events
        return [self._event(event) if type(event) in (ReasoningDelta, ToolStarted) else event for event in events]

    def _event(self, event: Event) -> Event:
        if isinstance(event, ReasoningDelta):
            sealed = event.signature is not None or event.encrypted is not None
            if sealed and event.origin != self._family and is_detailed(event.origin):
                return structs.replace(
                    event, signature=self._marked(event.signature), encrypted=self._marked(event.encrypted)
                )
        else:
            sealed = isinstance(event, ToolStarted) and event.signature is not None
        if sealed and isinstance(event, ReasoningDelta | ToolStarted) and event.origin == self._family:
            return structs.replace(event, origin=self._provider)
        return event


NOBODY_IN_PARTICULAR: Final = MakerNames("", "")


def _holds_sealed(turns: Sequence[Turn]) -> bool:
    """Tells whether any part is sealed: most histories have none, so that this has to be quick."""
    for turn in turns:
        if turn.role == "assistant":
            for part in turn.parts:
                kind = type(part)
                if (kind is Reasoning or kind is ToolUse) and _is_sealed(part):
                    return True
    return False


def _is_sealed(part: Part) -> bool:
    """Tells whether a part holds something that is of worth to its maker alone."""
    if isinstance(part, Reasoning):
        return part.signature is not None or part.encrypted is not None
    return isinstance(part, ToolUse) and part.signature is not None


def _bears_mark(part: Part) -> bool:
    """Tells whether a mark says whose a part is."""
    if isinstance(part, Reasoning) and part.encrypted is not None and is_marked(part.encrypted):
        return True
    return isinstance(part, Reasoning | ToolUse) and part.signature is not None and is_marked(part.signature)
