"""Images that a model made, for those that take images of a user alone."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from weebill.providers.fit import Fit
from weebill.wire.conversation import Conversation, Image, Part, Turn

SHOWN_BY: Final = frozenset({"gemini", "vertex", "openai-responses"})
"""Dialects that have a place for them in what a model said."""
BLIND: Final = frozenset({"llamacpp"})
"""Dialects that take no images at all."""


def shown_by_user(conversation: Conversation, fit: Fit, *, blind: bool) -> Conversation:
    """The conversation with what a model drew at the start of the user's next turn.

    What is followed by none is passed over, as is all for those who are `blind`. Raises Unsupported where hints are to
    be refused.
    """
    if not _has_images(conversation):
        return conversation
    turns: list[Turn] = []
    drawn: tuple[Part, ...] = ()
    for turn in conversation.turns:
        if turn.role == "assistant":
            drawn += tuple([part for part in turn.parts if type(part) is Image])
            turn = structs.replace(turn, parts=tuple([part for part in turn.parts if type(part) is not Image]))
            if not turn.parts:
                continue
        elif turn.role == "user" and drawn and not blind:
            turn = structs.replace(turn, parts=(*drawn, *turn.parts))
            drawn = ()
        turns.append(turn)
    if drawn:
        fit.hint("images", "images that a model made")
    return structs.replace(conversation, turns=tuple(turns))


def _has_images(conversation: Conversation) -> bool:
    for turn in conversation.turns:
        if turn.role == "assistant":
            for part in turn.parts:
                if type(part) is Image:
                    return True
    return False
