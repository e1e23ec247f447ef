"""Images and sound that a model made, for those that take them of a user alone, or not at all."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from weebill.providers.fit import Fit
from weebill.wire.conversation import Audio, Conversation, Image, Part, Text, Turn

SHOWN_BY: Final = frozenset({"gemini", "vertex", "openai-responses"})
"""Dialects that have a place for images in what a model said."""
# Those that take no images at all.
_BLIND: Final = frozenset({"llamacpp"})
# Those that have a place for sound in what a model said, and those that keep it and take its id.
_HEARD_BY: Final = frozenset({"gemini", "vertex"})
_BY_ID: Final = frozenset({"openai", "azure"})


def fit_made(conversation: Conversation, dialect: str, fit: Fit, *, shows: bool) -> Conversation:
    """The conversation with what models made other than text as a dialect takes it.

    `shows` is whether it has a place for images in what a model said. Raises Unsupported where hints are to be refused.
    """
    drawn = spoken = False
    for turn in conversation.turns:
        if turn.role == "assistant":
            for part in turn.parts:
                drawn = drawn or type(part) is Image
                spoken = spoken or type(part) is Audio
    if spoken:
        conversation = _told_in_words(conversation, dialect, fit)
    if drawn and not shows:
        conversation = _shown_by_user(conversation, fit, blind=dialect in _BLIND)
    return conversation


def _shown_by_user(conversation: Conversation, fit: Fit, *, blind: bool) -> Conversation:
    """With what a model drew at the start of the user's next turn.

    What is followed by none is passed over, as is all for those who are `blind`.
    """
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


def _told_in_words(conversation: Conversation, dialect: str, fit: Fit) -> Conversation:
    """With the words of what a model spoke, as far as they are known, for those who do not take it as it is."""
    turns: list[Turn] = []
    for turn in conversation.turns:
        if turn.role == "assistant":
            parts = [told for part in turn.parts if (told := _told(part, dialect, fit)) is not None]
            if turn.parts and not parts:
                continue
            turn = structs.replace(turn, parts=tuple(parts))
        turns.append(turn)
    return structs.replace(conversation, turns=tuple(turns))


def _told(part: Part, dialect: str, fit: Fit) -> Part | None:
    if not isinstance(part, Audio):
        return part
    if (part.data and dialect in _HEARD_BY) or (part.id and dialect in _BY_ID):
        return part
    if part.transcript:
        return Text(part.transcript)
    fit.hint("messages.audio", "sound that a model made")
    return None
