"""Binds opaque data, such as signatures of reasoning, to the provider that made it.

Dialects know only their family: they read and write data under the family's name. Between them and the client, the
provider's name takes its place. Data that names its own format (entries of `reasoning_details`) keeps that name and is
marked with the provider. Reasoning that is readable and unsigned may go to any provider.
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
"""The origin put in place of the family's name if the data is not this provider's."""


class MakerNames:
    """Replaces the dialect's family by the provider's name in answers, and back in requests."""

    __slots__ = ("_family", "_named", "_provider")

    def __init__(self, family: Maker, provider: str) -> None:
        self._family = family
        self._provider = provider
        self._named = provider not in ("", family)

    def conversation(self, conversation: Conversation) -> Conversation:
        """Returns the client's conversation as the dialect has to see it."""
        if not self._provider or not _holds_sealed(conversation.turns):
            return conversation
        turns = [self._turn(turn) for turn in conversation.turns]
        changed = any(mine is not theirs for mine, theirs in zip(turns, conversation.turns, strict=True))
        return structs.replace(conversation, turns=tuple(turns)) if changed else conversation

    def _concerns(self, part: Part) -> bool:
        return (_is_sealed(part) and (self._named or _bears_mark(part))) or self._is_told(part)

    def _is_told(self, part: Part) -> bool:
        """True for readable reasoning that came with this provider's sealed data."""
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
        """Returns a marked part without its mark, under the family's name; if the mark is not this provider's, as
        another's.
        """
        signature = part.signature and unmarked(part.signature, self._provider)
        encrypted = unmarked(part.encrypted, self._provider) if isinstance(part, Reasoning) and part.encrypted else ""
        if (part.signature and signature is None) or encrypted is None:
            return structs.replace(part, origin=_ANOTHER)
        if isinstance(part, ToolUse):
            return structs.replace(part, signature=signature, origin=self._family)
        whose = part.origin if is_detailed(part.origin) else self._family
        return structs.replace(part, signature=signature, encrypted=encrypted or part.encrypted, origin=whose)

    def reply(self, reply: Reply) -> Reply:
        """Returns the dialect's reply as the client has to see it."""
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
        """Returns the dialect's events as the client has to see them."""
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
    """True if any part is sealed. Optimised, as most histories have none."""
    for turn in turns:
        if turn.role == "assistant":
            for part in turn.parts:
                kind = type(part)
                if (kind is Reasoning or kind is ToolUse) and _is_sealed(part):
                    return True
    return False


def _is_sealed(part: Part) -> bool:
    """True if a part holds data that only its maker can read."""
    if isinstance(part, Reasoning):
        return part.signature is not None or part.encrypted is not None
    return isinstance(part, ToolUse) and part.signature is not None


def _bears_mark(part: Part) -> bool:
    """True if a part is marked with its provider."""
    if isinstance(part, Reasoning) and part.encrypted is not None and is_marked(part.encrypted):
        return True
    return isinstance(part, Reasoning | ToolUse) and part.signature is not None and is_marked(part.signature)
