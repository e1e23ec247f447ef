"""Images and documents that tools gave, for those whose results are text: a user's message shows them.

It must not stand among the results, so it comes after the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from weebill.wire.conversation import Conversation, Image, Part, Text, ToolResult, Turn


def shown_after(turns: Sequence[Turn], stays: tuple[type, ...]) -> Sequence[Turn]:
    """`turns` with what tools gave in a turn of the user's own, but for the kinds of parts that `stays` has."""
    if not any(_is_given(part, stays) for turn in turns if turn.role == "tool" for part in turn.parts):
        return turns
    told: list[Turn] = []
    shown: list[Part] = []
    for turn in turns:
        if turn.role == "tool":
            told.append(structs.replace(turn, parts=tuple([_told(part, stays, shown) for part in turn.parts])))
            continue
        if shown:
            told.append(Turn("user", tuple(shown)))
            shown = []
        told.append(turn)
    return [*told, Turn("user", tuple(shown))] if shown else told


def images_of(conversation: Conversation) -> Iterator[Image]:
    """The images in order, those that tools gave included."""
    for turn in conversation.turns:
        for part in turn.parts:
            for piece in part.content if isinstance(part, ToolResult) else (part,):
                if isinstance(piece, Image):
                    yield piece


def _is_given(part: Part, stays: tuple[type, ...]) -> bool:
    """Tells whether a result holds more than stays in it."""
    return isinstance(part, ToolResult) and not all(isinstance(piece, stays) for piece in part.content)


def _told(part: Part, stays: tuple[type, ...], shown: list[Part]) -> Part:
    """A result that says of what is `shown` instead."""
    if not isinstance(part, ToolResult) or not _is_given(part, stays):
        return part
    kept = [piece for piece in part.content if isinstance(piece, stays)]
    others = [piece for piece in part.content if not isinstance(piece, stays)]
    shown += [Text(f"Attached to the result of the call {part.call_id}:"), *others]
    note = Text(f"(Shown in the next message: {len(others)} attachment(s).)")
    return structs.replace(part, content=(*kept, note))
